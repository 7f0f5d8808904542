"""How fast and how exact is the index? `uv run -m rec_sys.experiments.index_benchmark`.

The products of a bundle, or invented ones where there is none or sizes are asked for, are published to Qdrant Edge and
to qdrant-client's in-memory mode, which is what a program without Edge would use, and asked in one run, one question
after the other. The in-memory mode is slow, so it is given a time instead of a number of questions.
"""

import json
import logging
import shutil
from pathlib import Path
from typing import Any, Final

from rich.table import Table

from rec_sys.bundle import bundle_folders, find_bundle
from rec_sys.console import print_table, say
from rec_sys.contracts import InputError
from rec_sys.experiments.fresh_process import measure_apart
from rec_sys.experiments.index_benchmark.measurement import CatalogueRequest, Measurement
from rec_sys.experiments.index_benchmark.settings import IndexBenchmarkSettings
from rec_sys.files import atomic_folder, writable_folder
from rec_sys.settings import EdgeIndex

REPORT: Final = "benchmark.json"
_MEASUREMENT: Final = "rec_sys.experiments.index_benchmark.measurement"
_SMALL_SIZE: Final = 2_000  # products that are built in seconds
_MEGABYTE: Final = 1e6
_LOG: Final = logging.getLogger(__name__)


def run(settings: IndexBenchmarkSettings) -> None:
    """Measures every catalogue; the last line printed is the report's path.

    Raises:
        InputError: The settings choose a server.
    """
    if not isinstance(settings.index, EdgeIndex):
        raise InputError("the benchmark measures Qdrant Edge", where="setting index", remedy="choose index=edge")
    catalogues = choose_catalogues(settings)
    folder = writable_folder(settings.output_dir) / "index_benchmark"
    _LOG.info(f"to be measured: {', '.join(name for name, _, _ in catalogues)}; 100,000 take about ten minutes")
    found: list[dict[str, Any]] = []
    with atomic_folder(folder) as unfinished:
        scratch = (unfinished / "scratch").absolute()
        for name, bundle, size in catalogues:
            _LOG.info(name)
            scratch.mkdir()
            request = CatalogueRequest(
                bundle=bundle,
                size=size,
                measurement=settings.measurement,
                index=settings.index,
                scratch=scratch,
                seed=settings.seed,
            )
            found += measure_apart(_MEASUREMENT, request, scratch, where=name, remedy="choose smaller sizes")
            shutil.rmtree(scratch)
        (unfinished / REPORT).write_text(json.dumps(found, indent=2) + "\n")
    print_table(report_table([Measurement(**row) for row in found]))
    say(f"benchmark: {folder / REPORT}")


def choose_catalogues(settings: IndexBenchmarkSettings) -> list[tuple[str, Path | None, int]]:
    """What is measured, each with its name, its bundle or None, and its size.

    The bundle is the newest one where neither a bundle nor sizes are given; without any, a small size is invented.
    """
    sizes = settings.measurement.sizes
    has_any = bool(bundle_folders(settings.output_dir))
    catalogues: list[tuple[str, Path | None, int]] = []
    if settings.bundle is not None or (has_any and not sizes):
        bundle = find_bundle(settings.bundle, settings.output_dir)
        size = bundle.manifest.num_products
        catalogues.append((f"{size:,} products of {bundle.folder.name}", bundle.folder.absolute(), size))
    elif not sizes:
        sizes = (_SMALL_SIZE,)
    return catalogues + [(f"{size:,} invented products", None, size) for size in sizes]


def report_table(rows: list[Measurement]) -> Table:
    """The report for the terminal."""
    asked = ("question", "asked", "p50 ms", "p99 ms", "cpu p50", "cpu p99", "recall@10")
    headings = ("products", "back end", *asked, "publish s", "cpu s", "MB")
    table = Table(*headings, title="the index: time a question, and agreement with exact scores", title_justify="left")
    for column in (table.columns[0], *table.columns[3:]):
        column.justify = "right"
    before = None
    for row in rows:
        first = (row.products, row.back_end) != before
        if first and before:
            table.add_section()
        before = (row.products, row.back_end)
        start = (f"{row.products:,}", row.back_end) if first else ("", "")
        times = (f"{value:,.2f}" for value in (row.p50, row.p99, row.processor_p50, row.processor_p99))
        size = "-" if row.disk_bytes is None else f"{row.disk_bytes / _MEGABYTE:,.0f}"
        built = f"{row.publish_seconds:,.1f}", f"{row.publish_processor_seconds:,.1f}", size
        figures = f"{row.asked}", *times, f"{row.recall:.4f}"
        table.add_row(*start, row.question, *figures, *(built if first else ("", "", "")))
    return table
