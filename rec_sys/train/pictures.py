"""Pictures of a run for people: how it learned, how it ranks beside popularity, and where its products lie."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from rec_sys.contracts import ProductColumn
from rec_sys.shown_text import escape_controls
from rec_sys.train.figures import (
    BLUE,
    FEW_TO_MANY,
    GREY,
    GROUP_COLOURS,
    INK,
    OTHER_COLOUR,
    VERMILION,
    label_axes,
    new_figure,
    save_figure,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PathCollection
    from matplotlib.figure import Figure

_MOST_MAPPED: Final = 3_000  # products; t-SNE of as many takes about half a minute
_PCA_DIM: Final = 50  # as the authors of t-SNE advise before it
_MOST_COMMON_SHARE: Final = 0.8  # a category that holds more products than this tells none apart
_FEWEST_NAMED: Final = 0.3  # share of products that must have a category (or brand) for it to colour the map
_RANKING_TITLES: Final = {"recall": "Recall", "ndcg": "NDCG", "mrr": "MRR"}


def draw_learning_curves(history: Sequence[Mapping[str, float]], path: Path) -> None:
    """Losses and ranking quality by epoch, the best epoch marked.

    Args:
        history: One mapping an epoch with `epoch`, counted from 0 (the picture counts from 1), and where measured
            `train_loss`, `validation_loss`, `validation_ndcg_at_10_masked`.
        path: The PNG to write.

    Raises:
        ValueError: The history is empty.
    """
    if not history:
        raise ValueError("there is no epoch to draw")
    epochs = [int(row["epoch"]) + 1 for row in history]
    loss, train_loss, quality = (
        np.array([row.get(name, np.nan) for row in history], dtype=np.float64)
        for name in ("validation_loss", "train_loss", "validation_ndcg_at_10_masked")
    )
    figure = new_figure(9.0, 3.4)
    left, right = figure.subplots(1, 2)
    _draw_line(left, epochs, train_loss, GREY, "training")
    _draw_line(left, epochs, loss, BLUE, "validation")
    _draw_line(right, epochs, quality, BLUE, "validation")
    label_axes(left, "Loss", "epoch")
    label_axes(right, "NDCG@10 on validation, history masked", "epoch")
    for axes in (left, right):
        axes.set_xlim(epochs[0] - 0.5, epochs[-1] + 0.5)
    if left.lines:
        left.legend(frameon=False, labelcolor=INK)
    highest = np.nanmax(quality, initial=0.0)
    right.set_ylim(0, 1.08 * highest if highest > 0 else 1)  # room for the mark of the best epoch
    best = _best_epoch(quality, loss)
    if best is not None:
        for axes in (left, right):
            axes.axvline(epochs[best], color=VERMILION, linewidth=1, linestyle=(0, (2, 2)), zorder=1)
        if np.isfinite(quality[best]):
            right.plot(epochs[best], quality[best], "o", color=VERMILION, markersize=6, zorder=4)
        value = f": {quality[best]:.4f}" if np.isfinite(quality[best]) else ""
        late = best > len(epochs) / 2
        right.annotate(
            f"best epoch {epochs[best]}{value}",
            (epochs[best], 0),
            xytext=(-6 if late else 6, 8),
            textcoords="offset points",
            ha="right" if late else "left",
            color=VERMILION,
        )
    save_figure(figure, path)


def draw_ranking_metrics(metrics: Mapping[str, Any], path: Path) -> None:
    """Recall, NDCG and MRR on the test split, history masked, beside popularity's.

    Args:
        metrics: As `metrics.json`: `test` and `baselines.popular` with keys such as `ndcg_at_10_masked`. Where
            `standard_error.test` or `standard_error.popular` has a key too, it is drawn up and down from the bar.
        path: The PNG to write.

    Raises:
        ValueError: The test split has no masked ranking metric.
    """
    names = [name for name in metrics["test"] if name.startswith("ndcg_at_") and name.endswith("_masked")]
    if not names:
        raise ValueError("the test metrics hold no ndcg_at_..._masked")
    ks = sorted(int(name.split("_")[2]) for name in names)
    errors = metrics.get("standard_error", {})
    figure = new_figure(9.0, 3.6)
    for axes, (metric, title) in zip(figure.subplots(1, 3), _RANKING_TITLES.items(), strict=True):
        keys = [f"{metric}_at_{k}_masked" for k in ks]
        _draw_bars(axes, -0.21, metrics["test"], errors.get("test", {}), keys, BLUE, "this model")
        _draw_bars(axes, 0.21, metrics["baselines"]["popular"], errors.get("popular", {}), keys, GREY, "popular")
        axes.set_xticks(range(len(ks)), [f"@{k}" for k in ks])
        axes.tick_params(axis="x", length=0)
        label_axes(axes, title, "")
        axes.margins(y=0.14)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    title = "test split, products of the user's history left out" + (", ± one standard error" if errors else "")
    legend = figure.legend(
        handles, labels, loc="outside lower center", ncols=2, frameon=False, labelcolor=INK, title=title
    )
    legend.get_title().set_color(INK)
    save_figure(figure, path)


def draw_product_map(vectors: npt.NDArray[np.floating], products: pl.DataFrame, path: Path) -> None:
    """The product vectors on a plane: products that the model holds for alike lie together.

    t-SNE keeps neighbours, not distances. Above 3,000 products the most reviewed 3,000 are drawn. Colour is the
    category, where there is none the brand, where there is none either the number of reviews.

    Args:
        vectors: `[num_products, dim]`, compared by cosine.
        products: As `products.parquet`, in the same order.
        path: The PNG to write.

    Raises:
        ValueError: The table is of another length, there are no products, or a vector is not finite.
    """
    if len(vectors) != products.height or products.height == 0:
        raise ValueError(f"{len(vectors)} vectors do not belong to {products.height} products")
    if not np.isfinite(vectors).all():
        raise ValueError("a product vector is not finite")
    chosen = products.with_row_index("row").sort(ProductColumn.REVIEW_COUNT, descending=True, maintain_order=True)
    chosen = chosen.head(_MOST_MAPPED)
    points = _lay_out(vectors[chosen["row"].to_numpy()])
    figure = new_figure(9.0, 5.6)
    axes = figure.subplots()
    axes.set_axis_off()
    part = "" if chosen.height == products.height else f"the {chosen.height:,} most reviewed of "
    axes.set_title(f"Product vectors on a plane ({part}{products.height:,} products)", loc="left", color=INK)
    size = float(np.clip(10_000 / chosen.height, 9, 42))
    groups, kind = _group_products(chosen)
    if groups is None:
        _draw_counts(figure, axes, points, chosen[ProductColumn.REVIEW_COUNT].to_numpy(), size)
    else:
        _draw_groups(figure, axes, points, groups, kind, size)
    save_figure(figure, path)


def _best_epoch(quality: npt.NDArray[np.float64], loss: npt.NDArray[np.float64]) -> int | None:
    """By ranking quality where it was measured, else by loss."""
    if np.isfinite(quality).any():
        return int(np.nanargmax(quality))
    return int(np.nanargmin(loss)) if np.isfinite(loss).any() else None


def _lay_out(vectors: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """`[num_products, 2]`: t-SNE of the principal components of the directions."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    directions = vectors.astype(np.float64) / np.maximum(length, 1e-12)
    if len(directions) < 5:  # too few for neighbourhoods
        return np.pad(directions, ((0, 0), (0, 2)))[:, :2]
    components = PCA(min(_PCA_DIM, *directions.shape), random_state=0).fit_transform(directions)
    perplexity = min(30.0, (len(directions) - 1) / 4)
    points: npt.NDArray[np.float64] = TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(components)
    return points


