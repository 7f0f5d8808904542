"""The report in a real browser: it needs nothing but itself, its script runs, and its charts show something."""

import html
import json
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
    """Two models fitted on the train split, and on train and validation together."""
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


@pytest.fixture
def browser() -> str:
    """A browser that runs without a screen."""
    found = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"a browser: install one of {', '.join(BROWSERS)}")
    return found


def look(browser: str, page: Path, tmp_path: Path, width: int, *asked: str) -> subprocess.CompletedProcess[str]:
    """Opens the page in a window of that width."""
    return subprocess.run(
        [
            *(browser, *QUIET, f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},2400"),
            *(*asked, f"file://{page}"),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=600,
    )


def test_a_browser_shows_charts_tables_and_a_switch_between_the_splits(
    report: Path, browser: str, tmp_path: Path
) -> None:
    picture = tmp_path / "page.png"
    ended = look(browser, report, tmp_path, 1200, "--enable-logging=stderr", "--v=0", "--dump-dom")
    shown = ended.stdout
    assert "CONSOLE" not in ended.stderr, ended.stderr
    # The script has hidden the second view and marked the first button.
    assert re.search(r'<div class="?view"? data-view="train\+validation" hidden', shown)
    assert re.search(r'<button data-view="train" class="on"', shown)
    assert shown.count("<svg") >= 4
    assert shown.count('data-model="item_knn"') >= 4
    assert not re.search(r'="[^"]*NaN', shown)
    look(browser, report, tmp_path, 1200, f"--screenshot={picture}")
    assert picture.stat().st_size > 30_000


# Scrolls the first table to its end and writes where its first column, its last and its box then stand.
MEASURE = """<script>
const box = document.querySelector(".scroll");
box.scrollLeft = 1e6;
const place = (element) => [element.getBoundingClientRect().left, element.getBoundingClientRect().right];
const cells = [...box.querySelectorAll("tbody tr")].map((row) => [row.cells[0], row.cells[row.cells.length - 1]]);
document.body.dataset.measured = JSON.stringify({
  box: place(box), scrolled: box.scrollLeft, first: cells.map(([cell]) => place(cell)),
  last: cells.map(([, cell]) => place(cell)), cut: cells.flat().some((cell) => cell.scrollWidth > cell.clientWidth),
});
</script>"""


@pytest.mark.parametrize(("width", "scrolls"), [(1300, False), (500, True)])
def test_the_first_table_keeps_its_first_column_in_sight(
    report: Path, browser: str, tmp_path: Path, width: int, scrolls: bool
) -> None:
    page = tmp_path / "measured.html"
    page.write_text(report.read_text(encoding="utf-8").replace("</body>", f"{MEASURE}</body>"), encoding="utf-8")
    shown = look(browser, page, tmp_path, width, "--dump-dom").stdout
    measured = json.loads(html.unescape(re.findall(r'data-measured="([^"]*)"', shown)[0]))
    left, right = measured["box"]
    assert (measured["scrolled"] > 0) == scrolls
    assert not measured["cut"]
    for first, last in zip(measured["first"], measured["last"], strict=True):
        assert first[0] == pytest.approx(left, abs=1)
        assert first[1] < last[0]
        assert last[1] == pytest.approx(right, abs=1)
