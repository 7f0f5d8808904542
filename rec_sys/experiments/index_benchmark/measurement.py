"""One catalogue measured, in a process of its own: an index that is being built hears no Ctrl-C."""

import time
import warnings
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from qdrant_client import QdrantClient

from rec_sys.bundle import Bundle
from rec_sys.contracts import PayloadField
from rec_sys.experiments.fresh_process import answer_request
from rec_sys.experiments.index_benchmark.settings import MeasurementSettings
from rec_sys.experiments.synthetic_bundle import write_synthetic_bundle
from rec_sys.settings import EdgeIndex, Section, ServerIndex
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

_WARM_UP: Final = 2  # questions that are not counted
_BLOCK: Final = 512  # bytes, as stat counts what a file takes


class CatalogueRequest(Section):
    """What is to be measured.

    Attributes:
        bundle: Whose products; None = invented ones.
        size: How many products are invented.
        measurement: What is measured.
        index: Settings for both back ends; its folder is not used.
        scratch: A folder for whatever is written; the caller removes it.
        seed: For the random numbers.
    """

    bundle: Path | None
    size: int
    measurement: MeasurementSettings
    index: EdgeIndex
    scratch: Path
    seed: int


@dataclass(frozen=True)
class Measurement:
    """A row of the report; times of a question in milliseconds.

    Attributes:
        processor_p50: Of the processors, which other work on the machine disturbs less than a time on the wall.
        publish_processor_seconds: The same of the publication, of all threads.
        disk_bytes: What the version takes on the disk; None where it is in memory.
    """

    products: int
    back_end: str
    question: str
    asked: int
    p50: float
    p99: float
    processor_p50: float
    processor_p99: float
    recall: float
    publish_seconds: float
    publish_processor_seconds: float
    disk_bytes: int | None


def measure_catalogue(request: CatalogueRequest) -> list[dict[str, Any]]:
    """Both back ends on one catalogue: a `Measurement` for each and every kind of question."""
    what, index = request.measurement, request.index
    folder = request.bundle or request.scratch / "bundle"
    if request.bundle is None:
        write_synthetic_bundle(folder, request.size, what.dim, what.neighbours, request.seed, has_text=what.text)
    catalogue = read_catalogue(Bundle(folder))
    kinds = draw_questions(catalogue, what.questions, request.seed)
    rows = []
    for name, exact_below in _searches(what.both_searches, index, len(catalogue)).items():
        edge = index.model_copy(update={"folder": request.scratch / name, "exact_below": exact_below})
        if what.both_searches:  # what the graph misses is what is measured
            edge = edge.model_copy(update={"min_recall": 0.0})
        with EdgeProductIndex(edge) as product_index:
            rows += _measure(product_index, EdgePublisher(edge), name, catalogue, kinds, float("inf"), edge.folder)
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
    return [asdict(row) for row in rows]


def _searches(both: bool, index: EdgeIndex, num_products: int) -> dict[str, int]:
    """Up to which size a catalogue is searched whole, by the name of a row's back end."""
    if not both:
        return {"Qdrant Edge": index.exact_below}
    return {"Qdrant Edge, flat": num_products, "Qdrant Edge, HNSW": 0}


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
    described = np.flatnonzero(catalogue.text.any(axis=1))
    if len(described):
        vectors = catalogue.text[generator.choice(described, count)]
        kinds["text"] = [ProductQuery(TextMeaning(vector)) for vector in vectors]
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
    folder: Path | None = None,
) -> list[Measurement]:
    exact = ExactRanking(catalogue)
    began, processor_began = time.perf_counter(), time.process_time()
    publisher.publish(catalogue)
    publish_seconds, publish_processor_seconds = time.perf_counter() - began, time.process_time() - processor_began
    # Edge's files are mostly holes.
    files = [] if folder is None else [path.stat() for path in folder.rglob("*") if path.is_file()]
    disk_bytes = sum(file.st_blocks * _BLOCK for file in files) if files else None
    rows = []
    for kind, queries in kinds.items():
        for query in queries[:_WARM_UP]:
            index.search(query)
        answers: list[ProductAnswer] = []
        times: list[float] = []
        processor_times: list[float] = []
        while len(answers) < len(queries) and sum(times) < seconds:
            began, processor_began = time.perf_counter(), time.process_time()
            answers.append(index.search(queries[len(answers)]))
            processor_times.append(time.process_time() - processor_began)
            times.append(time.perf_counter() - began)
        rows.append(
            Measurement(
                products=len(catalogue),
                back_end=name,
                question=kind,
                asked=len(answers),
                p50=_milliseconds(times, 0.5),
                p99=_milliseconds(times, 0.99),
                processor_p50=_milliseconds(processor_times, 0.5),
                processor_p99=_milliseconds(processor_times, 0.99),
                recall=compare(answers, queries[: len(answers)], exact).recall,
                publish_seconds=publish_seconds,
                publish_processor_seconds=publish_processor_seconds,
                disk_bytes=disk_bytes,
            )
        )
    return rows


def _milliseconds(seconds: list[float], share: float) -> float:
    """That share of the times is no longer."""
    return float(np.quantile(seconds, share)) * 1e3


if __name__ == "__main__":
    answer_request(measure_catalogue, CatalogueRequest)
