"""How fast and how exact is the index? `uv run -m rec_sys.experiments.index_benchmark`.

Invented catalogues of several sizes, and a bundle's own where one is given, are published to Qdrant Edge and to
qdrant-client's in-memory mode, which is what a program without Edge would use, and asked in one run, one question after
the other. The in-memory mode is slow, so it is given a time instead of a number of questions.
"""

import json
import shutil
import time
import warnings
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from qdrant_client import QdrantClient
from rich.table import Table

from rec_sys.bundle import Bundle
from rec_sys.console import error_console, print_table
from rec_sys.contracts import InputError, PayloadField
from rec_sys.experiments.index_benchmark.settings import IndexBenchmarkSettings, MeasurementSettings
from rec_sys.experiments.synthetic_bundle import write_synthetic_bundle
from rec_sys.files import atomic_folder, writable_folder
from rec_sys.settings import EdgeIndex, ServerIndex
from rec_sys.vector_database.catalogue import Catalogue, read_catalogue
from rec_sys.vector_database.contract import (
    ProductAnswer,
    ProductFilter,
    ProductIndex,
    ProductQuery,
    TextMeaning,
    UserTaste,
)
from rec_sys.vector_database.edge_index import EdgeProductIndex, EdgePublisher
from rec_sys.vector_database.exact import ExactRanking
from rec_sys.vector_database.publication import IndexPublisher, compare, draw_users
from rec_sys.vector_database.server_index import ServerProductIndex
from rec_sys.vector_database.server_publisher import ServerPublisher

REPORT: Final = "benchmark.json"
_WARM_UP: Final = 2  # questions that are not counted


@dataclass(frozen=True)
class Measurement:
    """A row of the report; times of a question in milliseconds."""

    products: int
    back_end: str
    question: str
    asked: int
    p50: float
    p99: float
    recall: float
    publish_seconds: float


def run(settings: IndexBenchmarkSettings) -> None:
    """Measures every size; the last line printed is the report's path.

    Raises:
        InputError: The settings choose a server.
    """
    index = settings.index
    if not isinstance(index, EdgeIndex):
        raise InputError("the benchmark measures Qdrant Edge", where="setting index", remedy="choose index=edge")
    folder = writable_folder(settings.output_dir) / "index_benchmark"
    console = error_console()

    rows: list[Measurement] = []
    with atomic_folder(folder) as unfinished:
        scratch = unfinished / "scratch"
        if settings.bundle is not None:
            bundle = Bundle(settings.bundle, verify=True)
            console.print(f"{bundle.manifest.num_products:,} products of {bundle.folder.name}", markup=False)
            rows += measure_bundle(bundle, settings.measurement, index, scratch, settings.seed)
            shutil.rmtree(scratch)
        for size in settings.measurement.sizes:
            console.print(f"{size:,} products")
            rows += measure_size(size, settings.measurement, index, scratch, settings.seed)
            shutil.rmtree(scratch)
        (unfinished / REPORT).write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    print_table(report_table(rows))
    print(f"benchmark: {folder / REPORT}")


def measure_size(size: int, what: MeasurementSettings, index: EdgeIndex, scratch: Path, seed: int) -> list[Measurement]:
    """Both back ends on one catalogue.

    Args:
        size: Products.
        what: What is measured.
        index: Settings for both back ends; the folder is not used.
        scratch: A folder to make; the caller removes it.
        seed: For the random numbers.
    """
    write_synthetic_bundle(scratch / "bundle", size, what.dim, what.neighbours, seed)
    return measure_bundle(Bundle(scratch / "bundle"), what, index, scratch, seed)


