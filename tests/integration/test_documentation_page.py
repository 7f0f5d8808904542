"""The documentation in a real browser: it is drawn without a request to another host."""

import json
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import uvicorn

from rec_sys.serving.application import create_application
from rec_sys.serving.listening import address_of, listen
from rec_sys.settings import ServingSettings
from tests.integration.test_benchmark_report import BROWSERS, QUIET
from tests.scripted_recommender import ScriptedRecommender


@pytest.fixture
def url() -> Iterator[str]:
    """A service that answers on a free port."""
    settings = ServingSettings(port=0)
    with listen(settings) as listener:
        application = create_application(settings, ScriptedRecommender())
        server = uvicorn.Server(uvicorn.Config(application, log_config=None))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield address_of(listener)
        finally:
            server.should_exit = True
            thread.join()


def test_docs_are_drawn_from_this_host_alone(url: str, tmp_path: Path) -> None:
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        pytest.skip(f"a browser: install one of {', '.join(BROWSERS)}")
    log = tmp_path / "net.json"
    ended = subprocess.run(
        [
            *(browser, *QUIET, f"--user-data-dir={tmp_path / 'profile'}", f"--log-net-log={log}"),
            *("--virtual-time-budget=20000", "--dump-dom", f"{url}/docs"),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=200,
    )
    drawn = re.findall(r'class="opblock opblock-(\w+)"', ended.stdout)
    assert sorted(drawn) == ["delete"] * 3 + ["get"] * 11 + ["patch"] + ["post"] * 3 + ["put"]
    # What the page itself asked for, without what the browser does on its own behalf.
    events = json.loads(log.read_text())["events"]
    asked = {
        urlsplit(event["params"]["url"]).netloc
        for event in events
        if event.get("params", {}).get("initiator", "").startswith(url) and "url" in event["params"]
    }
    assert asked == {urlsplit(url).netloc}
