"""A table of invented reviews of any size, with a text vector for each: what growth is measured on.

Activity and popularity follow power laws whose shape does not depend on the size, so a review of a large table has
the neighbourhood that one of a small table has, and whatever costs more there does so because of the amount.
"""

from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from rec_sys.contracts import ReviewColumn
from rec_sys.files import atomic_file
from rec_sys.settings import ReviewColumnMap

REVIEWS_A_USER: Final = 10
REVIEWS_A_PRODUCT: Final = 50
# Users and products are drawn as floor(count * u ** exponent), u uniform: a share x of them, the most active first,
# writes or gets x ** (1 / exponent) of the reviews.
_USER_EXPONENT: Final = 1.5
_PRODUCT_EXPONENT: Final = 2.0
_SENTENCES: Final = 4_096
_FEWEST_SENTENCES: Final = 2  # one alone would stand on more and more reviews as the table grows
_MOST_SENTENCES: Final = 8
_FIRST_DAY: Final = 1_262_304_000  # 2010-01-01 UTC, seconds
_NUM_DAYS: Final = 3_650
_DAY_SECONDS: Final = 86_400
_STAR_SHARES: Final = (0.05, 0.05, 0.1, 0.2, 0.6)
_CHUNK: Final = 65_536

COLUMNS: Final = ReviewColumnMap(
    user_id=ReviewColumn.USER_ID,
    asin=ReviewColumn.ASIN,
    rating=ReviewColumn.RATING,
    timestamp=ReviewColumn.TIMESTAMP,
    text=ReviewColumn.TEXT,
    title=None,
    style=None,
    helpful_votes=None,
    verified=None,
)
# Who, what and when alone: what is left open would be found in the table.
INTERACTION_COLUMNS: Final = COLUMNS.model_copy(update={ReviewColumn.RATING: None, ReviewColumn.TEXT: None})


def write_synthetic_table(path: Path, num_reviews: int, seed: int, reviews_a_product: int = REVIEWS_A_PRODUCT) -> None:
    """Writes a Parquet table of `COLUMNS`, in no order of time; times are whole days in seconds, as Amazon's are."""
    random = np.random.default_rng(seed)
    users = _drawn(random, num_reviews, max(1, num_reviews // REVIEWS_A_USER), _USER_EXPONENT)
    products = _drawn(random, num_reviews, max(1, num_reviews // reviews_a_product), _PRODUCT_EXPONENT)
    days = random.integers(_NUM_DAYS, size=num_reviews)
    stars = random.choice(np.arange(1.0, 6.0), size=num_reviews, p=_STAR_SHARES)
    frame = pl.DataFrame({"user": users, "product": products}).select(
        pl.format("U{}", pl.col("user").cast(pl.String).str.zfill(9)).alias(ReviewColumn.USER_ID),
        pl.format("P{}", pl.col("product").cast(pl.String).str.zfill(9)).alias(ReviewColumn.ASIN),
        pl.Series(ReviewColumn.RATING, stars),
        pl.Series(ReviewColumn.TIMESTAMP, _FIRST_DAY + days * _DAY_SECONDS),
        _texts(random, num_reviews).alias(ReviewColumn.TEXT),
    )
    with atomic_file(path) as unfinished:
        frame.write_parquet(unfinished)


def write_synthetic_vectors(path: Path, num_reviews: int, seed: int, text_dim: int = 384) -> None:
    """Writes float16 `[num_reviews, text_dim]`, each row of unit length, as `.npy`, a piece at a time."""
    random = np.random.default_rng(seed)
    with atomic_file(path) as unfinished:
        shape = (num_reviews, text_dim)
        vectors = np.lib.format.open_memmap(unfinished, mode="w+", dtype=np.float16, shape=shape)
        for start in range(0, num_reviews, _CHUNK):
            piece = random.standard_normal((min(_CHUNK, num_reviews - start), text_dim), dtype=np.float32)
            vectors[start : start + len(piece)] = piece / np.linalg.norm(piece, axis=1, keepdims=True)
        vectors.flush()


def _drawn(random: np.random.Generator, size: int, count: int, exponent: float) -> npt.NDArray[np.int64]:
    return (count * random.random(size) ** exponent).astype(np.int64)


def _texts(random: np.random.Generator, num_reviews: int) -> pl.Series:
    """Two to eight sentences each, some 280 characters on average; hardly any text stands twice."""
    letters = random.integers(ord("a"), ord("z") + 1, size=(_SENTENCES, 55), dtype=np.uint8)
    letters[:, 6::7] = ord(" ")
    sentences = pl.Series([bytes(row).decode() for row in letters], dtype=pl.String)
    length = random.integers(_FEWEST_SENTENCES, _MOST_SENTENCES + 1, size=num_reviews)
    picked = random.integers(_SENTENCES, size=(num_reviews, _MOST_SENTENCES))
    pieces = [
        sentences.gather(picked[:, place]).set(pl.Series(length <= place), None).alias(str(place))
        for place in range(_MOST_SENTENCES)
    ]
    return pl.DataFrame(pieces).select(pl.concat_str(pl.all(), separator=". ", ignore_nulls=True)).to_series()
