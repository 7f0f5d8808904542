"""Rating baselines in closed form: what is known of a rating from means alone, without reading a word."""

from typing import Final, Literal, Self, get_args

import numpy as np
import numpy.typing as npt

from rec_sys.graph.rating_offsets import shrunken_means

RatingBaselineKind = Literal["rating_mean", "rating_product_mean", "rating_offsets"]
# What needs more than reviews: means that the metadata has, texts of products.
KNOWN_MEAN: Final = "rating_known_mean"
TEXT_TRIPLET: Final = "rating_text_triplet"
RATING_BASELINES: tuple[RatingBaselineKind, ...] = get_args(RatingBaselineKind)


class RatingBaseline:
    """Mean stars plus shrunken offsets.

    With mean m over all training reviews, product offset b_p = sum(stars - m) / (n_p + k) over the product's reviews,
    user offset b_u = sum(stars - m - b_p) / (n_u + k) over the user's:
    `rating_mean` predicts m, `rating_product_mean` m + b_p, `rating_offsets` m + b_p + b_u.

    Args:
        kind: One of `RATING_BASELINES`, also the name under "baselines" in metrics.json.
        pseudo_counts: k, the weight of the mean against the reviews, in reviews.

    Attributes:
        num_parameters: The mean, and the offsets that are not 0; set by `fit`.
    """

    def __init__(self, kind: RatingBaselineKind, pseudo_counts: float = 5.0) -> None:
        self.name: str = kind
        self.pseudo_counts = pseudo_counts

    def fit(
        self,
        user_index: npt.NDArray[np.integer],
        product_index: npt.NDArray[np.integer],
        stars: npt.NDArray[np.floating],
        num_users: int,
        num_products: int,
    ) -> Self:
        """Computes mean and offsets from the training reviews, `[num_train]` each; users and products unseen get 0.

        Raises:
            ValueError: There is no review, or one without stars.
        """
        if len(stars) == 0 or not np.isfinite(stars).all():
            raise ValueError("the mean rating needs training reviews that all have stars")
        self._mean = float(np.mean(stars, dtype=np.float64))
        residual = stars.astype(np.float64) - self._mean
        self._product_offset = np.zeros(num_products)
        self._user_offset = np.zeros(num_users)
        if self.name != "rating_mean":
            self._product_offset = shrunken_means(product_index, residual, num_products, self.pseudo_counts)
            residual = residual - self._product_offset[product_index]
        if self.name == "rating_offsets":
            self._user_offset = shrunken_means(user_index, residual, num_users, self.pseudo_counts)
        num_offsets = np.count_nonzero(self._product_offset) + np.count_nonzero(self._user_offset)
        self.num_parameters = 1 + int(num_offsets)
        return self

    def predict(
        self, user_index: npt.NDArray[np.integer], product_index: npt.NDArray[np.integer]
    ) -> npt.NDArray[np.float32]:
        """Two `[num_reviews]` indices to `[num_reviews]` stars, not clipped to 1 to 5."""
        stars = self._mean + self._product_offset[product_index] + self._user_offset[user_index]
        return np.asarray(stars, dtype=np.float32)
