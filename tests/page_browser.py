"""The page in a real browser: served on a port of its own, and watched for whatever it must not do."""

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import uvicorn
from axe_playwright_python.sync_playwright import Axe
from fastapi import FastAPI
from playwright.sync_api import Browser, Page, sync_playwright

from rec_sys.serving.listening import address_of, listen
from rec_sys.settings import ServingSettings

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# What would run where something that people wrote were taken for markup.
ATTACKS = (
    "<script>window.hacked = 1</script>",
    "<img src=x onerror=window.hacked=1>",
    "\"'><svg onload=window.hacked=1>",
    "</textarea></script><script>window.hacked = 1</script>",
    "javascript:window.hacked=1",
    '" autofocus onfocus=window.hacked=1 x="',
    "{{ 7 * 7 }}<iframe srcdoc='<script>parent.hacked = 1</script>'>",
    "مرحبا <b onmouseover=window.hacked=1>بالعالم</b>",
)
_SIZE = """['navigation', 'resource'].flatMap((kind) => performance.getEntriesByType(kind))
    .reduce((sum, one) => sum + one.encodedBodySize, 0)"""
_NOTE_VIOLATIONS = "addEventListener('securitypolicyviolation', (one) => console.error('violated', one.blockedURI))"


@contextmanager
def listening(application: FastAPI) -> Iterator[str]:
    """An application on a free port."""
    with listen(ServingSettings(port=0)) as listener:
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


def find_browser() -> str | None:
    return next((found for name in BROWSERS if (found := shutil.which(name))), None)


@contextmanager
def browsing(command: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=command, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Visitor:
    """Somebody with a browser."""

    page: Page
    url: str
    faults: list[str] = field(default_factory=list)

    def go(self, address: str) -> None:
        self.page.goto(self.url + address, wait_until="networkidle")

    def count_bytes(self) -> int:
        """The size of the page and of all that it has loaded, from the browser's cache or not."""
        size: int = self.page.evaluate(_SIZE)
        return size

    def look_for_barriers(self) -> None:
        """What axe-core finds by the rules of WCAG 2.2 AA, and by its own."""
        found = Axe().run(self.page).response["violations"]
        assert not found, [(one["id"], [node["html"] for node in one["nodes"]][:3]) for one in found]

    def check(self) -> None:
        """Nothing ran that should not, nothing was said, nobody else was asked."""
        assert not self.faults, self.faults
        assert self.page.evaluate("window.hacked") is None
        assert self.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@contextmanager
def visiting(browser: Browser, url: str, **kind: Any) -> Iterator[Visitor]:
    """Somebody who is watched; whatever went wrong is found at the end."""
    context = browser.new_context(**kind)
    context.add_init_script(_NOTE_VIOLATIONS)
    page = context.new_page()
    page.set_default_timeout(20_000)
    visitor = Visitor(page, url)
    host = urlsplit(url).netloc
    page.on("console", lambda message: visitor.faults.append(message.text))
    page.on("pageerror", lambda error: visitor.faults.append(str(error)))
    page.on("dialog", lambda dialog: (visitor.faults.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda one: visitor.faults.append(one.url) if urlsplit(one.url).netloc != host else None)
    try:
        yield visitor
        visitor.check()
    finally:
        context.close()
