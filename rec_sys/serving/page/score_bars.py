"""Where a product's score comes from, as the parts of a bar."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rec_sys.inference.contract import Recommendation

WIDTH: Final = 100.0
_TINY: Final = 1e-300  # what is less cannot be divided by


@dataclass(frozen=True)
class Part:
    """A part of a bar.

    Attributes:
        kind: graph, memory or ranker.
        value: In the score's unit.
        start: From the bar's left end, of `WIDTH`.
        width: Likewise.
    """

    kind: str
    value: float
    start: float
    width: float


@dataclass(frozen=True)
class ScoreBar:
    """The bar of a product; what speaks against it lies left of zero."""

    zero: float
    parts: tuple[Part, ...]

    @property
    def words(self) -> str:
        """The same for who does not see it."""
        return "Score: " + ", ".join(f"{part.kind} {part.value:+.2f}" for part in self.parts)


def score_bars(products: Sequence[Recommendation]) -> list[ScoreBar | None]:
    """A bar of each product, all on one scale; None where the score has no parts.

    What is neither of the memory nor of the ranker and the rules is of the towers, whose attention over the graph's
    edges made the vectors.
    """
    split = [_split(product) for product in products]
    above = max((sum(max(value, 0) for value in values.values()) for values in split), default=0.0)
    below = max((sum(max(-value, 0) for value in values.values()) for values in split), default=0.0)
    unit = WIDTH / (above + below) if above + below > _TINY else 0.0
    return [_bar(values, below * unit, unit) if values else None for values in split]


def _split(product: Recommendation) -> dict[str, float]:
    if product.source not in ("graph", "memory"):
        return {}
    memory, ranker = product.memory_score, product.ranker_score
    return {"graph attention": product.score - memory - ranker, "co-review memory": memory, "ranker": ranker}


def _bar(values: dict[str, float], zero: float, unit: float) -> ScoreBar:
    parts, left, right = [], zero, zero
    for kind, value in values.items():
        width = abs(value) * unit
        if value < 0:
            left -= width
        parts.append(Part(kind, value, round(left if value < 0 else right, 2), round(width, 2)))
        right += width if value >= 0 else 0
    return ScoreBar(round(zero, 2), tuple(parts))
