"""Who bought what, when, and how they rated it: the population lets its taste decide, one purchase after another."""

from dataclasses import dataclass

import numpy as np

from rec_sys.data.sample.population import Population
from rec_sys.data.sample.randomness import Integers, RandomStream, pick_by_weight
from rec_sys.data.sample.taste import History, Taste

_BLOCK_ELEMENTS = 4_000_000  # users times products decided at once: bounds the memory of a large sample


@dataclass(frozen=True)
class Purchases:
    """All purchases, [num_users, most reviews]; products -1 beyond a user's count."""

    products: Integers
    times: Integers
    ratings: Integers

    def before(self, users: Integers, times: Integers) -> History:
        """What users had bought before these times, int64 [n] milliseconds."""
        earlier = self.times[users] < times[:, None]
        return History(np.where(earlier, self.products[users], -1), self.times[users], self.ratings[users])


def draw_purchases(taste: Taste, population: Population, seed: int, repeat_share: float = 0.0) -> Purchases:
    """Let every user buy, in the order of their own time; a share of the purchases repeats one of the user's last."""
    stream = RandomStream(seed, 3)
    again = RandomStream(seed, 9).uniform(2, *population.times.shape)
    choice = stream.uniform(*population.times.shape)
    noise = stream.normal(*population.times.shape)
    products = np.full(population.times.shape, -1, dtype=np.int64)
    ratings = np.zeros(population.times.shape, dtype=np.int64)
    step = max(1, _BLOCK_ELEMENTS // len(taste.catalogue.products))
    for first in range(0, len(population.counts), step):
        block = np.arange(first, min(first + step, len(population.counts)))
        for position in range(int(population.counts[block].max())):
            users = block[population.counts[block] > position]
            times = population.times[users, position]
            history = History(products[users, :position], population.times[users, :position], ratings[users, :position])
            chosen = pick_by_weight(taste.probabilities(users, times, history), choice[users, position])
            if position:
                back = 1 + (again[1, users, position] ** 3 * position).astype(np.int64)  # mostly of lately
                chosen = np.where(again[0, users, position] < repeat_share, products[users, position - back], chosen)
            products[users, position] = chosen
            satisfaction = taste.satisfaction(users, times, chosen)
            ratings[users, position] = taste.stars(satisfaction, noise[users, position])
    return Purchases(products, population.times, ratings)
