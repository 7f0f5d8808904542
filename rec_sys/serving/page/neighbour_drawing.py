"""A product amid those near it, as a drawing: at the left by the graph, at the right by the co-review memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rec_sys.inference.contract import Recommendation

WIDTH: Final = 1000
ROW: Final = 42
_SIDES: Final = {"graph": (380, -14, "end"), "memory": (620, 14, "start")}
_LABEL: Final = 38  # characters
_THICKEST: Final = 7.0


@dataclass(frozen=True)
class Neighbour:
    """A product in the drawing; x, y of its dot, and how thick its line is."""

    asin: str
    title: str
    kind: str
    x: int
    y: float
    label_x: int
    anchor: str
    thickness: float

    @property
    def label(self) -> str:
        """The title, cut where it is long."""
        return self.title if len(self.title) <= _LABEL else f"{self.title[: _LABEL - 1]}…"


@dataclass(frozen=True)
class Neighbourhood:
    """What is drawn."""

    height: int
    neighbours: tuple[Neighbour, ...]


def draw(graph: Sequence[Recommendation], memory: Sequence[Recommendation]) -> Neighbourhood:
    """Both sides, the nearest on top; lines are as thick as scores are high beside the best of their side."""
    height = ROW * max(len(graph), len(memory), 1)
    sides = {"graph": graph, "memory": memory}
    neighbours = [one for kind, products in sides.items() for one in _side(kind, products, height)]
    return Neighbourhood(height, tuple(neighbours))


def _side(kind: str, products: Sequence[Recommendation], height: int) -> list[Neighbour]:
    x, aside, anchor = _SIDES[kind]
    best = max((product.score for product in products), default=0.0)
    first = (height - ROW * len(products)) / 2 + ROW / 2
    return [
        Neighbour(
            *(product.asin, product.title or product.asin, kind, x, first + place * ROW, x + aside, anchor),
            thickness=round(max(0.5, _THICKEST * product.score / best), 2) if best > 0 else 1.0,
        )
        for place, product in enumerate(products)
    ]
