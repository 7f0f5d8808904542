"""The stars that a user is predicted to give each product of an answer; the formula is that of `predicted_rating`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rec_sys.bundle import Bundle
from rec_sys.contracts import BundleFile, ProductVector
from rec_sys.predicted_rating import (
    NO_BRAND,
    Products,
    RatingFormula,
    number_brands,
    personal_deviation,
    predict_stars,
)
from rec_sys.unit_vectors import unit_vectors
from rec_sys.vector_database.catalogue import Catalogue, FloatArray, IntArray
from rec_sys.vector_database.contract import ProductDetails


@dataclass(frozen=True, eq=False)
class RatedReviews:
    """A user's reviews that have stars, as many of each.

    Attributes:
        product: int64 `[n]`, rows of the catalogue, its length for products that training has not seen.
        stars: float32 `[n]`.
        texts: Vectors of the texts sent, by place here: by them a product that training has not seen is known.
    """

    product: IntArray
    stars: FloatArray
    texts: Mapping[int, FloatArray]


class ServedStars:
    """What predicted stars need of a bundle whose reviews have ratings.

    Args:
        bundle: The bundle.
        formula: Of its manifest.
        catalogue: Its products.
        vectors: Its product vectors.

    Raises:
        InputError: The bundle lacks the means of its products.
    """

    def __init__(
        self, bundle: Bundle, formula: RatingFormula, catalogue: Catalogue, vectors: Mapping[str, FloatArray]
    ) -> None:
        with bundle.reading(BundleFile.PRODUCT_VECTORS):
            mean = vectors[ProductVector.MEAN_STARS].astype(np.float32)
            compared = vectors[ProductVector.RATING if formula.by == "towers" else ProductVector.TEXT]
        if not (len(mean) == len(compared) == len(catalogue)) or not np.isfinite(mean).all():
            raise bundle.damaged(BundleFile.PRODUCT_VECTORS, f"mean stars of {len(catalogue)} products are expected")
        self.formula = formula
        width = compared.shape[1]
        known = Products(mean, unit_vectors(compared), number_brands(catalogue.details["brand"].to_list()))
        # What nothing is known of is a product of the mean of all, like no other.
        unknown = Products(mean.mean(keepdims=True), np.zeros((1, width), np.float32), np.array([NO_BRAND]))
        self._products = known.joined(unknown)

    def of_products(self, products: Sequence[ProductDetails], reviews: RatedReviews | None = None) -> list[float]:
        """Predicted stars of each product, without reviews its mean; of new ones as the index has it."""
        last = len(self._products.mean) - 1
        rows = np.array([last if one.product_index is None else one.product_index for one in products], dtype=np.int64)
        asked = self._products.take(rows)
        for place in np.flatnonzero(rows == last).tolist():
            asked.mean[place] = products[place].rating_mean or asked.mean[place]
        deviation = np.zeros(len(rows), dtype=np.float32)
        if reviews is not None:
            deviation = self._deviation(reviews, asked)
        return [round(stars, 3) for stars in predict_stars(self.formula, asked.mean, deviation).tolist()]

    def of_rows(self, rows: IntArray, reviews: RatedReviews) -> FloatArray:
        """The same for rows of the catalogue: float32 `[len(rows)]`."""
        asked = self._products.take(rows)
        return predict_stars(self.formula, asked.mean, self._deviation(reviews, asked))

    def _deviation(self, reviews: RatedReviews, asked: Products) -> FloatArray:
        rated = self._products.take(reviews.product)
        if self.formula.by == "text":
            for place, vector in reviews.texts.items():
                if not rated.vector[place].any():
                    rated.vector[place] = unit_vectors(vector[None])[0]
        return personal_deviation(self.formula, rated, reviews.stars, asked)
