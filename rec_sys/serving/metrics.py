"""What the service counts and measures, for Prometheus; each application has a registry of its own."""

from collections import Counter as Counts
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

from rec_sys.inference.contract import ProductsAnswer, RecommendationAnswer
from rec_sys.inference.health_messages import Health
from rec_sys.store.messages import EventKind

STEPS: Final = ("text", "tower", "index", "ranker", "rest")
# Seconds; dense around the milliseconds that an answer should take.
_BUCKETS: Final = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class GatewayMetrics:
    """The service's counters, gauges and histograms."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.requests = Counter(
            "gateway_requests", "Requests answered.", ("method", "route", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "gateway_request_seconds",
            "Time from a request's head to the end of its answer.",
            ("method", "route"),
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.in_progress = Gauge("gateway_requests_in_progress", "Requests under way.", registry=self.registry)
        self.turned_away = Counter(
            "gateway_requests_turned_away", "Requests refused because too many were under way.", registry=self.registry
        )
        self.steps = Histogram(
            "gateway_step_seconds", "Time of a step of an answer.", ("step",), buckets=_BUCKETS, registry=self.registry
        )
        self.products = Counter(
            "gateway_products", "Products answered, by what spoke for them.", ("source",), registry=self.registry
        )
        self.events = Counter(
            "gateway_events",
            "Events taken, by the source and the model of the answer that they name.",
            ("event", "source", "model"),
            registry=self.registry,
        )
        self.click_through = Gauge(
            "gateway_click_through",
            "Clicks by impression, since the start.",
            ("source", "model"),
            registry=self.registry,
        )
        self.conversion = Gauge(
            "gateway_conversion", "Orders by click, since the start.", ("source", "model"), registry=self.registry
        )
        self.fallbacks = Counter("gateway_fallbacks", "Answers by a fallback.", ("fallback",), registry=self.registry)
        self.ignored = Counter(
            "gateway_ignored_reviews", "Reviews of requests that could not be used.", registry=self.registry
        )
        self.part_ready = Gauge(
            "gateway_part_ready",
            "1 where a component was ready when last looked at.",
            ("part",),
            registry=self.registry,
        )
        self.serving = Gauge(
            "gateway_serving_info",
            "1 for the versions that gave the newest answer.",
            ("bundle", "index", "towers"),
            registry=self.registry,
        )
        self._served: tuple[str, str, str] | None = None
        self._events: Counts[tuple[str, str, str]] = Counts()
        self._steps = {step: self.steps.labels(step) for step in STEPS}

    def count_answer(self, answer: ProductsAnswer) -> None:
        """Counts what an answer holds and where its time went."""
        for step, histogram in self._steps.items():
            histogram.observe(getattr(answer.times, step) / 1000)
        for product in answer.products:
            self.products.labels(product.source).inc()
        if answer.fallback is not None:
            self.fallbacks.labels(answer.fallback).inc()
        if isinstance(answer, RecommendationAnswer) and answer.ignored:
            self.ignored.inc(len(answer.ignored))
        served = (answer.versions.bundle, answer.versions.index or "none", answer.versions.towers)
        if served != self._served:
            self.serving.clear()
            self.serving.labels(*served).set(1)
            self._served = served

    def count_event(self, event: EventKind, source: str, model: str) -> None:
        """Counts an event; source and model are of `recent_answers`' lists."""
        self.events.labels(event, source, model).inc()
        self._events[event, source, model] += 1
        seen, clicked, ordered = (self._events[kind, source, model] for kind in ("impression", "click", "order"))
        if seen:
            self.click_through.labels(source, model).set(clicked / seen)
        if clicked:
            self.conversion.labels(source, model).set(ordered / clicked)

    def note_health(self, health: Health) -> None:
        """Keeps what a look at the components found."""
        for component in health.parts:
            self.part_ready.labels(component.part).set(component.ready)

    def render(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self.registry)