def _group_products(products: pl.DataFrame) -> tuple[pl.Series | None, str]:
    """The name that colours each product (null: none), and what kind of name it is."""
    categories = products[ProductColumn.CATEGORIES]
    depth = max(categories.list.len().drop_nulls().to_list(), default=0)
    levels = [categories.list.get(level, null_on_oob=True) for level in range(depth)]
    for names, kind in [*((level, "category") for level in levels), (products[ProductColumn.BRAND], "brand")]:
        named = names.drop_nulls()
        if len(named) < _FEWEST_NAMED * products.height or named.n_unique() < 2:
            continue
        if max(named.value_counts()["count"].to_list()) <= _MOST_COMMON_SHARE * len(named):
            return names, kind
    return None, ""


def _draw_groups(
    figure: "Figure", axes: "Axes", points: npt.NDArray[np.float64], names: pl.Series, kind: str, size: float
) -> None:
    counts = names.drop_nulls().value_counts(name="count").sort("count", names.name, descending=[True, False])
    top = counts[names.name].head(len(GROUP_COLOURS)).to_list()
    rest = (~names.is_in(top).fill_null(False)).to_numpy()
    # The others are drawn first, to lie below, and named last.
    others = [_draw_points(axes, points[rest], size, color=OTHER_COLOUR)] if rest.any() else []
    handles = []
    for name, colour in zip(top, GROUP_COLOURS, strict=False):
        inside = (names == name).fill_null(False).to_numpy()
        handles.append(_draw_points(axes, points[inside], size, color=colour))
    handles += others
    labels = [*(_as_label(name) for name in top), *("others" for _ in others)]
    legend = figure.legend(
        handles,
        labels,
        title=kind,
        loc="outside right center",
        frameon=False,
        labelcolor=INK,
        alignment="left",
        handletextpad=0.3,
        markerscale=float(np.sqrt(45 / size)),
    )
    legend.get_title().set_color(INK)


