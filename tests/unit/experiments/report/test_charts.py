"""The report's charts: every value under the pointer, names that are whole and apart, and the page's colours."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from rec_sys.experiments.report.charts import _LABEL_GAP, _spread, intervals, lines, scatter
from rec_sys.experiments.report.view import Model

SVG = "{http://www.w3.org/2000/svg}"


def model(name: str, colour: str = "#0072b2") -> Model:
    return Model(name, (), {}, {}, colour)


def drawn_lines(*names: str) -> Markup:
    curves = [
        (model(name), {"1": (0.1 + 0.1 * row, 0.02), "5": (0.2 + 0.1 * row, 0.0)}) for row, name in enumerate(names)
    ]
    return lines(curves, ["1", "5"], "k", "Recall")


def drawn_intervals(name: str) -> Markup:
    found = {"difference": -0.02, "low": -0.03, "high": 0.01, "p_value": 0.04}
    return intervals([(model(name), found)], "model minus ease")


def parse(drawing: Markup) -> ElementTree.Element:
    return ElementTree.fromstring(str(drawing))


def tips(drawing: Markup, name: str) -> list[str]:
    marks = [mark for mark in parse(drawing).iter(f"{SVG}g") if mark.get("data-model") == name]
    return [title.text or "" for mark in marks for title in mark.findall(f"{SVG}title")]


def height_of(drawing: Markup, tip: str) -> float:
    """Where a dot stands; y grows downwards."""
    mark = next(mark for mark in parse(drawing).iter(f"{SVG}g") if mark.findtext(f"{SVG}title") == tip)
    return float(next(mark.iter(f"{SVG}use")).get("y", "nan"))


def test_a_line_tells_its_values_and_stands_the_higher_the_larger_they_are() -> None:
    drawing = drawn_lines("ease", "popular")
    assert {"ease, 1: 0.1000 ± 0.0200", "ease, 5: 0.2000 ± 0.0000"} < set(tips(drawing, "ease"))
    low, middle, high = (
        height_of(drawing, tip)
        for tip in ("ease, 1: 0.1000 ± 0.0200", "ease, 5: 0.2000 ± 0.0000", "popular, 5: 0.3000 ± 0.0000")
    )
    assert low - middle == pytest.approx(middle - high)
    assert low > middle


def test_a_line_may_miss_a_place() -> None:
    curves = [(model("ease"), {"1": (0.1, 0.0), "5": (0.2, 0.0)}), (model("content"), {"5": (0.3, 0.0)})]
    drawing = lines(curves, ["1", "5"], "k", "Recall")
    assert [tip for tip in tips(drawing, "content") if "±" in tip] == ["content, 5: 0.3000 ± 0.0000"]
    assert "nan" not in drawing


def test_one_place_is_drawn_too() -> None:
    assert "ease, 10: 0.5000 ± 0.0000" in tips(
        lines([(model("ease"), {"10": (0.5, 0.0)})], ["10"], "k", "NDCG"), "ease"
    )


def test_a_point_of_the_scatter_tells_value_error_and_time() -> None:
    drawing = scatter([(model("ease"), 0.5, 0.25, 0.01), (model("als"), 600.0, 0.0, 0.0)], "NDCG")
    assert "ease: 0.2500 ± 0.0100, 0.5 s" in tips(drawing, "ease")
    assert "als: 0.0000 ± 0.0000, 10 min" in tips(drawing, "als")


def test_crowded_points_share_no_place_for_their_names() -> None:
    """Thirty models at one place: those names that are written stand at different places, each point keeps its tip."""
    points = [(model(f"model_{number}"), 1.0, 0.25, 0.0) for number in range(30)]
    drawing = scatter(points, "NDCG")
    names = [text for text in parse(drawing).iter(f"{SVG}text") if (text.text or "").startswith("model_")]
    assert 1 <= len(names) <= 8
    assert len({name.get("transform") for name in names}) == len(names)
    assert all(tips(drawing, one.name) for one, *_ in points)


def test_an_interval_tells_its_ends() -> None:
    assert set(tips(drawn_intervals("als"), "als")) == {"als: -0.0200, 95% from -0.0300 to +0.0100, Wilcoxon p = 0.04"}


@pytest.mark.parametrize("name", ["a$x$b", "<b>&\"'", "-->"])
def test_a_name_is_written_as_it_is(name: str) -> None:
    for drawing in (drawn_lines(name), drawn_intervals(name), scatter([(model(name), 1.0, 0.5, 0.1)], "NDCG")):
        assert tips(drawing, name)
        assert name in [text.text for text in parse(drawing).iter(f"{SVG}text")]


def test_long_names_stand_inside_the_drawing() -> None:
    name = "item_to_item_transitions_of_a_long_name"
    page = parse(drawn_lines(name))
    width = float(page.get("viewBox", "").split()[2])
    label = next(text for text in page.iter(f"{SVG}text") if text.text == name)
    left = float(label.get("x", "nan"))
    assert left + 6 * len(name) < width


def test_a_drawing_takes_the_colours_of_the_page_and_leaves_its_ids_alone() -> None:
    drawing = drawn_lines("ease")
    for variable in ("--ink", "--soft", "--line"):
        assert f"var({variable})" in drawing
    assert set(re.findall(r"#[0-9a-f]{6}\b", drawing)) == {"#0072b2"}
    assert "url(" not in drawing
    assert "<style" not in drawing
    assert all(re.fullmatch("m[0-9a-f]+", found) for found in re.findall(r'\bid="([^"]*)"', drawing))  # of markers


def test_equal_charts_are_equal_text() -> None:
    assert drawn_lines("ease", "als") == drawn_lines("ease", "als")


@given(st.lists(st.floats(0, 300), min_size=1, max_size=12))
def test_names_at_the_ends_of_lines_stand_apart_in_the_order_of_the_lines(wanted: list[float]) -> None:
    heights = _spread(np.array(wanted), 20.0)
    ordered = heights[np.argsort(wanted, kind="stable")]
    assert (heights >= 20.0 - 1e-6).all()
    assert (np.diff(ordered) >= _LABEL_GAP - 1e-6).all()


def test_names_that_stand_apart_stay() -> None:
    assert _spread(np.array([100.0, 40.0, 70.0]), 0.0).tolist() == pytest.approx([100.0, 40.0, 70.0])
