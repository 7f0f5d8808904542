"""Charts of the report: matplotlib draws them as inline SVG, with every value under the pointer.

matplotlib writes fixed colours. Text and lines are drawn in placeholders, which become variables of the page's style
sheet, so that a chart follows its light and dark colours.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import escape
from io import StringIO
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator
from matplotlib.transforms import Bbox
from scipy.optimize import isotonic_regression

from rec_sys.experiments.report.view import Model

_STYLE: Final = Path(__file__).with_name("charts.mplstyle")
_INK, _LINE, _OWN = "#010101", "#030303", "#040404"
_VARIABLES: Final = {_INK: "var(--ink)", "#020202": "var(--soft)", _LINE: "var(--line)", _OWN: "var(--own)"}
# What a page that holds several drawings does not want: styles of their own, ids, sizes in points, frames that cut.
_NEEDLESS: Final = re.compile(
    r'<(style|clipPath).*?</\1>|<!--.*?-->| (clip-path="[^"]*"|id="[\w.]+_\d+"|(width|height)="[\d.]+pt")',
    re.DOTALL,
)
_NO_METADATA: Final = dict.fromkeys(("Creator", "Date", "Format", "Type"))
_WIDTH: Final = 620.0
_HEIGHT: Final = 360.0
_LABEL_GAP: Final = 14.0  # pixels between two labels
_LABEL_SIDES: Final = (
    *((10, 0, "left", "center"), (-10, 0, "right", "center"), (0, 9, "center", "bottom"), (0, -9, "center", "top")),
    *((9, 8, "left", "bottom"), (9, -8, "left", "top"), (-9, 8, "right", "bottom"), (-9, -8, "right", "top")),
)
_STEPS: Final = (1, 2, 2.5, 5, 10)


class _Chart:
    """A drawing whose marks tell the model and the value that they stand for."""

    def __init__(self, height: float) -> None:
        self.figure = Figure(figsize=(_WIDTH / 72, height / 72))
        self.axes = self.figure.subplots()
        self._marks: list[tuple[str, str]] = []

    def mark(self, artist: Artist, model: Model, tip: str) -> None:
        """Makes the artist show `tip`, and be found with the other marks of its model."""
        artist.set_gid(f"mark-{len(self._marks)}")
        self._marks.append((model.name, tip))

    def dot(self, x: float, y: float, model: Model, size: float, tip: str, **how: Any) -> None:
        """A point in the model's colour."""
        self.mark(self.axes.plot(x, y, "o", color=model.colour, markersize=size, **how)[0], model, tip)

    def whiskers(self, x: Sequence[float], values: Sequence[tuple[float, float]], model: Model) -> None:
        """Standard errors up and down from the values; what lies below zero is left out."""
        low, high = ([max(0.0, value + sign * error) for value, error in values] for sign in (-1, 1))
        drawn = self.axes.vlines(x, low, high, color=model.colour, linewidth=1.2, alpha=0.55)
        self.mark(drawn, model, model.name)

    def scale_y(self, highest: float, label: str) -> None:
        """From zero to the first line above the highest value."""
        locator = MaxNLocator(6, steps=_STEPS)
        self.axes.yaxis.set_major_locator(locator)
        self.axes.set_ylim(0, locator.tick_values(0, max(highest, 1e-9))[-1])
        self.axes.set_ylabel(label)

    def svg(self) -> Markup:
        """The drawing as an element of the page."""
        drawn = StringIO()
        self.figure.savefig(drawn, format="svg", metadata=_NO_METADATA)
        text = _NEEDLESS.sub("", drawn.getvalue().partition("<svg")[2])
        for colour, variable in _VARIABLES.items():
            text = text.replace(colour, variable)
        text = text.replace("'DejaVu Sans'", "system-ui, sans-serif")
        return Markup('<svg role="img"' + re.sub(r'<g id="mark-(\d+)">', self._open_mark, text))

    def _open_mark(self, found: re.Match[str]) -> str:
        name, tip = map(escape, self._marks[int(found[1])])
        return f'<g data-model="{name}"><title>{tip}</title>'


def scatter(points: Sequence[tuple[Model, float, float, float]], y_label: str, x_label: str = "time to fit") -> Markup:
    """One point a model, (model, seconds, value, standard error) each, over a logarithmic axis of time."""
    with _new_chart() as chart:
        axes = chart.axes
        powers = [math.log10(seconds) for _, seconds, _, _ in points]
        low = math.floor(min(powers))
        axes.set_xscale("log")
        axes.set_xlim(10.0**low, 10.0 ** max(low + 1, math.ceil(max(powers))))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(lambda value, _: _seconds(value))
        axes.set_xlabel(x_label)
        chart.scale_y(max(value + error for _, _, value, error in points), y_label)
        ordered = sorted(points, key=lambda point: not point[0].is_own)
        for model, seconds, value, error in ordered:
            chart.whiskers([seconds], [(value, error)], model)
            tip = f"{model.name}: {value:.4f} ± {error:.4f}, {_seconds(seconds)}"
            chart.dot(seconds, value, model, 14 if model.is_own else 10, tip, clip_on=False)
        _name_points(chart, [(model, seconds, value) for model, seconds, value, _ in ordered])
        return chart.svg()


