"""The best possible recommender of the sample: it knows what the generator knows, so it bounds what can be learned."""

from collections.abc import Sequence

import numpy as np

from rec_sys.contracts import InputError
from rec_sys.data.sample import Sample
from rec_sys.data.sample.randomness import Floats, Integers


class Oracle:
    """Knows the true distribution of every user's next purchase.

    Ranking by it has the highest expected value of any ranking metric with one relevant product (hit rate, MRR, NDCG):
    no recommender does better but by luck. It sees the hidden taste and the history, never the purchase itself.

    Args:
        sample: Whose hidden taste and purchases it knows.
    """

    def __init__(self, sample: Sample) -> None:
        self._taste, self._purchases = sample.taste, sample.purchases
        self._user_index = {user_id: index for index, user_id in enumerate(self._taste.population.user_ids)}
        self._product_index = {asin: index for index, asin in enumerate(sample.products["asin"])}

    def scores(self, user_ids: Sequence[str], timestamps: Integers) -> Floats:
        """Probability of each product being the user's next purchase.

        Args:
            user_ids: Users, [n].
            timestamps: int64 [n], milliseconds; reviews before them are the history.

        Returns:
            float64 [n, num_products], columns in the order of the products frame; rows sum to 1. Products in the
            history and products not yet released have 0.

        Raises:
            InputError: A user is not in the sample.
        """
        users = self._users(user_ids)
        times = np.asarray(timestamps, dtype=np.int64)
        return self._taste.probabilities(users, times, self._purchases.before(users, times))

    def expected_rating(self, user_ids: Sequence[str], asins: Sequence[str], timestamps: Integers) -> Floats:
        """Mean of the stars the user would give the product at that time.

        Args:
            user_ids: Users, [n].
            asins: Products, [n].
            timestamps: int64 [n], milliseconds.

        Returns:
            float64 [n], from 1 to 5: the prediction of least squared error.

        Raises:
            InputError: A user or a product is not in the sample.
        """
        products = _indices(self._product_index, asins, "product")
        times = np.asarray(timestamps, dtype=np.int64)
        return self._taste.expected_stars(self._taste.satisfaction(self._users(user_ids), times, products))

    def _users(self, user_ids: Sequence[str]) -> Integers:
        return _indices(self._user_index, user_ids, "user")


def _indices(index: dict[str, int], ids: Sequence[str], what: str) -> Integers:
    unknown = next((one for one in ids if one not in index), None)
    if unknown is not None:
        raise InputError(
            f"the sample has no {what} {unknown!r}", where="Oracle", remedy="ask for ids from the frames it came with"
        )
    return np.array([index[one] for one in ids], dtype=np.int64)
