"""What each user would buy next, and how they would rate it: the truth that a recommender tries to learn.

The next product is drawn from a softmax over what is on sale and not yet bought. Its utility adds what the user's
role wants (it drifts with the stages of their life), what complements or repeats earlier purchases, the fit of genre,
experience, price and brand, and the product's own popularity, novelty and season.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import ndtr

from rec_sys.contracts import MILLISECONDS_A_DAY
from rec_sys.data.sample.catalogue import NEUTRAL, START, Catalogue
from rec_sys.data.sample.population import Population, role_wants
from rec_sys.data.sample.randomness import Flags, Floats, Integers
from rec_sys.data.sample.vocabulary import Vocabulary

# Stars are cuts of a latent satisfaction: most are five, few are two (J-shaped, as ratings of bought goods are).
_CUTS = np.array([-1.1, -0.78, -0.36, 0.28])
_NOISE = 0.75

# Weights of the utility, set so that the best possible NDCG@10 is several times popularity's and not near one.
_WANT: Final = 1.25
_COMPLEMENT: Final = 1.0
_WISH_FAMILY: Final = 1.0
_WISH_KIND: Final = 1.5
_STYLE: Final = 3.2
_PRICE: Final = 0.9
_LEVEL: Final = 0.6
_BRAND: Final = 0.8
_FRESH: Final = 1.1
_QUALITY: Final = 0.2
_GIFT: Final = 1.2
_INTEREST: Final = 0.1  # a family wanted less than this is no part of a role
_COMPLEMENT_DAYS: Final = 150.0
_AGAIN: Final = {"durable": -2.2, "consumable": 0.5, "collected": -0.9}  # a further product of the same kind
_SIBLING: Final = {"durable": -1.0, "consumable": -0.2, "collected": 0.15}  # and of another kind of its family


@dataclass(frozen=True)
class History:
    """What users bought before some time; [n, length], products -1 where there is nothing."""

    products: Integers
    times: Integers
    ratings: Integers


class Taste:
    """Utilities and satisfaction of every user for every product."""

    def __init__(self, catalogue: Catalogue, population: Population, vocabulary: Vocabulary) -> None:
        self.catalogue = catalogue
        self.population = population
        families = list(vocabulary.families.items())
        self._wants = role_wants(vocabulary)  # [num_roles, num_kinds]
        index = {name: i for i, (name, _) in enumerate(families)}
        self._leads_to = np.zeros((len(families), len(families)))
        for name, family in families:
            for other, weight in family.leads_to.items():
                self._leads_to[index[name], index[other]] = weight
        needs = [family.need for _, family in families]
        self._sibling = np.array([_SIBLING[need] for need in needs])  # [num_families]
        self._again = np.array([_AGAIN[needs[f]] for f in catalogue.kind_family])  # [num_kinds]
        self._suits = self._genre_fit(vocabulary)  # [num_genres, num_products]

    def _genre_fit(self, vocabulary: Vocabulary) -> Floats:
        """How well each product suits each genre, in [-0.5, 0.5] times the weight style has for it."""
        names = list(vocabulary.genres)
        near = np.array([[genre.near.get(name, 0.0) for name in names] for genre in vocabulary.genres.values()])
        near += np.eye(len(names))
        fit = near[:, self.catalogue.style] - 0.5
        fit[:, self.catalogue.style == NEUTRAL] = 0.0
        return fit * self.catalogue.style_weight

    def fit(self, genres: Integers, products: Integers) -> Floats:
        """How well products suit genres, from -0.5 to 0.5, 0 where neither helps nor hurts; float64 [n]."""
        return np.asarray(self._suits[genres, products])

    def stage_of_interest(self, users: Integers, times: Integers, products: Integers) -> tuple[Integers, Flags]:
        """Which stage of life explains a purchase: the present one, else the one before.

        Returns:
            The stage, int64 [n], and whether its role wants the product at all, bool [n].
        """
        population, kinds = self.population, self.catalogue.kind[products]
        present = self.stage(users, times)
        before = np.maximum(present - 1, 0)
        wanted_now = self._wants[population.stage_role[users, present], kinds] >= _INTEREST
        wanted_before = self._wants[population.stage_role[users, before], kinds] >= _INTEREST
        return np.where(wanted_now | ~wanted_before, present, before), wanted_now | wanted_before

    def stage(self, users: Integers, times: Integers) -> Integers:
        """Which stage of life users are in at these times, int64 [n]."""
        return np.asarray((self.population.stage_start[users] <= times[:, None]).sum(axis=1) - 1)

    def level(self, users: Integers, times: Integers) -> Floats:
        """Experience of users at these times: 0 a beginner, 2 a professional; float64 [n]."""
        stage = self.stage(users, times)
        began = np.maximum(self.population.stage_start[users, stage], START)
        years = np.maximum(times - began, 0) / (365 * MILLISECONDS_A_DAY)
        return np.clip(self.population.stage_level[users, stage] + 0.25 * years, 0, 2)

    def probabilities(self, users: Integers, times: Integers, history: History) -> Floats:
        """The distribution of the next purchase at these times, int64 [n] milliseconds.

        Returns:
            float64 [n, num_products]; rows sum to 1, and are 0 where nothing is left to buy.
        """
        utility = self._utility(users, times, history)
        rows, columns = np.nonzero(history.products >= 0)
        utility[rows, history.products[rows, columns]] = -np.inf
        utility[self.catalogue.release > times[:, None]] = -np.inf
        best = np.maximum(utility.max(axis=1, keepdims=True), -1e300)
        weight = np.exp(utility - best)
        return np.asarray(weight / np.maximum(weight.sum(axis=1, keepdims=True), 1e-300))

    def _utility(self, users: Integers, times: Integers, history: History) -> Floats:
        catalogue, population = self.catalogue, self.population
        stage = self.stage(users, times)
        level = self.level(users, times)
        by_kind = _WANT * np.log(self._demand(users, times, stage) + 0.012) + self._after_purchases(times, history)
        by_kind += self._wish(users, times, history)
        utility = by_kind[:, catalogue.kind]
        utility += _STYLE * self._suits[population.stage_genre[users, stage]]
        tier = np.clip(0.3 + level + population.budget[users], 0, 3)
        utility -= _PRICE * (catalogue.tier - tier[:, None]) ** 2
        utility -= _LEVEL * (catalogue.level - level[:, None]) ** 2
        utility += (population.brand_taste[users] + self._brand_memory(users, history))[:, catalogue.brand]
        age_days = (times[:, None] - catalogue.release) / MILLISECONDS_A_DAY
        utility += _FRESH * np.exp(-np.maximum(age_days, 0) / 90)
        utility += _GIFT * catalogue.gift * _is_gift_season(times)[:, None]
        utility += catalogue.popularity + _QUALITY * catalogue.quality
        return utility

    def _demand(self, users: Integers, times: Integers, stage: Integers) -> Floats:
        """What the present role wants, and still a little of what the last one did; float64 [n, num_kinds]."""
        population = self.population
        demand = self._wants[population.stage_role[users, stage]]
        before = np.maximum(stage - 1, 0)
        days = (times - np.maximum(population.stage_start[users, stage], START)) / MILLISECONDS_A_DAY
        keeps = np.where(stage > 0, 0.06 + 0.3 * np.exp(-np.maximum(days, 0) / 90), 0.0)
        return demand + keeps[:, None] * self._wants[population.stage_role[users, before]]

    def wish(self, users: Integers, times: Integers, history: History) -> tuple[Integers, Flags]:
        """What users have set their heart on at these times.

        Returns:
            The kind, int64 [n], and whether it is still open: nothing of its family bought since it came up.
        """
        population, catalogue = self.population, self.catalogue
        came_up = population.wish_start[users] <= times[:, None]
        current = np.maximum(came_up.sum(axis=1) - 1, 0)
        kind, since = population.wish_kind[users, current], population.wish_start[users, current]
        bought = (history.products >= 0) & (history.times >= since[:, None])
        family = catalogue.family[np.maximum(history.products, 0)]
        fulfilled = (bought & (family == catalogue.kind_family[kind][:, None])).any(axis=1)
        return kind, came_up.any(axis=1) & ~fulfilled

    def _wish(self, users: Integers, times: Integers, history: History) -> Floats:
        """What the open wish adds; float64 [n, num_kinds]."""
        kind, is_open = self.wish(users, times, history)
        family = self.catalogue.kind_family
        same_family = family == family[kind][:, None]
        same_kind = np.arange(len(family)) == kind[:, None]
        return np.asarray(is_open[:, None] * (_WISH_FAMILY * same_family + _WISH_KIND * same_kind))

    def _after_purchases(self, times: Integers, history: History) -> Floats:
        """What earlier purchases make more or less wanted; float64 [n, num_kinds].

        A purchase asks for its complements for some months. A durable is not wanted twice, unless the user was let
        down (two stars or fewer) and looks for a better one; strings and the like are bought in the same kind again.
        """
        catalogue = self.catalogue
        bought = history.products >= 0
        product = np.where(bought, history.products, 0)
        recent = np.exp(-(times[:, None] - np.where(bought, history.times, 0)) / MILLISECONDS_A_DAY / _COMPLEMENT_DAYS)
        num_kinds, num_families = len(catalogue.kind_family), len(self._leads_to)
        family, kind = catalogue.family[product], catalogue.kind[product]
        content = bought & (history.ratings >= 3)
        asks = _count(family, bought * recent * np.where(content, 1.0, 0.5), num_families)
        complement = np.minimum(asks @ self._leads_to, 1.6)
        siblings = np.minimum(_count(family, content, num_families), 2)
        same = np.minimum(_count(kind, content, num_kinds), 2)
        let_down = np.minimum(_count(kind, (bought & ~content) * recent, num_kinds), 1)
        by_family = _COMPLEMENT * complement + self._sibling * siblings
        return np.asarray(by_family[:, catalogue.kind_family] + self._again * same + 0.9 * let_down)

    def _brand_memory(self, users: Integers, history: History) -> Floats:
        """Trust earned and lost by brands through the user's own stars; float64 [n, num_brands]."""
        bought = history.products >= 0
        brand = self.catalogue.brand[np.where(bought, history.products, 0)]
        trust = np.where(bought, (history.ratings - 3.6) / 1.4, 0.0)
        return _BRAND * np.tanh(_count(brand, trust, self.population.brand_taste.shape[1]))

    def satisfaction(self, users: Integers, times: Integers, products: Integers) -> Floats:
        """The latent mean behind the stars: quality, leniency, fit of genre and of price; float64 [n]."""
        catalogue, population = self.catalogue, self.population
        stage = self.stage(users, times)
        fit = self.fit(population.stage_genre[users, stage], products)
        short = np.maximum(self.level(users, times) - catalogue.tier[products] - 0.6, 0)
        return np.asarray(
            0.5 + 0.5 * catalogue.quality[products] + 0.5 * population.leniency[users] + 0.9 * fit - 0.3 * short
        )

    def expected_stars(self, satisfaction: Floats) -> Floats:
        """Mean rating, 1 to 5, for a latent satisfaction."""
        above = ndtr((satisfaction[..., None] - _CUTS) / _NOISE)
        return np.asarray(1 + above.sum(axis=-1))

    def stars(self, satisfaction: Floats, noise: Floats) -> Integers:
        """Ratings, 1 to 5, for a latent satisfaction and standard normal noise."""
        return np.asarray(1 + ((satisfaction + _NOISE * noise)[..., None] > _CUTS).sum(axis=-1))


def _count(indices: Integers, weights: Floats | Flags, size: int) -> Floats:
    """Weighted histogram of each row: float64 [n, size] from indices and weights [n, length]."""
    rows = np.arange(len(indices))[:, None] * size
    counted = np.bincount((rows + indices).ravel(), weights=weights.ravel(), minlength=len(indices) * size)
    return np.asarray(counted.reshape(len(indices), size), dtype=np.float64)


def _is_gift_season(times: Integers) -> Floats:
    """1.0 from late November to Christmas."""
    day_of_year = ((times - START) / MILLISECONDS_A_DAY) % 365.25
    return ((day_of_year >= 326) & (day_of_year < 359)).astype(np.float64)
