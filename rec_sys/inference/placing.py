"""Places a product that came after training into a bundle's score, by its text, its kind and whatever reviews it has.

What comes out is a point of the product index: `ProductIndex.upsert` takes it, and the next answer may hold it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
import onnxruntime

from rec_sys.contracts import MILLISECONDS_A_DAY, BundleFile, InputError, TowerFile, TowerTensor
from rec_sys.inference.served_bundle import ServedBundle
from rec_sys.inference.user_reviews import stored_reviews, tower_inputs
from rec_sys.newcomers import KnownProducts, Newcomer, place_column, weigh_beside
from rec_sys.product_kinds import ProductKinds
from rec_sys.settings import MemorySettings, ModelSettings
from rec_sys.vector_database.catalogue import FloatArray, IntArray
from rec_sys.vector_database.contract import NewProduct, ProductDetails
from rec_sys.vector_database.words import title_of

_NO_AGE: Final = -1.0
_NUM_ACTIVITIES: Final = 4  # all zero: few reviews say that a product is new here, not that few people want it


@dataclass(frozen=True, eq=False)
class FirstReview:
    """A review of a new product.

    Attributes:
        user_id: Its author; of those that the bundle knows, what else they reviewed is read.
        rating: Stars.
        timestamp: Milliseconds; None where unknown.
        text: float32 `[text_dim]`, from the bundle's text encoder; None where it has no text.
        weight: How much it says beside others.
    """

    user_id: str | None = None
    rating: float | None = None
    timestamp: int | None = None
    text: FloatArray | None = None
    weight: float = 1.0


@dataclass(frozen=True, eq=False)
class PlacingGround:
    """What of a bundle new products are placed beside.

    Attributes:
        known: Its products; None where it has no memory, or is of an earlier version.
        kinds: Their categories, brands and prices.
        settings: How it was trained.
    """

    known: KnownProducts | None
    kinds: ProductKinds
    settings: ModelSettings


@lru_cache(maxsize=2)  # the bundle served and the one that a rollback goes to
def placing_ground(served: ServedBundle) -> PlacingGround:
    """Reads it of a bundle.

    Raises:
        InputError: A part is damaged.
    """
    bundle, memory = served.bundle, served.catalogue.memory_of_products
    with bundle.reading(BundleFile.SETTINGS):
        settings = ModelSettings.model_validate(bundle.settings()["model"])
    with bundle.reading(BundleFile.PRODUCTS):
        kinds = ProductKinds.of_table(bundle.products())
    tensors = bundle.placing()
    if tensors is None or memory is None:
        return PlacingGround(None, kinds, settings)
    with bundle.reading(BundleFile.PLACING):
        return PlacingGround(KnownProducts.of_tensors(tensors, memory, served.catalogue.text, kinds), kinds, settings)


def place_product(
    served: ServedBundle,
    details: ProductDetails,
    text: FloatArray | None = None,
    reviews: Sequence[FirstReview] = (),
) -> NewProduct:
    """A product as the index takes it: its vector from the product tower, its column of the co-review memory.

    Of a product that has neither reviews nor a text that can be read, a tower would answer anything, or nothing at all.
    Its vector is the opposite of a user's without reviews, so that it stands behind all others for whoever is unknown.

    Args:
        served: The bundle that the index was made from.
        details: What is known of it; categories, brand and price may place it.
        text: float32 `[text_dim]`, of its title and description; None where it has none.
        reviews: In any order; none for a product that nobody has reviewed.

    Raises:
        InputError: The bundle has no product tower.
    """
    is_read = bool(reviews) or (text is not None and bool(text.any()))
    vector = _read_by_tower(served, text, reviews) if is_read else -_stranger(served)
    words = served.catalogue.words.weigh(title_of(details.title, details.brand))
    ground = placing_ground(served)
    if ground.known is None:
        return NewProduct(details, vector, text, words=words)
    beside, weight = _beside(served, details, reviews, ground.settings.co_review)
    texts = [review.text for review in reviews if review.text is not None]
    newcomer = Newcomer(
        review_text=np.array(texts, dtype=np.float32).reshape(len(texts), served.manifest.text_dim),
        product_text=np.zeros(served.manifest.text_dim, dtype=np.float32) if text is None else text,
        beside=beside,
        beside_weight=weight,
        kinds=ground.kinds.of_names(details.categories, details.brand),
        price=float("nan") if details.price is None else details.price,
    )
    column = place_column(newcomer, ground.known, ground.settings.co_review, ground.settings.newcomers)
    rows = np.flatnonzero(column)
    return NewProduct(details, vector, text, dict(zip(rows.tolist(), column[rows].tolist(), strict=True)), words)


def _beside(
    served: ServedBundle, details: ProductDetails, reviews: Sequence[FirstReview], settings: MemorySettings
) -> tuple[IntArray, FloatArray]:
    """The other products of the reviews' authors, int64 `[n]`, and what each counts, float32 `[n]`."""
    users, own = served.users, served.index_of.get(details.asin, -1)
    products, weights = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.float32)]
    for review in reviews:
        rows = users.rows(review.user_id) if review.user_id is not None else np.empty(0, dtype=np.int64)
        rows = rows[users.product[rows] != own]
        days = np.full(len(rows), np.nan)
        if review.timestamp is not None and served.manifest.has_time:
            days = (review.timestamp - users.timestamp[rows]) / MILLISECONDS_A_DAY
        author = np.full(len(rows), len(rows) + 1)
        evidence = users.weight[rows] * np.float32(review.weight)
        products.append(users.product[rows])
        weights.append(weigh_beside(settings, author, days, evidence))
    return np.concatenate(products), np.concatenate(weights)


