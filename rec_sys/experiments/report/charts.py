"""Pictures as inline SVG: small, sharp at every size, with every value under the pointer."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

_WIDTH: Final = 620.0
_HEIGHT: Final = 360.0
_LEFT: Final = 58.0
_TOP: Final = 18.0
_BOTTOM: Final = 46.0
_LABEL_ROOM: Final = 128.0
_LINE: Final = 14.0  # pixels between two labels
_CHARACTER: Final = 6.6


@dataclass(frozen=True)
class Point:
    """A value with its standard error (0 = none)."""

    x: float
    y: float
    error: float = 0.0


@dataclass(frozen=True)
class Series:
    """What belongs together under one name and colour."""

    name: str
    colour: str
    points: tuple[Point, ...]
    strong: bool = False


def scatter(series: Sequence[Series], x_label: str, y_label: str) -> str:
    """One point a series; x is logarithmic and in seconds."""
    points = [one.points[0] for one in series]
    low = math.floor(math.log10(min(point.x for point in points)))
    high = max(low + 1, math.ceil(math.log10(max(point.x for point in points))))
    frame = _Frame(_ticks(max(point.y + point.error for point in points)), right=28.0)

    def place(value: float) -> float:
        return frame.left + (math.log10(value) - low) / (high - low) * frame.inner_width

    parts = [frame.grid(y_label)]
    for power in range(low, high + 1):
        x = place(10.0**power)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{frame.floor:.1f}"/>')
        parts.append(_text(x, frame.floor + 18, _seconds(10.0**power), "tick", "middle"))
    parts.append(_text(frame.left + frame.inner_width / 2, _HEIGHT - 8, x_label, "axis", "middle"))
    marks, taken = [], []
    for one in sorted(series, key=lambda each: not each.strong):
        point = one.points[0]
        x, y = place(point.x), frame.y(point.y)
        marks.append((x, y, one))
        taken.append((x - 7, y - 7, x + 7, y + 7))
    for x, y, one in marks:
        point = one.points[0]
        tip = f"{one.name}: {point.y:.4f} ± {point.error:.4f}, {_seconds(point.x)}"
        mark = _whisker(x, frame.y(point.y - point.error), frame.y(point.y + point.error), one.colour)
        mark += f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{7 if one.strong else 5}" fill="{one.colour}"/>'
        label = _free_place(x, y, len(one.name) * _CHARACTER, taken)
        if label is not None:
            taken.append(label)
            mark += _text(label[0], label[3] - 3, one.name, "label strong" if one.strong else "label", "start")
        parts.append(_group(one.name, tip, mark))
    return _svg(parts)


def lines(series: Sequence[Series], places: Sequence[str], x_label: str, y_label: str) -> str:
    """A line a series over named places; a series may miss some. Names stand at the lines' ends."""
    top = max(point.y + point.error for one in series for point in one.points)
    frame = _Frame(_ticks(top), right=_LABEL_ROOM)
    step = frame.inner_width / max(1, len(places) - 1)
    inset = 0.0 if len(places) > 1 else frame.inner_width / 2

    def place(number: float) -> float:
        return frame.left + inset + number * step

    parts = [frame.grid(y_label)]
    parts += [_text(place(number), frame.floor + 18, name, "tick", "middle") for number, name in enumerate(places)]
    parts.append(_text(frame.left + frame.inner_width / 2, _HEIGHT - 8, x_label, "axis", "middle"))
    ends = []
    for one in sorted(series, key=lambda each: each.strong):
        corners = " ".join(f"{place(point.x):.1f},{frame.y(point.y):.1f}" for point in one.points)
        width = 3 if one.strong else 1.8
        mark = f'<polyline points="{corners}" fill="none" stroke="{one.colour}" stroke-width="{width}"/>'
        for point in one.points:
            x = place(point.x)
            mark += _whisker(x, frame.y(point.y - point.error), frame.y(point.y + point.error), one.colour)
            tip = f"{one.name}, {places[int(point.x)]}: {point.y:.4f} ± {point.error:.4f}"
            mark += (
                f'<circle cx="{x:.1f}" cy="{frame.y(point.y):.1f}" r="{4 if one.strong else 3}" fill="{one.colour}">'
                f"<title>{escape(tip)}</title></circle>"
            )
        parts.append(_group(one.name, one.name, mark))
        ends.append((frame.y(one.points[-1].y), place(one.points[-1].x), one))
    for y, (height, x, one) in _spread(ends, frame.floor):
        tie = f'<line class="tie" x1="{x + 5:.1f}" y1="{height:.1f}" x2="{_WIDTH - _LABEL_ROOM + 7}" y2="{y:.1f}"/>'
        label = _text(_WIDTH - _LABEL_ROOM + 18, y + 4, one.name, "label strong" if one.strong else "label", "start")
        chip = f'<circle cx="{_WIDTH - _LABEL_ROOM + 12}" cy="{y:.1f}" r="3.5" fill="{one.colour}"/>'
        parts.append(_group(one.name, one.name, tie + chip + label))
    return _svg(parts)


