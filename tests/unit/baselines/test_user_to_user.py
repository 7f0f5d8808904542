"""User-to-user neighbours: what nobody near has reviewed follows by popularity, so that every list is full."""

import numpy as np

from rec_sys.baselines.reviews import TrainingReviews
from rec_sys.baselines.settings import UserKnnSettings
from rec_sys.baselines.user_to_user import UserKnnBaseline

# Users 0 and 1 are near; user 2 is alone; 3, 4 and 5 make product 4 popular, then 5. Nobody near has reviewed either.
PAIRS = [(0, 0), (0, 1), (1, 0), (1, 2), (2, 3), (3, 4), (4, 4), (5, 4), (3, 5), (4, 5)]


def reviews() -> TrainingReviews:
    users, products = (np.array(column, dtype=np.int32) for column in zip(*PAIRS, strict=True))
    number = len(PAIRS)
    return TrainingReviews(
        num_users=6,
        num_products=7,
        user_index=users,
        product_index=products,
        rating=np.full(number, np.nan, np.float32),
        timestamp=np.arange(number, dtype=np.int64),
        has_time=True,
        text_row=np.full(number, -1, np.int32),
        text_vectors=np.empty((0, 0), np.float16),
    )


def test_a_list_is_filled_with_popular_products_after_the_neighbours() -> None:
    learned = UserKnnBaseline(UserKnnSettings(num_neighbours=2)).fit(reviews())
    scores = learned.score(reviews().histories_of(np.array([0])))[0]
    best = [product for product in np.argsort(-scores, kind="stable").tolist() if product not in (0, 1)]
    assert best[:3] == [2, 4, 5]
    assert scores[2] > scores[4] > scores[5] > scores[3] > scores[6] == 0
