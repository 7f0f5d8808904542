"""Pictures show what they were given: read back pixel by pixel."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from rec_sys.train import pictures
from rec_sys.train.figures import BLUE, GREY, INK, VERMILION
from rec_sys.train.pictures import draw_learning_curves, draw_product_map, draw_ranking_metrics

ORANGE, GREEN, PINK = "#E69F00", "#009E73", "#CC79A7"


def find_colour(path: Path, colour: str) -> npt.NDArray[np.int64]:
    """Row and column of every pixel of exactly this colour, `[num_pixels, 2]`."""
    pixels = imread(path)[..., :3]
    return np.argwhere(np.abs(pixels - np.array(to_rgb(colour))).max(axis=2) < 1.5 / 255)


def make_history(quality: list[float]) -> list[dict[str, float]]:
    return [
        {"epoch": epoch, "train_loss": 5 - epoch, "validation_loss": 5.5 - epoch, "validation_ndcg_at_10_masked": value}
        for epoch, value in enumerate(quality)
    ]


def test_the_best_epoch_is_marked_where_it_is(tmp_path: Path) -> None:
    columns = []
    for quality in ([0.3, 0.2, 0.1, 0.1], [0.1, 0.3, 0.2, 0.1], [0.1, 0.1, 0.2, 0.3]):
        draw_learning_curves(make_history(quality), tmp_path / "curves.png")
        marked = find_colour(tmp_path / "curves.png", VERMILION)
        width = imread(tmp_path / "curves.png").shape[1]
        columns.append(marked[marked[:, 1] < width / 2, 1].mean() / width)  # the left panel has the line alone
    assert columns[0] < columns[1] < columns[2]


def test_without_ranking_the_lowest_validation_loss_is_best(tmp_path: Path) -> None:
    history = [{"epoch": 0, "validation_loss": 2.0}, {"epoch": 1, "validation_loss": 3.0}]
    draw_learning_curves(history, tmp_path / "falls.png")
    draw_learning_curves([{**history[0], "validation_loss": 4.0}, history[1]], tmp_path / "rises.png")
    first, last = (find_colour(tmp_path / name, VERMILION)[:, 1].min() for name in ("falls.png", "rises.png"))
    assert first < last


def test_values_that_are_not_finite_leave_a_gap_and_no_error(tmp_path: Path) -> None:
    draw_learning_curves(make_history([0.1, float("nan"), 0.2]), tmp_path / "curves.png")
    draw_learning_curves([{"epoch": 0, "train_loss": float("nan")}], tmp_path / "nothing.png")
    assert len(find_colour(tmp_path / "curves.png", BLUE)) > 0
    assert len(find_colour(tmp_path / "nothing.png", BLUE)) == 0


def make_metrics(value: float) -> dict[str, float]:
    return {f"{name}_at_{k}_masked": value for name in ("recall", "ndcg", "mrr") for k in (5, 10, 20)}


def test_a_bar_twice_as_high_covers_twice_as_much(tmp_path: Path) -> None:
    metrics = {"test": {**make_metrics(0.2), "rmse": 0.9}, "baselines": {"popular": make_metrics(0.1)}}
    draw_ranking_metrics(metrics, tmp_path / "bars.png")
    model, popular = (find_colour(tmp_path / "bars.png", colour) for colour in (BLUE, GREY))
    bars = slice(0, int(model[:, 0].max() * 0.8))  # above the legend's patches
    assert np.ptp(model[:, 0]) > 0
    ratio = (model[:, 0] < bars.stop).sum() / (popular[:, 0] < bars.stop).sum()
    assert ratio == pytest.approx(2, rel=0.25)


def test_standard_errors_are_drawn_where_they_are_given(tmp_path: Path) -> None:
    metrics = {"test": make_metrics(0.2), "baselines": {"popular": make_metrics(0.1)}}
    errors = {"test": make_metrics(0.02), "popular": make_metrics(0.01)}
    draw_ranking_metrics(metrics, tmp_path / "plain.png")
    draw_ranking_metrics({**metrics, "standard_error": errors}, tmp_path / "errors.png")
    ink = [len(find_colour(tmp_path / name, INK)) for name in ("plain.png", "errors.png")]
    assert ink[1] > ink[0] + 9 * 20  # nine bars, each with a line of some pixels


def make_products(
    num_products: int, categories: list[list[str]], brands: list[str | None] | None = None
) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "asin": [f"B{number:04}" for number in range(num_products)],
            "brand": pl.Series(brands or [None] * num_products, dtype=pl.String),
            "categories": pl.Series(categories, dtype=pl.List(pl.String)),
            "review_count": np.arange(num_products, 0, -1),
        }
    )


def make_clusters(num_products: int, num_clusters: int) -> npt.NDArray[np.float32]:
    """Product i lies in cluster i modulo `num_clusters`."""
    random = np.random.default_rng(0)
    centres = random.standard_normal((num_clusters, 16)) * 3
    noise = random.standard_normal((num_products, 16))
    return (centres[np.arange(num_products) % num_clusters] + noise).astype(np.float32)


def test_products_that_are_alike_lie_together_in_their_categorys_colour(tmp_path: Path) -> None:
    names = ["Strings", "Drums", "Cables"]
    products = make_products(90, [["Instruments", names[number % 3]] for number in range(90)])
    draw_product_map(make_clusters(90, 3), products, tmp_path / "map.png")
    width = imread(tmp_path / "map.png").shape[1]
    places = [find_colour(tmp_path / "map.png", colour) for colour in (BLUE, ORANGE, GREEN)]
    places = [place[place[:, 1] < 0.88 * width] for place in places]  # the legend stands to the right
    centres = np.array([place.mean(axis=0) for place in places])
    spread = max(np.linalg.norm(place.std(axis=0)) for place in places)
    assert min(np.linalg.norm(centres[i] - centres[j]) for i, j in ((0, 1), (0, 2), (1, 2))) > 2 * spread
    assert len(find_colour(tmp_path / "map.png", PINK)) == 0


def test_a_name_is_drawn_as_it_is_written(tmp_path: Path) -> None:
    """Dollar signs border no formula, an underscore hides nothing, control characters and lines are none."""
    for number, name in enumerate((r"$\frac{$", "_hidden", "\x1b[31m red\nnext", "$5 to $10")):
        path = tmp_path / f"{number}.png"
        draw_product_map(make_clusters(20, 2), make_products(20, [["Drums"], [name]] * 10), path)
        right = find_colour(path, BLUE)[:, 1].max(), find_colour(path, ORANGE)[:, 1].max()
        assert min(right) > 0.8 * imread(path).shape[1]  # both stand in the legend
    assert pictures._as_label(r"a $\frac{$") == r"a \$\frac{\$"


def test_the_same_products_give_the_same_bytes(tmp_path: Path) -> None:
    products = make_products(40, [["Strings"] if number % 2 else ["Drums"] for number in range(40)])
    for name in ("one.png", "two.png"):
        draw_product_map(make_clusters(40, 2), products, tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_the_brand_colours_where_no_category_tells_products_apart(tmp_path: Path) -> None:
    same = [["Instruments"]] * 20
    draw_product_map(make_clusters(20, 2), make_products(20, same, ["Alto", "Bassa"] * 10), tmp_path / "brand.png")
    draw_product_map(make_clusters(20, 2), make_products(20, same), tmp_path / "counts.png")
    assert len(find_colour(tmp_path / "brand.png", ORANGE)) > 0
    assert len(find_colour(tmp_path / "counts.png", ORANGE)) == 0


def test_of_a_large_catalogue_the_most_reviewed_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = [["Strings"]] * 20 + [["Drums"]] * 20 + [["Cables"]] * 20  # the last are reviewed least
    draw_product_map(make_clusters(60, 3), make_products(60, kinds), tmp_path / "all.png")
    monkeypatch.setattr(pictures, "_MOST_MAPPED", 40)
    draw_product_map(make_clusters(60, 3), make_products(60, kinds), tmp_path / "most.png")
    assert len(find_colour(tmp_path / "all.png", GREEN)) > 0
    assert len(find_colour(tmp_path / "most.png", GREEN)) == 0


@pytest.mark.parametrize("num_products", [1, 2, 4, 5])
def test_a_handful_of_products_has_a_map_too(tmp_path: Path, num_products: int) -> None:
    draw_product_map(
        make_clusters(num_products, 1), make_products(num_products, [[]] * num_products), tmp_path / "map.png"
    )
    assert imread(tmp_path / "map.png").shape[2] == 4


def test_what_cannot_be_drawn_is_refused(tmp_path: Path) -> None:
    products = make_products(2, [[], []])
    with pytest.raises(ValueError, match="no epoch"):
        draw_learning_curves([], tmp_path / "picture.png")
    with pytest.raises(ValueError, match="no ndcg_at"):
        draw_ranking_metrics({"test": {"rmse": 1.0}}, tmp_path / "picture.png")
    with pytest.raises(ValueError, match="3 vectors do not belong to 2 products"):
        draw_product_map(make_clusters(3, 1), products, tmp_path / "picture.png")
    with pytest.raises(ValueError, match="not finite"):
        draw_product_map(np.full((2, 4), np.nan, dtype=np.float32), products, tmp_path / "picture.png")
    assert list(tmp_path.iterdir()) == []
