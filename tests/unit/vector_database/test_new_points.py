"""Products that are upserted are checked as a bundle's are."""

import numpy as np
import pytest

from rec_sys.contracts import InputError, PayloadField
from rec_sys.vector_database.catalogue import point_id
from rec_sys.vector_database.contract import IndexVersion, NewProduct, ProductDetails
from rec_sys.vector_database.new_points import new_points
from tests.text_width import MINILM_DIM, TEXT_DIM

VERSION = IndexVersion(
    name="v",
    bundle="b",
    created="2026-01-01T00:00:00+00:00",
    num_products=5,
    dim=2,
    text_dim=TEXT_DIM,
    temperature=0.5,
    text_encoder="none",
    has_memory=True,
    exact=True,
)
UNIT = np.array([0.6, 0.8], dtype=np.float32)


@pytest.mark.parametrize(
    ("product", "words"),
    [
        (NewProduct(ProductDetails("a"), np.ones(3, dtype=np.float32)), "the vector of product a has shape"),
        (NewProduct(ProductDetails("a"), UNIT * np.nan), "the vector of product a holds a number"),
        (NewProduct(ProductDetails("a"), 2 * UNIT), "the vector of product a has length 2"),
        (NewProduct(ProductDetails("a"), UNIT, text=UNIT), "the text of product a has shape"),
        (NewProduct(ProductDetails("a"), UNIT, memory={5: 1.0}), "the memory of product a"),
        (NewProduct(ProductDetails("a"), UNIT, memory={-1: 1.0}), "the memory of product a"),
        (NewProduct(ProductDetails("a"), UNIT, memory={1: float("nan")}), "the memory of product a"),
    ],
)
def test_a_product_that_does_not_fit_is_refused_by_name(product: NewProduct, words: str) -> None:
    with pytest.raises(InputError, match=words):
        new_points([product], VERSION, {})


def test_an_upserted_product_is_marked_and_keeps_the_index_of_the_one_it_replaces() -> None:
    known = {point_id("a"): ProductDetails("a", product_index=3, title="old")}
    details = ProductDetails("a", title="new", categories=("x", "y"))
    first, second = new_points(
        [NewProduct(details, UNIT, memory={1: 0.5}), NewProduct(ProductDetails("b"), UNIT)], VERSION, known
    )
    assert first.payload[PayloadField.PRODUCT_INDEX] == 3
    assert first.payload[PayloadField.TITLE] == "new"
    assert first.payload[PayloadField.CATEGORIES] == ["x", "y"]
    assert first.memory == ([1], [0.5])
    assert second.payload[PayloadField.PRODUCT_INDEX] is None
    assert second.memory is None
    assert first.payload[PayloadField.UPSERTED] is second.payload[PayloadField.UPSERTED] is True


def test_a_text_of_zeros_is_no_text() -> None:
    (point,) = new_points([NewProduct(ProductDetails("a"), UNIT, text=np.zeros(TEXT_DIM, np.float32))], VERSION, {})
    assert point.text is None


def test_a_version_that_does_not_name_the_width_of_its_texts_is_of_the_time_of_one_encoder() -> None:
    fields = VERSION.model_dump(exclude={"text_dim"})
    assert IndexVersion.model_validate(fields).text_dim == MINILM_DIM
