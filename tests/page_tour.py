"""A tour of the page: `uv run -m tests.page_tour [output_dir=FOLDER]` takes its pictures and measures its first looks.

Starts the demo in process, trained on the sample first where there is no bundle, and visits it with a real browser:
the pictures of `rec_sys/serving/README.md` are written, and the figures that stand beside them are printed.
"""

import io
import os
import sys
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page

from rec_sys.console import say
from rec_sys.contracts import InputError
from rec_sys.serving.commands import Command
from tests.page_browser import Visitor, browsing, find_browser, visiting

PICTURES: Final = Path(__file__).parents[1] / ".readme"
DESK, PHONE = {"width": 1000, "height": 733}, {"width": 390, "height": 844}
LOOKS: Final[tuple[dict[str, Any], ...]] = (
    {"color_scheme": "light", "viewport": DESK},
    {"color_scheme": "dark", "viewport": DESK},
    {"color_scheme": "light", "viewport": PHONE},
)
HEIGHT, GAP, COLOURS = 440, 10, 64
REVIEWS: Final = """Kunde;Artikel;Sterne;Datum;Text
anna;B0Z86UCPD6;5;03/04/2026;Quiet, and it lies flat.
bert;B0O18CJ64D;4;17/04/2026;Stands where it is put.
;B0K9HFTDIM;2;18/04/2026;Slips.
carla;B0K9HFTDIM;5;19/04/2026;Quick to set.
"""
TYPED: Final = ("guitar strings", "microphone cable", "music stand", "drum sticks", "quiet strings for jazz", "capo")
# When the words were typed, and for how long they stood there without what is found for them.
WATCH: Final = """() => {
    window.waits = [];
    document.addEventListener("input", () => { window.typed = performance.now(); }, true);
    new MutationObserver(() => window.waits.push(performance.now() - window.typed))
        .observe(document.getElementById("suggestions"), { childList: true });
}"""
FIRST_PAINT: Final = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
FIRST_LOOKS: Final = 10


def main(overrides: list[str]) -> None:
    """Tours the demo that these settings start."""
    command = find_browser()
    if command is None:
        raise InputError("there is no browser", where="PATH", remedy="install chromium")
    with Command("rec_sys.serving.demo", ["runtime=in_process", *overrides]) as demo:
        url = demo.wait_for(("page",), "ready")["page"].rstrip("/")
        with browsing(command) as browser:
            take_pictures(browser, url)
            say(measure_first_looks(browser, url))
            say(measure_typing(browser, url))
    say(f"load: {os.getloadavg()[0]:.1f} processes over the last minute, on {os.cpu_count()} cores")


def take_pictures(browser: Browser, url: str) -> None:
    """Each view in light, dark and on a phone, side by side in one file."""
    with visiting(browser, url) as visitor:
        visitor.go("/")
        user_id = visitor.page.locator("[data-links] a").first.inner_text()
        file = offered_file(visitor)
    views = {
        "customer": f"/?user_id={quote(user_id)}",
        "understand": f"/understand?user_id={quote(user_id)}",
        "compare": f"/compare?user_id={quote(user_id)}",
        "import": file,
        "models": "/models",
    }
    shots: dict[str, list[Image.Image]] = {name: [] for name in views}
    for look in LOOKS:
        with visiting(browser, url, **look) as visitor:
            for name, address in views.items():
                visitor.go(address)
                shots[name].append(Image.open(io.BytesIO(visitor.page.screenshot())))
    for name, looks in shots.items():
        path = PICTURES / f"page_{name}.png"
        side_by_side(looks).save(path, optimize=True)
        say(f"picture: {path.name}, {path.stat().st_size / 1000:.0f} kB")


def offered_file(visitor: Visitor) -> str:
    """The address of a file that is offered and not taken in."""
    page = visitor.page
    visitor.go("/shop/import")
    page.locator("#chosen").set_input_files({"name": "reviews.csv", "mimeType": "", "buffer": REVIEWS.encode()})
    page.get_by_role("button", name="Look at it").click()
    page.get_by_role("button", name="Take it in").wait_for()
    return page.url.removeprefix(visitor.url)


def side_by_side(shots: list[Image.Image]) -> Image.Image:
    """Shots of one height in a row, in few colours, which is enough for text."""
    scaled = [one.convert("RGB").resize((one.width * HEIGHT // one.height, HEIGHT), Image.LANCZOS) for one in shots]
    whole = Image.new("RGB", (sum(one.width for one in scaled) + GAP * (len(scaled) - 1), HEIGHT), "white")
    left = 0
    for one in scaled:
        whole.paste(one, (left, 0))
        left += one.width + GAP
    return whole.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)


def measure_first_looks(browser: Browser, url: str) -> str:
    """Nothing is in the browser's cache."""
    paints, size = [], 0
    for _ in range(FIRST_LOOKS):
        with visiting(browser, url) as visitor:
            visitor.go("/")
            paints.append(visitor.page.evaluate(FIRST_PAINT))
            size = visitor.count_bytes()
    worst = max(paints)
    return (
        f"first paint: {np.median(paints):.0f} ms, at most {worst:.0f}, of {len(paints)}; {size / 1000:.1f} kB in all"
    )


def measure_typing(browser: Browser, url: str) -> str:
    """From each letter to what is found for it; the next one is typed when that is there."""
    with visiting(browser, url) as visitor:
        page = visitor.page
        visitor.go("/")
        page.evaluate(WATCH)
        count = 0
        for words in TYPED:
            page.fill("#find", "")
            for letter in words:
                count = type_letter(page, letter, count)
        waits = np.array(page.evaluate("window.waits"))
    middle, most = np.percentile(waits, [50, 95])
    return f"typing to suggestions: {middle:.0f} ms, 95 of 100 within {most:.0f}, of {len(waits)}"


def type_letter(page: Page, letter: str, seen: int) -> int:
    """Types one and waits for what is found; returns how often something was."""
    page.wait_for_timeout(100)  # as one types; what an emptied field finds is there, too
    seen = max(seen, int(page.evaluate("window.waits.length")))
    page.locator("#find").press_sequentially(letter)
    page.wait_for_function("(seen) => window.waits.length > seen", arg=seen)
    return seen + 1


if __name__ == "__main__":
    main(sys.argv[1:])