def lines(
    curves: Sequence[tuple[Model, Mapping[str, tuple[float, float]]]], places: Sequence[str], x_label: str, y_label: str
) -> Markup:
    """A line a model over named places, (value, standard error) each; a model may miss some."""
    with _new_chart() as chart:
        axes = chart.axes
        axes.set_xticks(range(len(places)), places)
        axes.set_xlim((0, len(places) - 1) if len(places) > 1 else (-1, 1))
        axes.grid(axis="x", visible=False)
        axes.set_xlabel(x_label)
        chart.scale_y(max(sum(value) for _, values in curves for value in values.values()), y_label)
        ends = []
        for model, values in sorted(curves, key=lambda curve: curve[0].is_own):
            x = [places.index(place) for place in values]
            y = [value for value, _ in values.values()]
            line = axes.plot(x, y, color=model.colour, linewidth=3 if model.is_own else 1.8, clip_on=False)[0]
            chart.mark(line, model, model.name)
            chart.whiskers(x, list(values.values()), model)
            for at, (place, (value, error)) in zip(x, values.items(), strict=True):
                tip = f"{model.name}, {place}: {value:.4f} ± {error:.4f}"
                chart.dot(at, value, model, 8 if model.is_own else 6, tip, clip_on=False)
            ends.append((model, x[-1], y[-1]))
        _name_ends(chart, ends)
        return chart.svg()


def intervals(rows: Sequence[tuple[Model, Mapping[str, Any]]], x_label: str) -> Markup:
    """A model's difference with its interval around a line at zero, one below the other."""
    with _new_chart(64 + 24.0 * len(rows)) as chart:
        axes = chart.axes
        axes.axvline(0, color=_INK, linewidth=1.4, zorder=1)
        axes.xaxis.set_major_locator(MaxNLocator(6, steps=_STEPS))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:+.3g}" if round(value, 9) else "0")
        axes.set_xlabel(x_label)
        axes.set_yticks(range(len(rows)), [model.name for model, _ in rows], color=_INK)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.grid(axis="y", visible=False)
        for row, (model, one) in enumerate(rows):
            tip = (
                f"{model.name}: {one['difference']:+.4f}, 95% from {one['low']:+.4f} to {one['high']:+.4f},"
                f" Wilcoxon p = {one['p_value']:.2g}"
            )
            chart.mark(axes.plot([one["low"], one["high"]], [row, row], color=model.colour, linewidth=3)[0], model, tip)
            chart.dot(one["difference"], row, model, 10, tip)
            chart.mark(axes.get_yticklabels()[row], model, tip)
        return chart.svg()


@contextmanager
def _new_chart(height: float = _HEIGHT) -> Iterator[_Chart]:
    with rc_context(fname=_STYLE):
        yield _Chart(height)


def _name_points(chart: _Chart, points: Sequence[tuple[Model, float, float]]) -> None:
    """Names beside the points where they touch nothing; one that finds no place is left to the pointer."""
    chart.figure.draw_without_rendering()  # lays the axes out
    room = chart.axes.bbox
    taken = [
        Bbox.from_bounds(left - 8, bottom - 8, 16, 16)
        for left, bottom in chart.axes.transData.transform([(x, y) for _, x, y in points])
    ]
    for model, x, y in points:
        label = chart.axes.annotate(model.name, (x, y), (0, 0), textcoords="offset points", **_label_style(model))
        for right, up, horizontal, vertical in _LABEL_SIDES:
            label.set(position=(right, up), ha=horizontal, va=vertical)
            box = label.get_window_extent()
            if room.x0 < box.x0 and box.x1 < room.x1 + 20 and room.y0 < box.y0 and not box.count_overlaps(taken):
                taken.append(box)
                chart.mark(label, model, model.name)
                break
        else:
            label.remove()


def _name_ends(chart: _Chart, ends: Sequence[tuple[Model, float, float]]) -> None:
    """Names right of the lines' ends, each tied to its own, none closer than a line of text to the next."""
    axes, beside = chart.axes, chart.axes.get_yaxis_transform()
    labels = [
        axes.text(1.06, y, model.name, transform=beside, va="center_baseline", **_label_style(model))
        for model, _, y in ends
    ]
    chart.figure.draw_without_rendering()  # makes room for the names
    wanted = axes.transData.transform([(x, y) for _, x, y in ends])[:, 1]
    heights = _spread(wanted, axes.bbox.y0)
    for (model, x, y), label, height in zip(ends, labels, heights, strict=True):
        level = axes.transData.inverted().transform((0, height))[1]
        label.set_y(level)
        how = {"arrowstyle": "-", "color": _LINE, "shrinkA": 4, "shrinkB": 4}
        axes.annotate("", (x, y), (1.04, level), textcoords=beside, arrowprops=how, annotation_clip=False)
        chart.dot(1.04, level, model, 7, model.name, transform=beside, clip_on=False)
        chart.mark(label, model, model.name)


def _spread(wanted: npt.NDArray[np.float64], floor: float) -> npt.NDArray[np.float64]:
    """The heights nearest to those wanted, by least squares, that lie a label apart and not below the floor."""
    order = np.argsort(wanted, kind="stable")
    steps = _LABEL_GAP * np.arange(len(wanted))
    heights = np.empty(len(wanted))
    heights[order] = np.maximum(isotonic_regression(wanted[order] - steps).x, floor) + steps
    return heights


def _label_style(model: Model) -> dict[str, Any]:
    return {"color": _OWN, "fontweight": "bold"} if model.is_own else {}


def _seconds(value: float) -> str:
    return f"{value:g} s" if value < 120 else f"{value / 60:.3g} min"
