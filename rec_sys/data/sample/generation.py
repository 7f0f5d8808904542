"""The built-in sample: musical instruments, the people who buy them, and what they write."""

from typing import NamedTuple

import numpy as np
import polars as pl

from rec_sys.contracts import ReviewColumn
from rec_sys.data.sample.catalogue import build_catalogue
from rec_sys.data.sample.circumstances import Occasion
from rec_sys.data.sample.grammar import Draws
from rec_sys.data.sample.persona import Personas
from rec_sys.data.sample.population import build_population
from rec_sys.data.sample.purchases import Purchases, draw_purchases
from rec_sys.data.sample.randomness import Integers, RandomStream
from rec_sys.data.sample.taste import Taste
from rec_sys.data.sample.vocabulary import Vocabulary, load_vocabulary
from rec_sys.data.sample.voice import draw_voice
from rec_sys.data.sample.writing import ReviewWriter
from rec_sys.settings import SampleData

_DRAWS_A_REVIEW = 128


class Sample(NamedTuple):
    """The generated data and what it was drawn from."""

    reviews: pl.DataFrame
    products: pl.DataFrame
    taste: Taste
    purchases: Purchases


def generate_sample(settings: SampleData) -> Sample:
    """Generates the sample; equal settings give equal frames on every machine.

    Returns:
        `reviews`, sorted by time, with the columns of `ReviewColumn`; `products` with `asin`, `title`, `brand`,
        `categories`, `price` (float32, US dollars), `features` (list of str) and `description`, in an order that
        carries no information; the hidden taste and the purchases.

    Raises:
        InputError: The sizes do not go together.
    """
    vocabulary = load_vocabulary()
    catalogue = build_catalogue(settings.num_products, settings.seed, vocabulary)
    population = build_population(settings, vocabulary)
    taste = Taste(catalogue, population, vocabulary)
    purchases = draw_purchases(taste, population, settings.seed, settings.repeat_share)
    asins = catalogue.frame["asin"].to_list()
    reviews = _reviews(taste, purchases, asins, vocabulary, settings.seed)
    return Sample(reviews, catalogue.frame, taste, purchases)


def _reviews(taste: Taste, purchases: Purchases, asins: list[str], vocabulary: Vocabulary, seed: int) -> pl.DataFrame:
    users, positions = np.nonzero(purchases.products >= 0)
    by_time = np.lexsort((users, purchases.times[users, positions]))
    users, positions = users[by_time], positions[by_time]
    products, times = purchases.products[users, positions], purchases.times[users, positions]
    stars = purchases.ratings[users, positions]
    stream = RandomStream(seed, 5)
    texts = _texts(taste, purchases, users, positions, vocabulary, seed)
    lengths = np.array([len(body or "") for _, body in texts])
    names = taste.population.user_ids
    return pl.DataFrame(
        {
            ReviewColumn.USER_ID: [names[user] for user in users],
            ReviewColumn.ASIN: [asins[product] for product in products],
            ReviewColumn.RATING: pl.Series(stars, dtype=pl.Float32),
            ReviewColumn.TIMESTAMP: pl.Series(times, dtype=pl.Int64),
            ReviewColumn.TITLE: pl.Series([headline for headline, _ in texts], dtype=pl.String),
            ReviewColumn.TEXT: pl.Series([body for _, body in texts], dtype=pl.String),
            ReviewColumn.STYLE: pl.Series(_variants(taste, products, stream), dtype=pl.String),
            ReviewColumn.HELPFUL_VOTES: pl.Series(_votes(lengths, stream), dtype=pl.Int32),
            ReviewColumn.VERIFIED: stream.uniform(len(users)) < 0.93,
            ReviewColumn.SOURCE_ROW: pl.Series(range(len(users)), dtype=pl.Int64),
        }
    )


def _texts(
    taste: Taste, purchases: Purchases, users: Integers, positions: Integers, vocabulary: Vocabulary, seed: int
) -> list[tuple[str | None, str | None]]:
    """Headline and body of each review, written one by one: this is most of the generator's time."""
    population, catalogue = taste.population, taste.catalogue
    products, times = purchases.products[users, positions], purchases.times[users, positions]
    stages, wanted = taste.stage_of_interest(users, times, products)
    levels = taste.level(users, times)
    genres = population.stage_genre[users, stages]
    fits = taste.fit(genres, products)
    wishes, are_open = taste.wish(users, times, purchases.before(users, times + 1))
    two_before = purchases.times[users, np.maximum(positions - 2, 0)]
    arrivals = taste.stage(users, two_before) < stages
    writer = ReviewWriter(catalogue, Personas(population, vocabulary, seed), vocabulary)
    stream = RandomStream(seed, 6)
    verbosity = stream.normal(len(population.counts)).tolist()
    habits = stream.uniform(len(population.counts), 12).tolist()
    voices = [draw_voice(Draws(row), wordy) for row, wordy in zip(habits, verbosity, strict=True)]
    texts = []
    for row in range(len(users)):
        user = int(users[row])
        occasion = Occasion(
            user=user,
            time=int(times[row]),
            stage=int(stages[row]),
            level=float(levels[row]),
            product=int(products[row]),
            stars=int(purchases.ratings[user, positions[row]]),
            fit=float(fits[row]),
            genre=int(genres[row]),
            wish=int(wishes[row]) if are_open[row] else None,
            is_own=bool(wanted[row]),
            is_arrival=bool(arrivals[row]),
            earlier=purchases.products[user, : positions[row]].tolist(),
        )
        texts.append(writer.write(occasion, voices[user], Draws(stream.uniform(_DRAWS_A_REVIEW).tolist())))
    return texts


def _variants(taste: Taste, products: Integers, stream: RandomStream) -> list[str | None]:
    """The version bought, for most reviews of products that come in several."""
    mentioned, which = stream.uniform(len(products)) < 0.7, stream.uniform(len(products))
    on_sale = [product.variants for product in taste.catalogue.products]
    return [
        on_sale[product][int(w * len(on_sale[product]))] if says and on_sale[product] else None
        for product, says, w in zip(products, mentioned, which, strict=True)
    ]


def _votes(lengths: Integers, stream: RandomStream) -> Integers:
    """Helpful votes: mostly none, more for long reviews."""
    found_useful = stream.uniform(len(lengths)) < 0.05 + np.minimum(lengths, 600) / 1_500
    return np.where(found_useful, 1 - 4 * np.log1p(-stream.uniform(len(lengths))), 0).astype(np.int64)
