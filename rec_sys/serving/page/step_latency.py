"""How long each step of an answer takes, read off the service's own histograms."""

from dataclasses import dataclass

from prometheus_client.samples import Sample

from rec_sys.serving.metrics import STEPS, GatewayMetrics


@dataclass(frozen=True)
class StepLatency:
    """A step's times, in milliseconds; `most` is the bound that 95 of 100 stay below, none where it is not known."""

    step: str
    count: int
    mean: float
    most: float | None


def step_latencies(metrics: GatewayMetrics) -> list[StepLatency]:
    """Every step, in the order of an answer."""
    samples = _samples(metrics, "gateway_step_seconds")
    return [_latency(step, samples) for step in STEPS]


def requests_answered(metrics: GatewayMetrics) -> dict[str, int]:
    """Requests by the first digit of their status, such as 2xx."""
    found: dict[str, int] = {}
    for sample in _samples(metrics, "gateway_requests"):
        if sample.name.endswith("_total"):
            kind = f"{sample.labels['status'][:1]}xx"
            found[kind] = found.get(kind, 0) + int(sample.value)
    return dict(sorted(found.items()))


def _samples(metrics: GatewayMetrics, name: str) -> list[Sample]:
    return [sample for family in metrics.registry.collect() if family.name == name for sample in family.samples]


def _latency(step: str, samples: list[Sample]) -> StepLatency:
    of_step = [sample for sample in samples if sample.labels.get("step") == step]
    total = {sample.name.rpartition("_")[2]: sample.value for sample in of_step if "le" not in sample.labels}
    count = int(total.get("count", 0))
    bounds = [(float(one.labels["le"]), one.value) for one in of_step if "le" in one.labels]
    most = next((bound for bound, below in sorted(bounds) if count and below >= 0.95 * count), float("inf"))
    return StepLatency(
        *(step, count, 1000 * total.get("sum", 0.0) / count if count else 0.0),
        most=None if most == float("inf") else 1000 * most,
    )