def _draw_counts(
    figure: "Figure", axes: "Axes", points: npt.NDArray[np.float64], counts: npt.NDArray[np.int64], size: float
) -> None:
    from matplotlib.colors import LinearSegmentedColormap, LogNorm

    order = np.argsort(counts, kind="stable")  # the most reviewed on top
    values = np.maximum(counts, 1)[order]
    colours = LinearSegmentedColormap.from_list("reviews", FEW_TO_MANY)
    norm = LogNorm(1, max(int(values.max()), 2))
    drawn = _draw_points(axes, points[order], size, c=values, cmap=colours, norm=norm)
    bar = figure.colorbar(drawn, ax=axes, shrink=0.6, format="{x:,.0f}")
    bar.ax.set_title("reviews", color=INK, fontsize=10)
    bar.ax.tick_params(colors=INK)


def _draw_points(axes: "Axes", points: npt.NDArray[np.float64], size: float, **colours: Any) -> "PathCollection":
    # A thin white rim keeps crowded points apart.
    rim = 0.06 * float(np.sqrt(size))
    return axes.scatter(points[:, 0], points[:, 1], s=size, edgecolors="white", linewidths=rim, **colours)


def _draw_line(axes: "Axes", epochs: Sequence[int], values: npt.NDArray[np.float64], colour: str, label: str) -> None:
    measured = np.isfinite(values)
    if measured.any():
        axes.plot(
            np.array(epochs)[measured], values[measured], color=colour, linewidth=2, marker="o", ms=3, label=label
        )


def _draw_bars(
    axes: "Axes",
    offset: float,
    values: Mapping[str, float],
    errors: Mapping[str, float],
    keys: Sequence[str],
    colour: str,
    label: str,
) -> None:
    heights = [values[key] for key in keys]
    spread = [errors.get(key, 0.0) for key in keys]
    drawn = axes.bar(
        np.arange(len(keys)) + offset,
        heights,
        width=0.4,
        color=colour,
        label=label,
        yerr=spread if errors else None,
        error_kw={"ecolor": INK, "elinewidth": 1, "capsize": 2},
    )
    axes.bar_label(drawn, [f"{height:.3f}".removeprefix("0") for height in heights], padding=2, color=INK, fontsize=8)


def _as_label(name: str) -> str:
    """A name of whatever length; dollar signs are themselves, not the borders of a formula."""
    line = escape_controls(" ".join(name.split()))
    return (line if len(line) <= 28 else line[:27].rstrip() + "…").replace("$", r"\$")