def _read_by_tower(served: ServedBundle, text: FloatArray | None, reviews: Sequence[FirstReview]) -> FloatArray:
    """The product's vector, float32 `[dim]`: the tower reads its text and its newest reviews."""
    newest = sorted(reviews, key=lambda review: -1 if review.timestamp is None else review.timestamp, reverse=True)
    newest = newest[: served.manifest.product_reviews]
    length, text_dim = max(1, len(newest)), served.manifest.text_dim
    inputs: dict[str, Any] = {
        TowerTensor.PRODUCT_TEXT: np.zeros((1, text_dim), np.float32)
        if text is None
        else text[None].astype(np.float32),
        TowerTensor.HAS_PRODUCT_TEXT: np.array([text is not None and text.any()], dtype=np.float32),
        TowerTensor.ACTIVITY: np.zeros((1, _NUM_ACTIVITIES), dtype=np.float32),
        TowerTensor.REVIEW_TEXT: np.zeros((1, length, text_dim), dtype=np.float32),
        TowerTensor.HAS_TEXT: np.zeros((1, length), dtype=np.float32),
        TowerTensor.RATING: np.zeros((1, length), dtype=np.float32),
        TowerTensor.AGE: np.full((1, length), _NO_AGE, dtype=np.float32),
        TowerTensor.MASK: np.zeros((1, length), dtype=np.float32),
    }
    if text is not None:
        inputs[TowerTensor.PRODUCT_TEXT][0] = text
    latest = newest[0].timestamp if newest else None
    for place, review in enumerate(newest):
        if review.text is not None:
            inputs[TowerTensor.REVIEW_TEXT][0, place] = review.text
            inputs[TowerTensor.HAS_TEXT][0, place] = 1
        inputs[TowerTensor.RATING][0, place] = review.rating or 0
        inputs[TowerTensor.MASK][0, place] = review.weight
        if served.manifest.has_time and latest is not None and review.timestamp is not None:
            inputs[TowerTensor.AGE][0, place] = (latest - review.timestamp) / MILLISECONDS_A_DAY
    vector: FloatArray = _product_tower(served).run([TowerTensor.PRODUCT_VECTOR], inputs)[0][0]
    return vector


@lru_cache(maxsize=2)
def _stranger(served: ServedBundle) -> FloatArray:
    """The vector of a user without reviews, float32 `[dim]`."""
    nobody = stored_reviews(np.empty(0, dtype=np.int64), served, user=0)
    tower = onnxruntime.InferenceSession(str(served.user_tower()), providers=["CPUExecutionProvider"])
    vector: FloatArray = tower.run([TowerTensor.USER_VECTOR], tower_inputs([nobody], [{}], served))[0][0]
    return vector


@lru_cache(maxsize=2)
def _product_tower(served: ServedBundle) -> onnxruntime.InferenceSession:
    path = served.bundle.tower(TowerFile.PRODUCT)
    if not path.is_file():
        raise InputError("the bundle has no exported product tower", where=str(path), remedy="train again")
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
