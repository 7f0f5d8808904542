"""The report in a real browser: it needs nothing but itself, its script runs, and its pictures show something."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.integration.test_benchmark import run

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--hide-scrollbars"),
)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models fitted on both parts."""
    folder = tmp_path_factory.mktemp("report")
    ended = run(
        folder, "baselines=[popular,item_knn,rating_offsets]", "own_model=false", "fit_on=[train,train+validation]"
    )
    assert ended.code == 0, ended.said
    return ended.results.with_name("report.html")


def test_the_page_asks_for_no_other_file(report: Path) -> None:
    page = report.read_text(encoding="utf-8")
    assert not re.search(r"""(src|href)=["']?(https?:|//|\w+\.)""", page)
    assert "@import" not in page
    assert "url(" not in page


def test_a_browser_shows_pictures_tables_and_a_switch_between_the_parts(report: Path, tmp_path: Path) -> None:
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        pytest.skip(f"a browser: install one of {', '.join(BROWSERS)}")
    picture = tmp_path / "page.png"
    ended = subprocess.run(
        [
            *(browser, *QUIET, f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1200,2400"),
            *("--enable-logging=stderr", "--v=0", "--dump-dom", f"file://{report}"),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    shown = ended.stdout
    assert "CONSOLE" not in ended.stderr, ended.stderr
    # The script has hidden the second view and marked the first button.
    assert re.search(r'<div class="?view"? data-view="train\+validation" hidden', shown)
    assert re.search(r'<button data-view="train" class="on"', shown)
    assert shown.count("<svg") >= 4
    assert shown.count('data-model="item_knn"') >= 4
    assert not re.search(r'="[^"]*NaN', shown)
    subprocess.run(
        [
            *(browser, *QUIET, f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1200,2400"),
            *(f"--screenshot={picture}", f"file://{report}"),
        ],
        capture_output=True,
        check=True,
        timeout=120,
    )
    assert picture.stat().st_size > 30_000