def intervals(rows: Sequence[tuple[str, str, float, float, float, str]], x_label: str) -> str:
    """Differences with their intervals around a line at zero: (name, colour, difference, low, high, tip) a row."""
    height = _TOP + len(rows) * 24 + _BOTTOM
    lowest = min(0.0, *(low for _, _, _, low, _, _ in rows))
    highest = max(0.0, *(high for _, _, _, _, high, _ in rows))
    margin = 0.06 * (highest - lowest) or 1.0
    lowest, highest = lowest - margin, highest + margin
    left, right = 150.0, _WIDTH - 24

    def place(value: float) -> float:
        return left + (value - lowest) / (highest - lowest) * (right - left)

    floor = height - _BOTTOM + 4
    parts = []
    step = _round_step((highest - lowest) / 6)
    for number in range(math.ceil(lowest / step), math.floor(highest / step) + 1):
        x = place(number * step)
        kind = "zero" if number == 0 else "grid"
        parts.append(f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP - 6}" y2="{floor:.1f}"/>')
        parts.append(_text(x, floor + 17, f"{number * step:+.3g}" if number else "0", "tick", "middle"))
    for row, (name, colour, difference, low, high, tip) in enumerate(rows):
        y = _TOP + 10 + row * 24
        mark = _text(left - 10, y + 4, name, "label", "end")
        mark += (
            f'<line x1="{place(low):.1f}" x2="{place(high):.1f}" y1="{y}" y2="{y}" stroke="{colour}" stroke-width="3"/>'
        )
        mark += f'<circle cx="{place(difference):.1f}" cy="{y}" r="5" fill="{colour}"/>'
        parts.append(_group(name, tip, mark))
    parts.append(_text((left + right) / 2, height - 6, x_label, "axis", "middle"))
    return _svg(parts, height)


class _Frame:
    """The axes: where a value stands, and the lines behind it."""

    def __init__(self, ticks: list[float], right: float) -> None:
        self.ticks = ticks
        self.left = _LEFT
        self.inner_width = _WIDTH - _LEFT - right
        self.floor = _HEIGHT - _BOTTOM

    def y(self, value: float) -> float:
        """The height of a value; what lies below zero stands at zero."""
        return self.floor - max(value, 0.0) / self.ticks[-1] * (self.floor - _TOP)

    def grid(self, label: str) -> str:
        """Horizontal lines with their values, and what they are."""
        step = self.ticks[1] - self.ticks[0]
        digits = max(0, -math.floor(math.log10(step))) if step < 1 else 0
        parts = []
        for tick in self.ticks:
            y = self.y(tick)
            parts.append(
                f'<line class="grid" x1="{self.left}" x2="{self.left + self.inner_width}" y1="{y:.1f}" y2="{y:.1f}"/>'
            )
            parts.append(_text(self.left - 8, y + 4, f"{tick:.{digits}f}", "tick", "end"))
        middle = (_TOP + self.floor) / 2
        turned = f'<text class="axis" text-anchor="middle" transform="translate(13 {middle:.0f}) rotate(-90)">'
        return "".join(parts) + turned + f"{escape(label)}</text>"


def _ticks(highest: float) -> list[float]:
    """Four to eight even steps from 0 to above the highest value."""
    step = _round_step(max(highest, 1e-9) / 5)
    return [number * step for number in range(math.ceil(max(highest, 1e-9) / step - 1e-9) + 1)]


def _round_step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * (1 - 1e-9))


def _seconds(value: float) -> str:
    return f"{value:g} s" if value < 120 else f"{value / 60:.3g} min"


def _spread(ends: list[tuple[float, float, Series]], floor: float) -> list[tuple[float, tuple[float, float, Series]]]:
    """Heights for the labels, none closer than a line to the next, near what they name."""
    ordered = sorted(ends, key=lambda end: end[0])
    heights = [end[0] for end in ordered]
    for number in range(1, len(heights)):
        heights[number] = max(heights[number], heights[number - 1] + _LINE)
    over = max(0.0, heights[-1] - (floor + 6)) if heights else 0.0
    limit = math.inf
    for number in range(len(heights) - 1, -1, -1):
        if over:
            heights[number] = min(heights[number], floor + 6, limit)
            limit = heights[number] - _LINE
    return list(zip(heights, ordered, strict=True))


def _free_place(
    x: float, y: float, width: float, taken: list[tuple[float, float, float, float]]
) -> tuple[float, float, float, float] | None:
    """A box for a label beside a point that touches nothing yet; None where all are taken."""
    sides: tuple[Callable[[], tuple[float, float]], ...] = (
        lambda: (x + 10, y - 8),
        lambda: (x - width - 10, y - 8),
        lambda: (x - width / 2, y - 25),
        lambda: (x - width / 2, y + 9),
        lambda: (x + 8, y - 22),
        lambda: (x + 8, y + 7),
        lambda: (x - width - 8, y - 22),
        lambda: (x - width - 8, y + 7),
    )
    for side in sides:
        left, top = side()
        box = (left, top, left + width, top + 16)
        inside = box[0] > _LEFT and box[2] < _WIDTH and box[1] > 0 and box[3] < _HEIGHT - _BOTTOM
        if inside and not any(
            box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3] for other in taken
        ):
            return box
    return None


def _whisker(x: float, low: float, high: float, colour: str) -> str:
    if abs(low - high) < 1:
        return ""
    return f'<line class="whisker" x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}" stroke="{colour}"/>'


def _text(x: float, y: float, text: str, kind: str, anchor: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _group(name: str, tip: str, content: str) -> str:
    return f'<g data-model="{escape(name, quote=True)}"><title>{escape(tip)}</title>{content}</g>'


def _svg(parts: Sequence[str], height: float = _HEIGHT) -> str:
    return f'<svg viewBox="0 0 {_WIDTH:.0f} {height:.0f}" role="img">{"".join(parts)}</svg>'
