"""The people and purchases that every generated schema is written from: those of the built-in sample, without texts."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from rec_sys.data.sample.catalogue import build_catalogue
from rec_sys.data.sample.population import build_population
from rec_sys.data.sample.purchases import draw_purchases
from rec_sys.data.sample.taste import Taste
from rec_sys.data.sample.vocabulary import load_vocabulary
from rec_sys.settings import SampleData

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Shop:
    """Who bought what and when, in order of time.

    Attributes:
        products: `asin`, `title`, `brand`, `categories` (list of str), `price`, `features` (list of str) and
            `description`; the row is the product.
        user: int64 `[num_purchases]`, from 0.
        product: int64 `[num_purchases]`, rows of `products`.
        stars: int64 `[num_purchases]`, 1 to 5.
        style: int64 `[num_users]`, from 0: the style that each likes as they begin.
        moment: float64 `[num_purchases]`, from 0 to 1: where in the time that the files cover.
        random: For whatever a schema draws beside that.
    """

    products: pl.DataFrame
    num_users: int
    user: IntArray
    product: IntArray
    stars: IntArray
    style: IntArray
    moment: npt.NDArray[np.float64]
    random: np.random.Generator


@dataclass(frozen=True)
class Schema:
    """How a shop's files are written, and of how many people and products unless the settings say otherwise.

    Attributes:
        write: Writes the files of a shop into an empty folder.
        repeat_share: Share of the purchases that repeat one of the user's last.
    """

    write: Callable[[Shop, Path], None]
    users: int
    products: int
    purchases: int
    repeat_share: float = 0.0


def generate_shop(users: int, products: int, purchases: int, repeat_share: float, seed: int) -> Shop:
    """The sample's people with their purchases; equal arguments give an equal shop.

    Raises:
        InputError: The sizes do not go together.
    """
    settings = SampleData(
        name="generated", reader="sample", num_users=users, num_products=products, num_reviews=purchases, seed=seed
    )
    vocabulary = load_vocabulary()
    catalogue, population = build_catalogue(products, seed, vocabulary), build_population(settings, vocabulary)
    bought = draw_purchases(Taste(catalogue, population, vocabulary), population, seed, repeat_share)
    user, position = np.nonzero(bought.products >= 0)
    order = np.lexsort((user, bought.times[user, position]))
    user, position = user[order], position[order]
    times = bought.times[user, position].astype(np.float64)
    moment = (times - times[0]) / (times[-1] - times[0] + 1)
    chosen, stars = bought.products[user, position], bought.ratings[user, position]
    style = population.stage_genre[:, 0]
    return Shop(catalogue.frame, users, user, chosen, stars, style, moment, np.random.default_rng(seed))
