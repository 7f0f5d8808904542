"""What the service counts and measures, for Prometheus, all its workers together; nothing is lost with one of them."""

import os
from collections import Counter as CountOf
from collections.abc import Callable, Iterable
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
    values,
)
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from rec_sys.inference.contract import ProductsAnswer, RecommendationAnswer
from rec_sys.inference.health_messages import Health
from rec_sys.serving.worker_memory import ALONE, WorkerMemory
from rec_sys.store.messages import EventKind

STEPS: Final = ("text", "tower", "index", "ranker", "rest")
# Seconds; dense around the milliseconds that an answer should take.
_BUCKETS: Final = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_SERVING: Final = "gateway_serving_info"
_EVENTS: Final = "gateway_events"


class GatewayMetrics:
    """The service's counters, gauges and histograms.

    Workers count in files that they share, as `prometheus_client` has it. Its kind of values is chosen for a whole
    process, so that a worker has one such object.

    Attributes:
        registry: What all workers have counted.
    """

    def __init__(self, memory: WorkerMemory = ALONE) -> None:
        counted = CollectorRegistry()
        collect, self.registry = counted.collect, CollectorRegistry()
        if memory.folder is None:
            ProcessCollector(registry=self.registry)
        else:
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(memory.folder)
            values.ValueClass = values.MultiProcessValue(lambda: memory.number)
            collect = MultiProcessCollector(None, str(memory.folder)).collect
            self.registry.register(_WorkerProcesses(memory))
        PlatformCollector(registry=self.registry)
        self.registry.register(_Counted(collect))
        self.requests = Counter(
            "gateway_requests", "Requests answered.", ("method", "route", "status"), registry=counted
        )
        self.seconds = Histogram(
            "gateway_request_seconds",
            "Time from a request's head to the end of its answer.",
            ("method", "route"),
            buckets=_BUCKETS,
            registry=counted,
        )
        self.in_progress = Gauge(
            "gateway_requests_in_progress", "Requests under way.", registry=counted, multiprocess_mode="livesum"
        )
        self.turned_away = Counter(
            "gateway_requests_turned_away", "Requests refused because too many were under way.", registry=counted
        )
        self.steps = Histogram(
            "gateway_step_seconds", "Time of a step of an answer.", ("step",), buckets=_BUCKETS, registry=counted
        )
        self.products = Counter(
            "gateway_products", "Products answered, by what spoke for them.", ("source",), registry=counted
        )
        self.events = Counter(
            _EVENTS,
            "Events taken, by the source and the model of the answer that they name.",
            ("event", "source", "model"),
            registry=counted,
        )
        self.fallbacks = Counter("gateway_fallbacks", "Answers by a fallback.", ("fallback",), registry=counted)
        self.ignored = Counter(
            "gateway_ignored_reviews", "Reviews of requests that could not be used.", registry=counted
        )
        self.part_ready = Gauge(
            "gateway_part_ready",
            "1 where a component was ready when last looked at.",
            ("part",),
            registry=counted,
            multiprocess_mode="mostrecent",
        )
        self.serving = Gauge(
            _SERVING,
            "1 for the versions that gave the newest answer.",
            ("bundle", "index", "towers"),
            registry=counted,
            multiprocess_mode="livemax",
        )
        self._served: tuple[str, str, str] | None = None
        self._steps = {step: self.steps.labels(step) for step in STEPS}

    def count_answer(self, answer: ProductsAnswer) -> None:
        """Counts what an answer holds and where its time went."""
        for step, histogram in self._steps.items():
            histogram.observe(getattr(answer.times, step) / 1000)
        for source, count in CountOf(product.source for product in answer.products).items():
            self.products.labels(source).inc(count)
        if answer.fallback is not None:
            self.fallbacks.labels(answer.fallback).inc()
        if isinstance(answer, RecommendationAnswer) and answer.ignored:
            self.ignored.inc(len(answer.ignored))
        served = (answer.versions.bundle, answer.versions.index or "none", answer.versions.towers)
        if served != self._served:
            if self._served is not None:
                self.serving.labels(*self._served).set(0)
            self.serving.labels(*served).set(1)
            self._served = served

    def count_event(self, event: EventKind, source: str, model: str) -> None:
        """Counts an event; source and model are of `recent_answers`' lists."""
        self.events.labels(event, source, model).inc()

    def note_health(self, health: Health) -> None:
        """Keeps what a look at the components found."""
        for component in health.parts:
            self.part_ready.labels(component.part).set(component.ready)

    def render(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self.registry)


class _Counted(Collector):
    """What was counted, and what follows from it."""

    def __init__(self, collect: Callable[[], Iterable[Metric]]) -> None:
        self._collect = collect

    def collect(self) -> Iterable[Metric]:
        """The families of metrics."""
        for family in self._collect():
            if family.name == _SERVING:  # files that are shared keep what was
                family.samples = [sample for sample in family.samples if sample.value]
            yield family
            if family.name == _EVENTS:
                yield from _ratios(family)


def _ratios(events: Metric) -> Iterable[Metric]:
    """Clicks by impression and orders by click, since the start."""
    counts: dict[tuple[str, str], dict[str, float]] = {}
    for sample in events.samples:
        if sample.name.endswith("_total"):
            place = sample.labels["source"], sample.labels["model"]
            counts.setdefault(place, {})[sample.labels["event"]] = sample.value
    for name, what, event, of in (
        ("gateway_click_through", "Clicks by impression, since the start.", "click", "impression"),
        ("gateway_conversion", "Orders by click, since the start.", "order", "click"),
    ):
        ratio = GaugeMetricFamily(name, what, labels=("source", "model"))
        for place, count in counts.items():
            if count.get(of):
                ratio.add_metric(place, count.get(event, 0) / count[of])
        yield ratio


class _WorkerProcesses(Collector):
    """Memory, time and files of each worker, by its number."""

    def __init__(self, memory: WorkerMemory) -> None:
        self._processes = memory.processes

    def collect(self) -> Iterable[Metric]:
        """The families of `ProcessCollector`."""
        found: dict[str, Metric] = {}
        for number, process in enumerate(self._processes):
            families = ProcessCollector(pid=lambda of=process: of, registry=None).collect()  # type: ignore[misc] # no lambda has a default there
            for family in families if process else ():
                merged = found.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                for sample in family.samples:
                    merged.add_sample(sample.name, {"worker": str(number)}, sample.value)
        return found.values()
