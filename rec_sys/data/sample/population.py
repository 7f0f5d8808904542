"""The users: what they play, what they like, how good they are, and how all of it changes over the years."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from rec_sys.contracts import MILLISECONDS_A_DAY, InputError
from rec_sys.data.sample.catalogue import END, START
from rec_sys.data.sample.randomness import Flags, Floats, Integers, RandomStream, pick_by_weight
from rec_sys.data.sample.vocabulary import Vocabulary
from rec_sys.settings import SampleData

MAX_STAGES: Final = 4
NEVER: Final = np.iinfo(np.int64).max  # start of a stage, or time of a purchase, that does not come

_ONE_REVIEW_SHARE = 0.06
_MONTH_INTENSITY = np.array([1.35, 1.0, 0.9, 0.85, 0.85, 0.85, 0.9, 0.95, 0.95, 1.0, 1.25, 1.75])  # gifts


@dataclass(frozen=True)
class Population:
    """All users; arrays are [num_users] or, by stage of life, [num_users, MAX_STAGES]."""

    user_ids: list[str]
    counts: Integers  # reviews each user writes
    times: Integers  # [num_users, most reviews], milliseconds, rising; NEVER beyond the user's count
    stage_start: Integers  # milliseconds; the first is before everything, NEVER where there is no such stage
    stage_role: Integers
    stage_genre: Integers
    stage_level: Floats  # experience as the stage begins: 0 a beginner, 2 a professional
    budget: Floats  # tiers above or below what the level asks for
    brand_taste: Floats  # [num_users, num_brands]
    wish_start: Integers  # [num_users, most reviews], rising; NEVER where there is no further wish
    wish_kind: Integers  # the kind of product wished for since then
    leniency: Floats  # standard normal: how kindly the user rates
    is_parent: Flags  # buys for a child


def build_population(settings: SampleData, vocabulary: Vocabulary) -> Population:
    """Invent the users.

    Raises:
        InputError: The settings ask for more reviews than the users could write, or fewer than one a user.
    """
    stream = RandomStream(settings.seed, 2)
    num_users = settings.num_users
    counts = _review_counts(settings, stream)
    times = _times(counts, stream)
    is_parent = stream.uniform(num_users) < 0.09
    shares = np.array([role.share for role in vocabulary.roles.values()])
    roles = stream.rows_of(np.tile(shares, (num_users, 1)))
    stages = _stages(vocabulary, stream, roles, counts, times, is_parent)
    wishes = _wishes(vocabulary, stream, times, stages)
    return Population(
        user_ids=stream.identifiers("A", 13 + stream.integers(2, num_users)),
        counts=counts,
        times=times,
        stage_start=stages[0],
        stage_role=stages[1],
        stage_genre=stages[2],
        stage_level=stages[3],
        wish_start=wishes[0],
        wish_kind=wishes[1],
        budget=0.35 * stream.normal(num_users),
        brand_taste=0.35 * stream.normal(num_users, len(vocabulary.brands)),
        leniency=stream.normal(num_users),
        is_parent=is_parent,
    )


def _review_counts(settings: SampleData, stream: RandomStream) -> Integers:
    """How many reviews each user writes: exactly `num_reviews` in all, skewed, some users with one."""
    num_users, num_reviews = settings.num_users, settings.num_reviews
    most = max(4, min(60, settings.num_products // 2))
    num_single = max(1, round(_ONE_REVIEW_SHARE * num_users))
    fewest, limit = num_single + 2 * (num_users - num_single), num_single + most * (num_users - num_single)
    if not fewest <= num_reviews <= limit:
        raise InputError(
            f"the sample cannot have {num_reviews} reviews by {num_users} users of {settings.num_products} products",
            where="data.num_reviews",
            remedy=f"choose a number from {fewest} to {limit}, or change data.num_users or data.num_products",
        )
    single = stream.order(num_users) < num_single
    activity = np.where(single, 0.0, np.exp(0.75 * stream.normal(num_users)))
    base = np.where(single, 1, 2)
    # Water-filling: users at the limit keep it and the rest is shared out again.
    low, high = 0.0, 1e6 * num_reviews
    for _ in range(100):
        middle = (low + high) / 2
        total = np.minimum(base + activity * middle, np.where(single, 1, most)).sum()
        low, high = (middle, high) if total < num_reviews else (low, middle)
    ideal = np.minimum(base + activity * high, np.where(single, 1, most))
    counts = np.floor(ideal).astype(np.int64)
    short = num_reviews - int(counts.sum())
    counts[np.argsort(counts - ideal, kind="stable")[:short]] += 1
    return counts


def _times(counts: Integers, stream: RandomStream) -> Integers:
    """When each user writes: in sessions, more around Christmas, to the second, never two at once."""
    num_users, longest = len(counts), int(counts.max())
    months = np.tile(_MONTH_INTENSITY, 4)
    calendar = np.concatenate([[0.0], np.cumsum(months) / months.sum()])
    span = np.minimum(0.95, 0.045 * counts**0.75 * np.exp(0.5 * stream.normal(num_users)))
    begin = (1 - span) * stream.uniform(num_users) ** 0.8
    gaps = -np.log1p(-stream.uniform(num_users, longest))
    gaps *= stream.uniform(num_users, longest) > 0.25  # a quarter follow within the same session
    gaps[:, 0] = 0.0
    position = np.arange(longest)
    inside = position < counts[:, None]
    elapsed = np.cumsum(np.where(inside, gaps, 0.0), axis=1)
    fraction = begin[:, None] + span[:, None] * elapsed / np.maximum(elapsed[:, -1:], 1e-9)
    days = np.interp(fraction, calendar, np.linspace(0, (END - START) / MILLISECONDS_A_DAY - 1, len(calendar)))
    seconds = (days * 86_400).astype(np.int64)
    seconds_apart = np.cumsum(60 + stream.integers(1_500, num_users, longest), axis=1)
    seconds = np.maximum.accumulate(seconds - seconds_apart, axis=1) + seconds_apart
    return np.where(inside, np.minimum(START + 1_000 * seconds, END - 1_000 * (counts[:, None] - position)), NEVER)


def _stages(
    vocabulary: Vocabulary, stream: RandomStream, roles: Integers, counts: Integers, times: Integers, is_parent: Flags
) -> tuple[Integers, Integers, Integers, Floats]:
    """Lives in stages: a role, a genre, a level; busy users have more of them."""
    num_users = len(counts)
    names = list(vocabulary.roles)
    follows = np.array([[role.next.get(name, 0.0) for name in names] for role in vocabulary.roles.values()])
    likes = np.array([[role.genres.get(name, 0.0) for name in vocabulary.genres] for role in vocabulary.roles.values()])
    extra = stream.uniform(num_users, MAX_STAGES - 1) < [0.8, 0.6, 0.6]
    num_stages = 1 + (extra & (counts[:, None] >= [5, 12, 22])).cumprod(axis=1).sum(axis=1)
    num_stages = np.where(is_parent, 1, num_stages)

    start = np.full((num_users, MAX_STAGES), NEVER)
    start[:, 0] = np.iinfo(np.int64).min
    role, genre = np.zeros((2, num_users, MAX_STAGES), dtype=np.int64)
    level = np.zeros((num_users, MAX_STAGES))
    role[:, 0] = roles
    genre[:, 0] = stream.rows_of(likes[roles])
    bands = np.array([[0.0, 0.4], [0.7, 1.2], [1.4, 2.0]])[stream.rows_of(np.tile([0.42, 0.38, 0.2], (num_users, 1)))]
    level[:, 0] = np.where(is_parent, 0.1, bands[:, 0] + (bands[:, 1] - bands[:, 0]) * stream.uniform(num_users))
    first, last = times[:, 0], times[np.arange(num_users), counts - 1]
    for stage in range(1, MAX_STAGES):
        fraction = (stage - 0.25 + 0.5 * stream.uniform(num_users)) / num_stages
        begins = first + (fraction * (last - first)).astype(np.int64)
        start[:, stage] = np.where(stage < num_stages, begins, NEVER)
        role[:, stage] = stream.rows_of(follows[role[:, stage - 1]])
        loyal = stream.uniform(num_users) < 0.8
        before = genre[:, stage - 1]
        fits = likes[role[:, stage], before] > 0
        genre[:, stage] = np.where(
            loyal & fits, before, pick_by_weight(likes[role[:, stage]], stream.uniform(num_users))
        )
        level[:, stage] = np.clip(level[:, stage - 1] + 0.3 - 0.6 * (stream.uniform(num_users) < 0.3), 0, 2)
    return start, role, genre, level


def _wishes(
    vocabulary: Vocabulary, stream: RandomStream, times: Integers, stages: tuple[Integers, Integers, Integers, Floats]
) -> tuple[Integers, Integers]:
    """What users have set their heart on: at some of their purchases a new wish comes up, for a kind of product.

    It comes up before they write, so the review can speak of it; that is what makes texts worth reading.
    """
    start, role, genre, _ = stages
    wants = role_wants(vocabulary)
    genres = list(vocabulary.genres)
    kinds = [kind for family in vocabulary.families.values() for kind in family.kinds]
    suits = np.array([[1.0 if name in k.styles else 0.5 if not k.styles else 0.1 for k in kinds] for name in genres])
    wish_kind = np.zeros(times.shape, dtype=np.int64)
    users = np.arange(len(times))
    for position in range(times.shape[1]):
        stage = (start <= times[:, position, None]).sum(axis=1) - 1
        weights = wants[role[users, stage]] * suits[genre[users, stage]]
        wish_kind[:, position] = stream.rows_of(weights)
    comes_up = (stream.uniform(*times.shape) < 0.33) & (times < NEVER)
    comes_up[:, 0] = True
    # A position without a new wish keeps the one before.
    latest = np.maximum.accumulate(np.where(comes_up, np.arange(times.shape[1]), 0), axis=1)
    before_writing = times - 1_000
    return (
        np.where(times < NEVER, np.take_along_axis(before_writing, latest, axis=1), NEVER),
        np.take_along_axis(wish_kind, latest, axis=1),
    )


def role_wants(vocabulary: Vocabulary) -> Floats:
    """How much each role wants each kind of product; float64 [num_roles, num_kinds]."""
    kinds = [(name, kind) for name, family in vocabulary.families.items() for kind in family.kinds]
    return np.array(
        [
            [
                role.wants.get(name, 0.0) * (1.0 if not kind.roles or role_name in kind.roles else 0.1)
                for name, kind in kinds
            ]
            for role_name, role in vocabulary.roles.items()
        ]
    )
