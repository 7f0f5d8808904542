"""What the report compares, draws and says first."""

from typing import Any

import pytest

from rec_sys.experiments.benchmark.results import FinishedRow
from rec_sys.experiments.benchmark.settings import OWN_MODEL
from rec_sys.experiments.report.page import templates
from rec_sys.experiments.report.view import View, make_views

METRIC = "ndcg_at_10_masked"


def row(model: str, value: float, fold: int | None = None, error: float = 0.1) -> FinishedRow:
    found: dict[str, Any] = {"model": model, "fit_on": "train", "status": "done"}
    found |= {"metrics": {METRIC: value}, "standard_error": {METRIC: error}}
    return FinishedRow(found if fold is None else found | {"fold": fold})


def compared(model: str, difference: float, low: float, fold: int | None = None) -> dict[str, Any]:
    found = {"model": model, "against": OWN_MODEL, "metric": METRIC, "fit_on": "train", "difference": difference}
    return found | {"low": low} | ({} if fold is None else {"fold": fold})


def headline(view: View) -> str:
    macros = templates().get_template("macros.html.jinja").module
    return str(macros.headline(view, "NDCG@10, masked"))  # type: ignore[attr-defined]


def test_folds_are_averaged_and_their_errors_with_them() -> None:
    (view,) = make_views([row("ease", 0.2, 0, 0.3), row("ease", 0.4, 1, 0.4)], [], 10)
    assert view.ranking[0].metrics[METRIC] == pytest.approx(0.3)
    assert view.ranking[0].errors[METRIC] == pytest.approx(0.25)
    assert view.has_folds


def test_comparisons_are_those_of_the_newest_fold_largest_first() -> None:
    entries = [compared("als", 0.1, 0.0, 0), compared("als", -0.2, -0.3, 1), compared("ease", 0.3, 0.2, 1)]
    (view,) = make_views([row("ease", 0.2, 0), row("ease", 0.4, 1)], entries, 10)
    assert [(one["model"], one["difference"]) for one in view.comparisons] == [("ease", 0.3), ("als", -0.2)]


def test_nine_lines_are_drawn_the_best_our_own_and_popularity() -> None:
    rows = [row(f"model_{number}", 0.9 - 0.01 * number) for number in range(12)]
    (view,) = make_views([row("popular", 0.1), *rows, row(OWN_MODEL, 0.2)], [], 10)
    assert [model.name for model in view.drawn] == [*(f"model_{number}" for number in range(7)), OWN_MODEL, "popular"]
    assert len({model.colour for model in view.drawn}) == 9


def test_the_modes_of_our_own_model_share_its_colour_and_take_nobodys_line() -> None:
    modes = [row(f"{OWN_MODEL}_fast", 0.95), row(f"{OWN_MODEL}_auto", 0.94)]
    (view,) = make_views([row("ease", 0.3), *modes, row(OWN_MODEL, 0.2)], [], 10)
    colours = {model.name: model.colour for model in view.ranking}
    assert len({colours[name] for name in colours if name.startswith(OWN_MODEL)}) == 1
    assert colours["ease"] != colours[OWN_MODEL]
    assert [model.name for model in view.drawn] == ["ease", OWN_MODEL]
    assert [model.name for model in view.ranking if model.is_own] == [OWN_MODEL]


@pytest.mark.parametrize(("low", "words"), [(0.01, "clear of chance"), (-0.01, "within chance")])
def test_the_headline_says_how_far_our_model_is_from_the_best(low: float, words: str) -> None:
    (view,) = make_views([row("ease", 0.3), row(OWN_MODEL, 0.25)], [compared("ease", 0.05, low)], 10)
    said = headline(view)
    assert "<b>ease</b> reaches the highest NDCG@10, masked, 0.3000." in said
    assert f"Our model, <b>{OWN_MODEL}</b>, reaches 0.2500; the difference of 0.0500 is {words}." in said


def test_the_headline_names_the_winner_once() -> None:
    (view,) = make_views([row("ease", 0.2), row(OWN_MODEL, 0.25)], [compared("ease", -0.05, -0.1)], 10)
    assert headline(view).count(OWN_MODEL) == 1
