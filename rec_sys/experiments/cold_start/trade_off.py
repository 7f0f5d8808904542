"""The picture of what new products gain and the known ones pay, by how much their neighbours count."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from rec_sys.train.figures import BLUE, VERMILION, label_axes, new_figure, save_figure

_NAMES: Final = {True: "placed by their first reviews", False: "without any review"}


def mean_points(points: Sequence[Mapping[str, Any]], reviews: bool) -> list[tuple[float | None, float, float]]:
    """For each factor, and None, the change of the known products' NDCG@10 in percent, and the new ones' NDCG@10.

    Means over the seeds; the change is against the same seed with no column for the new products.
    """
    base = {(point["seed"], point["reviews"]): point["known"] for point in points if point["factor"] is None}
    found = []
    for factor in dict.fromkeys(point["factor"] for point in points if point["reviews"] == reviews):
        own = [point for point in points if point["factor"] == factor and point["reviews"] == reviews]
        before = float(np.mean([base[point["seed"], reviews] for point in own]))
        known = float(np.mean([point["known"] for point in own]))
        change = 100 * (known / before - 1) if before else 0.0
        found.append((factor, change, float(np.mean([point["new"] for point in own]))))
    return found


def draw_trade_off(points: Sequence[Mapping[str, Any]], path: Path) -> None:
    """A curve for products with their first reviews, and one for products without any where these are known by more."""
    figure = new_figure(7.0, 3.6)
    axes = figure.subplots()
    label_axes(axes, "NDCG@10 of questions about new products", "change of NDCG@10 of questions about known ones, %")
    for (reviews, name), colour in zip(_NAMES.items(), (BLUE, VERMILION), strict=True):
        curve = mean_points(points, reviews)
        if len({new for *_, new in curve}) == 1:
            continue  # nothing is known of them, so nothing places them
        axes.plot([change for _, change, _ in curve], [new for *_, new in curve], color=colour, marker="o", label=name)
        for factor, change, new in curve:
            label = "towers alone" if factor is None else f"{factor:g}"
            axes.annotate(label, (change, new), textcoords="offset points", xytext=(6, 3), fontsize=8, color=colour)
    axes.invert_xaxis()
    axes.legend(frameon=False)
    save_figure(figure, path)