def measure_bundle(
    bundle: Bundle, what: MeasurementSettings, index: EdgeIndex, scratch: Path, seed: int
) -> list[Measurement]:
    """Both back ends on the products of a bundle; the arguments are those of `measure_size`."""
    catalogue = read_catalogue(bundle)
    kinds = draw_questions(catalogue, what.questions, seed)
    edge = index.model_copy(update={"folder": scratch / "index"})
    with EdgeProductIndex(edge) as product_index:
        rows = _measure(product_index, EdgePublisher(edge), "Qdrant Edge", catalogue, kinds, float("inf"))
    if what.in_memory:
        common = index.model_dump(exclude={"backend", "folder", "lock_timeout"})
        # A question takes it seconds, and its answers are compared below.
        server = ServerIndex(backend="server", **common | {"check_queries": 1})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # it says that payload indexes and large sizes are no use
            client = QdrantClient(":memory:")
            with ServerProductIndex(server, client) as product_index:
                publisher = ServerPublisher(server, client)
                seconds = what.in_memory_seconds
                rows += _measure(product_index, publisher, "client in memory", catalogue, kinds, seconds)
    return rows


def draw_questions(catalogue: Catalogue, count: int, seed: int) -> dict[str, list[ProductQuery]]:
    """Questions of every kind, by what the kind is called."""
    users = draw_users(catalogue, count, seed + 1)
    generator = np.random.default_rng(seed)
    tastes = [query.by for query in users if isinstance(query.by, UserTaste)]
    kinds = {
        "taste and memory": users,
        "taste alone": [replace(query, by=UserTaste(by.vector)) for query, by in zip(users, tastes, strict=True)],
    }
    wanted = narrow_filter(catalogue)
    if wanted is not None:
        filtered = [replace(query, filter=replace(wanted, not_seen=query.filter.not_seen)) for query in users]
        kinds["taste and memory, filtered"] = filtered
    told = np.flatnonzero(catalogue.text.any(axis=1))
    if len(told):
        kinds["text"] = [ProductQuery(TextMeaning(vector)) for vector in catalogue.text[generator.choice(told, count)]]
    return kinds


def narrow_filter(catalogue: Catalogue) -> ProductFilter | None:
    """A filter of everything that the catalogue has: categories, a price and a mean rating; None where it has none."""
    details = catalogue.details
    named = details[PayloadField.CATEGORIES].explode().drop_nulls().value_counts(sort=True)
    partial = named.filter(pl.col("count") < 0.9 * len(catalogue))[PayloadField.CATEGORIES].to_list()
    prices, ratings = details[PayloadField.PRICE].drop_nulls(), details[PayloadField.RATING_MEAN].drop_nulls()
    if not partial and prices.is_empty() and ratings.is_empty():
        return None
    return ProductFilter(
        categories_any=tuple(partial[:4]),
        min_price=None if prices.is_empty() else float(np.quantile(prices, 0.1)),
        max_price=None if prices.is_empty() else float(np.quantile(prices, 0.9)),
        min_rating=None if ratings.is_empty() else float(np.quantile(ratings, 0.25)),
    )


def _measure(
    index: ProductIndex,
    publisher: IndexPublisher,
    name: str,
    catalogue: Catalogue,
    kinds: dict[str, list[ProductQuery]],
    seconds: float,
) -> list[Measurement]:
    exact = ExactRanking(catalogue)
    began = time.perf_counter()
    publisher.publish(catalogue)
    publish_seconds = time.perf_counter() - began
    rows = []
    for kind, queries in kinds.items():
        for query in queries[:_WARM_UP]:
            index.search(query)
        answers: list[ProductAnswer] = []
        times: list[float] = []
        while len(answers) < len(queries) and sum(times) < seconds:
            began = time.perf_counter()
            answers.append(index.search(queries[len(answers)]))
            times.append(time.perf_counter() - began)
        p50, p99 = np.quantile(times, (0.5, 0.99)) * 1e3
        recall = compare(answers, queries[: len(answers)], exact).recall
        asked = len(answers)
        rows.append(Measurement(len(catalogue), name, kind, asked, float(p50), float(p99), recall, publish_seconds))
    return rows


def report_table(rows: list[Measurement]) -> Table:
    """The report for the terminal."""
    headings = ("products", "back end", "question", "asked", "p50 ms", "p99 ms", "recall@10", "publish s")
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
        figures = f"{row.asked}", f"{row.p50:,.2f}", f"{row.p99:,.2f}", f"{row.recall:.4f}"
        table.add_row(*start, row.question, *figures, f"{row.publish_seconds:,.1f}" if first else "")
    return table
