"""What a split must hold, against a slow reading of the same rules."""

from collections import defaultdict
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rec_sys.contracts import MILLISECONDS_A_DAY, InputError, SplitName
from rec_sys.data import splits
from rec_sys.data.interactions import Interactions
from rec_sys.data.queries import Queries
from rec_sys.data.splits import (
    FEW_QUESTIONS,
    Split,
    earlier_stages,
    refuse_too_little,
    split_reviews,
)
from rec_sys.data.straddling_texts import hide_straddling_texts
from rec_sys.settings import EvaluationSettings
from tests.review_graphs import ReviewTable, make_interactions, random_table

BY_TIME = ["global_time", "time_folds", "next_days"]
PROTOCOLS = ["leave_last_out", "random_split", *BY_TIME]
HELD_OUT = {SplitName.VALIDATION, SplitName.TEST}


def settings_of(protocol: str, fraction: float = 0.25) -> EvaluationSettings:
    windows = {"window_days": 2, "num_folds": 3, "fold": 1}
    fractions = {"validation_fraction": fraction, "test_fraction": fraction}
    return EvaluationSettings.model_validate({"protocol": protocol} | windows | fractions)


def users_reviews(*days_of_users: list[int], **changes: Any) -> Interactions:
    """Each user's reviews by their days, every one with a product and a text of its own."""
    user = np.repeat(np.arange(len(days_of_users)), [len(days) for days in days_of_users])
    number = len(user)
    columns: dict[str, Any] = {
        "product": np.arange(number),
        "day": np.concatenate([np.array(days, dtype=np.int64) for days in days_of_users]),
        "body": np.arange(number),
        "rating": np.full(number, 4, dtype=np.float32),
        "vector": np.zeros((number, 1), dtype=np.float16),
    }
    table = ReviewTable(len(days_of_users), number, user, **(columns | changes))
    return make_interactions(table)[0]


def lateness(part: int) -> int:
    """Reviews that are never asked about hide nothing."""
    return SplitName.TRAIN if part in (SplitName.HISTORY, SplitName.LATER) else part


def slow_queries(interactions: Interactions, split: Split, asked: int, cut: bool) -> list[tuple[Any, ...]]:
    """(user, bound, targets, history) of everybody who can be asked."""
    known = {SplitName.TRAIN, SplitName.HISTORY} | ({SplitName.VALIDATION} if asked == SplitName.TEST else set())
    targets = defaultdict(list)
    for edge, part in enumerate(split.of_review):
        if part == asked and (split.of_kind is None or split.of_kind[edge]):
            targets[int(interactions.user_index[edge])].append(edge)
    found: list[tuple[Any, ...]] = []
    for user in sorted(targets):
        first = min(edge for edges in targets.values() for edge in edges) if cut else targets[user][0]
        bound = first if cut else int(interactions.unit_start[first])
        history = [
            edge
            for edge in range(bound)
            if interactions.user_index[edge] == user and int(split.of_review[edge]) in known
        ]
        found.append((user, bound, targets[user], interactions.product_index[history].tolist()))
    return found


def slow_daily(interactions: Interactions, split: Split) -> list[tuple[Any, ...]]:
    """(user, bound, targets, history) of everybody on each day of theirs in the test split, day by day."""
    day = interactions.timestamp // MILLISECONDS_A_DAY
    targets = defaultdict(list)
    for edge, part in enumerate(split.of_review):
        if part == SplitName.TEST and (split.of_kind is None or split.of_kind[edge]):
            targets[int(day[edge]), int(interactions.user_index[edge])].append(edge)
    found: list[tuple[Any, ...]] = []
    for (when, user), edges in sorted(targets.items()):
        own = np.flatnonzero((interactions.user_index == user) & (day < when) & (split.of_review != SplitName.LATER))
        history = interactions.product_index[own].tolist()
        found.append((user, int((day < when).sum()), edges, history))
    return found


def fast_queries(queries: Queries) -> list[tuple[Any, ...]]:
    return [
        (
            int(queries.user_index[row]),
            int(queries.bound[row]),
            queries.target_edges[slice(*queries.target_offsets[row : row + 2])].tolist(),
            queries.history_products[slice(*queries.history_offsets[row : row + 2])].tolist(),
        )
        for row in range(len(queries))
    ]


@settings(max_examples=80)
@given(
    st.integers(0, 10_000),
    st.sampled_from(PROTOCOLS),
    st.integers(6, 60),
    st.integers(2, 20),
    st.integers(1, 12),
    st.integers(0, 3),
    st.booleans(),
)
def test_a_split_of_any_data_keeps_its_promises(
    seed: int, protocol: str, num_reviews: int, num_users: int, num_days: int, split_seed: int, are_events: bool
) -> None:
    table = random_table(
        seed, num_reviews=num_reviews, num_users=num_users, num_days=num_days, num_bodies=1 + num_reviews // 3
    )
    interactions, _ = make_interactions(table)
    asked_for = settings_of(protocol)
    if are_events:
        kinds = np.random.default_rng(seed).integers(-1, 2, num_reviews).astype(np.int16)
        interactions = replace(interactions, event_index=kinds, event_kinds=("order", "view"))
        asked_for = asked_for.model_copy(update={"target_events": ("order",)})
    try:
        split = split_reviews(interactions, asked_for, split_seed)
    except InputError:
        assume(False)
    cut = protocol in BY_TIME
    # No unit is divided.
    assert (split.of_review == split.of_review[interactions.unit_start]).all()
    # The questions are those of a slow reading of the rules.
    for asked, queries in ((SplitName.VALIDATION, split.validation), (SplitName.TEST, split.test)):
        asking = slow_queries(interactions, split, asked, cut)
        assert fast_queries(queries) == [one for one in asking if one[3]]
        assert queries.num_cold == len(asking) - len(queries)
        assert queries.num_cold == 0 or cut
        assert (interactions.product_index[queries.history_edges] == queries.history_products).all()
        if asked == SplitName.TEST:
            assert fast_queries(split.cold_test) == [one for one in asking if not one[3]]
        assert (queries.target_products == interactions.product_index[queries.target_edges]).all()
        assert (queries.user_index[1:] > queries.user_index[:-1]).all()
        rows = np.arange(len(queries))[::-1]
        place, masked = queries.masked_products(rows)
        known = [
            (at, int(interactions.product_index[edge]))
            for at, row in enumerate(rows)
            for edge in queries.history_edges[slice(*queries.history_offsets[row : row + 2])]
            if not are_events or interactions.event_index[edge] == 0
        ]
        assert list(zip(place.tolist(), masked.tolist(), strict=True)) == known
    assert (split.daily is None) == (not cut)
    if split.daily is not None:
        asking = slow_daily(interactions, split)
        assert fast_queries(split.daily) == [one for one in asking if one[3]]
        assert split.daily.num_cold == len(asking) - len(split.daily)
    # A text that may be read stands nowhere later.
    for edge in np.flatnonzero(split.text_visible & (interactions.body_index >= 0)):
        same = interactions.body_index == interactions.body_index[edge]
        assert max(map(lateness, split.of_review[same])) == lateness(split.of_review[edge])
    # And only such texts are hidden.
    for edge in np.flatnonzero(~split.text_visible):
        same = interactions.body_index == interactions.body_index[edge]
        assert max(map(lateness, split.of_review[same])) > lateness(split.of_review[edge])
    assert split.train_edges.tolist() == [edge for edge, part in enumerate(split.of_review) if part == SplitName.TRAIN]


def test_only_the_kinds_asked_for_are_predicted_and_what_lies_between_them_is_the_tests_history() -> None:
    interactions = users_reviews([1, 2, 3, 4, 5, 6], [1, 2, 3])
    user, day = interactions.user_index, interactions.timestamp // 86_400_000
    of_day = {1: "view", 2: "order", 3: "view", 4: "view", 5: "order", 6: "view"}
    index = np.array([["order", "view"].index(of_day[int(one)]) for one in day], dtype=np.int16)
    interactions = replace(interactions, event_index=index, event_kinds=("order", "view"))
    settings = settings_of("leave_last_out").model_copy(update={"target_events": ("order",)})
    split = split_reviews(interactions, settings, 0)
    parts = {(int(one), int(when)): int(part) for one, when, part in zip(user, day, split.of_review, strict=True)}
    # What led to an order is not trained on, as what leads to the last one cannot be.
    expected = ["HISTORY", "VALIDATION", "VALIDATION", "VALIDATION", "TEST", "LATER"]
    assert [parts[0, when] for when in range(1, 7)] == [getattr(SplitName, name) for name in expected]
    # Who has ordered once only trains, and what is trained on are orders.
    assert [parts[1, when] for when in range(1, 4)] == [SplitName.TRAIN] * 3
    assert [(int(user[edge]), int(day[edge])) for edge in split.train_targets] == [(1, 2)]
    assert fast_queries(split.test)[0][3] == [
        interactions.product_index[(user == 0) & (day == when)][0] for when in range(1, 5)
    ]


def test_a_kind_that_the_data_does_not_have_is_named() -> None:
    settings = settings_of("leave_last_out").model_copy(update={"target_events": ("order",)})
    with pytest.raises(InputError, match="no event of the kind order") as raised:
        split_reviews(users_reviews([1, 2, 3, 4]), settings, 0)
    assert "data.events.column" in str(raised.value.remedy)
    views = replace(users_reviews([1, 2, 3, 4]), event_index=np.zeros(4, dtype=np.int16), event_kinds=("view",))
    with pytest.raises(InputError, match="no event of the kind order") as raised:
        split_reviews(views, settings, 0)
    assert raised.value.remedy == "the data has view"


def test_leave_last_out_takes_the_last_two_units_of_users_with_three() -> None:
    interactions = users_reviews([1, 2, 3, 4], [5, 6], [7])
    split = split_reviews(interactions, settings_of("leave_last_out"), 0)
    assert (
        split.of_review.tolist()
        == [SplitName.TRAIN, SplitName.TRAIN, SplitName.VALIDATION, SplitName.TEST] + [SplitName.TRAIN] * 3
    )
    assert fast_queries(split.validation) == [(0, 2, [2], [0, 1])]
    assert fast_queries(split.test) == [(0, 3, [3], [0, 1, 2])]


def test_leave_last_out_counts_units_and_not_reviews() -> None:
    # Three reviews of user 0 are one unit: too few units to test; user 1's last unit has two reviews.
    interactions = users_reviews([1, 1, 1, 2], [3, 4, 5, 5], body=np.array([0, 0, 0, 1, 2, 3, 4, 4]))
    split = split_reviews(interactions, settings_of("leave_last_out"), 0)
    assert split.of_review.tolist() == [SplitName.TRAIN] * 5 + [SplitName.VALIDATION] + [SplitName.TEST] * 2
    assert fast_queries(split.test) == [(1, 6, [6, 7], [4, 5])]


def test_the_history_of_a_test_question_ends_before_its_whole_unit() -> None:
    interactions = users_reviews([1, 2, 3, 3], body=np.array([0, 1, 2, 2]))
    split = split_reviews(interactions, settings_of("leave_last_out"), 0)
    assert split.test.bound.tolist() == [2]


def test_random_split_never_trains_on_its_held_out_users() -> None:
    table = random_table(1, num_reviews=400, num_users=60, num_days=300)
    interactions, _ = make_interactions(table)
    split = split_reviews(interactions, settings_of("random_split", 0.1), 3)
    roles = {user: set(split.of_review[interactions.user_index == user].tolist()) for user in range(60)}
    able = [user for user in roles if len(np.unique(interactions.unit_start[interactions.user_index == user])) >= 2]
    for part in HELD_OUT:
        users = [user for user, parts in roles.items() if part in parts]
        assert len(users) == round(0.1 * len(able))
        assert all(roles[user] == {part, SplitName.HISTORY} for user in users)
    assert all(parts in ({SplitName.TRAIN}, set()) for parts in roles.values() if not parts & HELD_OUT)
    assert len(split.test) == round(0.1 * len(able))


def test_a_share_of_every_user_s_reviews_is_asked_for_of_those_who_have_enough() -> None:
    days = [*([list(range(12))] * 20), list(range(9))]
    interactions = users_reviews(*days)
    settings = EvaluationSettings(protocol="user_share", validation_fraction=0.2, asked_share=0.25)
    split = split_reviews(interactions, settings, 0)
    roles = [split.of_review[interactions.user_index == user].tolist() for user in range(21)]
    assert roles[20] == [SplitName.TRAIN] * 9  # too few to be asked
    asked = [part[-1] for part in roles[:20]]
    assert (asked.count(SplitName.VALIDATION), asked.count(SplitName.TEST)) == (4, 16)
    assert all(part == [SplitName.TRAIN] * 9 + [part[-1]] * 3 for part in roles[:20])
    assert np.diff(split.test.target_offsets).tolist() == [3] * 16
    assert np.diff(split.test.history_offsets).tolist() == [9] * 16


def test_where_repurchases_count_nothing_of_a_history_is_masked() -> None:
    interactions = users_reviews([1, 2, 3, 4], [1, 2, 3, 5])
    for masks in (True, False):
        settings = EvaluationSettings(protocol="leave_last_out", mask_history=masks)
        split = split_reviews(interactions, settings, 0)
        for queries in (split.validation, split.test):
            rows, products = queries.masked_products(np.arange(2))
            assert (len(rows) > 0, len(products) > 0) == (masks, masks)
            assert len(queries.history_products) > 0


def test_random_split_depends_on_the_seed_and_the_others_do_not() -> None:
    interactions, _ = make_interactions(random_table(2, num_reviews=200, num_users=30))
    for protocol in PROTOCOLS:
        parts = [split_reviews(interactions, settings_of(protocol), seed).of_review.tolist() for seed in (0, 0, 1, 2)]
        assert parts[0] == parts[1]
        assert (len({str(part) for part in parts}) == 3) == (protocol == "random_split")


def test_global_time_cuts_between_moments_and_asks_only_those_it_knows() -> None:
    # 20 reviews; the shares would cut inside day 5 and inside day 8.
    interactions = users_reviews([1, 2, 3, 4, 5, 5, 5, 8, 8, 8, 9], [1, 2, 4, 5, 6, 7, 8, 9], [8])
    split = split_reviews(interactions, settings_of("global_time"), 0)
    of_day = defaultdict(set)
    for day, part in zip(interactions.timestamp // 86_400_000, split.of_review, strict=True):
        of_day[int(day)].add(int(part))
    assert all(len(parts) == 1 for parts in of_day.values())
    in_order = [min(of_day[day]) for day in sorted(of_day)]
    assert in_order == sorted(in_order)
    assert set(in_order) == {SplitName.TRAIN, SplitName.VALIDATION, SplitName.TEST}
    first = {part: int(np.flatnonzero(split.of_review == part)[0]) for part in HELD_OUT}
    assert set(split.validation.bound) == {first[SplitName.VALIDATION]}
    assert set(split.test.bound) == {first[SplitName.TEST]}
    assert split.test.user_index.tolist() == [0, 1]
    assert split.test.num_cold == 1  # user 2 first appears in the test split
    assert fast_queries(split.cold_test) == [(2, first[SplitName.TEST], [first[SplitName.TEST] + 4], [])]


@pytest.mark.parametrize(
    ("protocol", "fold", "first_test_day"), [("time_folds", 0, 6), ("time_folds", 2, 10), ("next_days", 0, 10)]
)
def test_windows_of_days_follow_one_another_up_to_the_newest_day(protocol: str, fold: int, first_test_day: int) -> None:
    interactions = users_reviews(list(range(12)), list(range(0, 12, 2)))  # windows of two days; day 11 is the newest
    split = split_reviews(interactions, settings_of(protocol).model_copy(update={"fold": fold}), 0)
    day = interactions.timestamp // 86_400_000
    expected = np.select(
        [day < first_test_day - 2, day < first_test_day, day < first_test_day + 2],
        [SplitName.TRAIN, SplitName.VALIDATION, SplitName.TEST],
        SplitName.LATER,
    )
    assert split.of_review.tolist() == expected.tolist()


def test_a_text_that_returns_after_the_test_window_hides_nothing_before_it() -> None:
    # What is never asked about is the future: it must not even be noticed.
    days = list(range(12))
    alone = users_reviews(days, days)
    returned = users_reviews(days, days, body=np.array([*range(23), 2]))
    chosen = settings_of("time_folds")
    assert split_reviews(alone, chosen, 0).text_visible.all()
    split = split_reviews(returned, chosen, 0)
    assert split.of_review[-1] == SplitName.LATER
    assert split.text_visible[split.of_review != SplitName.LATER].all()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_refit_moves_the_validation_part_into_train_and_leaves_the_test_part_alone(protocol: str) -> None:
    table = random_table(3, num_reviews=150, num_users=30, num_days=20, num_bodies=40)
    interactions, _ = make_interactions(table)
    split = split_reviews(interactions, settings_of(protocol), 0)
    refit = split.train_on_validation(interactions)
    assert not (refit.of_review == SplitName.VALIDATION).any()
    for part in (SplitName.TEST, SplitName.LATER):
        np.testing.assert_array_equal(refit.of_review == part, split.of_review == part)
    assert set(split.train_edges) | set(np.flatnonzero(split.of_review == SplitName.VALIDATION)) <= set(
        refit.train_edges
    )
    # The history that is left belongs to users who are asked in the test.
    assert set(interactions.user_index[refit.of_review == SplitName.HISTORY]) <= set(split.test.user_index)
    assert refit.test is split.test
    np.testing.assert_array_equal(refit.text_visible, hide_straddling_texts(refit.of_review, interactions.body_index))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_split_that_leaves_a_part_empty_is_refused(protocol: str) -> None:
    one_each = users_reviews(*([3] for _ in range(50)))
    with pytest.raises(InputError, match="leaves no"):
        split_reviews(one_each, settings_of(protocol), 0)


def test_global_time_without_anyone_known_is_refused() -> None:
    strangers = users_reviews(*([day] for day in range(50)))
    for protocol in BY_TIME:
        with pytest.raises(InputError, match="nobody"):
            split_reviews(strangers, settings_of(protocol), 0)


def test_global_time_needs_times() -> None:
    sequences = users_reviews([0, 1, 2, 3], [0, 1, 2], has_time=False)
    for protocol in BY_TIME:
        with pytest.raises(InputError, match="needs times"):
            split_reviews(sequences, settings_of(protocol), 0)


def test_a_text_is_read_only_in_the_latest_part_that_it_stands_in() -> None:
    part = np.array(
        [
            SplitName.TRAIN,
            SplitName.HISTORY,
            SplitName.TEST,
            SplitName.TRAIN,
            SplitName.HISTORY,
            SplitName.VALIDATION,
            SplitName.TEST,
        ],
        "uint8",
    )
    body = np.array([0, 0, 0, 1, 1, 2, 2], dtype=np.int32)
    assert hide_straddling_texts(part, body).tolist() == [False, False, True, True, True, False, True]
    assert hide_straddling_texts(part, np.full(7, -1, dtype=np.int32)).all()
    assert len(hide_straddling_texts(part[:0], body[:0])) == 0


def test_one_user_or_one_product_is_refused() -> None:
    one_user = users_reviews([1, 2, 3, 4])
    with pytest.raises(InputError, match="all 4 reviews are of one user"):
        refuse_too_little(one_user, settings_of("leave_last_out"), "folder")
    one_product = users_reviews([1, 2, 3], [1, 2, 3])
    one_product = replace(one_product, num_products=1, product_index=np.zeros_like(one_product.product_index))
    with pytest.raises(InputError, match="all 6 reviews are of one product") as caught:
        refuse_too_little(one_product, settings_of("leave_last_out"), "folder")
    assert "right column" in caught.value.remedy


def test_what_a_split_would_refuse_is_refused_before(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(InputError, match="leaves no validation reviews"):
        refuse_too_little(users_reviews([1, 2], [1, 2]), settings_of("leave_last_out"), "folder")
    refuse_too_little(users_reviews(*[[1, 2, 3]] * FEW_QUESTIONS), settings_of("leave_last_out"), "folder")
    assert "coarse" not in caplog.text
    refuse_too_little(users_reviews(*[[1, 2, 3]] * 5), settings_of("leave_last_out"), "folder")
    assert "only 5 test questions: the figures will be coarse" in caplog.text


@pytest.mark.parametrize("protocol", PROTOCOLS)
@given(seed=st.integers(0, 1_000))
def test_earlier_stages_lie_inside_the_train_split_and_one_before_the_other(protocol: str, seed: int) -> None:
    interactions, _ = make_interactions(random_table(seed))
    wanted = settings_of(protocol)
    try:
        split = split_reviews(interactions, wanted, seed)
    except InputError:
        assume(False)
    stages = earlier_stages(interactions, split, wanted, seed)
    assume(len(stages) == 2)
    train = split.of_review == SplitName.TRAIN
    for stage in stages:
        read = np.isin(stage.of_review, (SplitName.TRAIN, SplitName.HISTORY, SplitName.VALIDATION))
        assert not (read & ~train).any()
        assert not (stage.text_visible & ~split.text_visible).any()
        asked = stage.of_review == SplitName.VALIDATION
        assert set(stage.validation.target_edges.tolist()) <= set(np.flatnonzero(asked).tolist())
        assert not asked[stage.validation.history_edges].any()
    older, newer = stages
    # What the newer stage asks the older one has never read; what the older one asked is history to the newer one.
    assert (older.of_review[newer.validation.target_edges] == SplitName.LATER).all()
    assert (newer.of_review[older.validation.target_edges] != SplitName.LATER).all()
    if protocol in BY_TIME:
        assert older.validation.target_edges.max() < newer.validation.target_edges.min()
    if protocol == "leave_last_out":
        asked_twice, first, second = np.intersect1d(
            older.validation.user_index, newer.validation.user_index, return_indices=True
        )
        assert len(asked_twice)
        assert (older.validation.bound[first] < newer.validation.bound[second]).all()


def test_a_train_split_without_enough_reviews_has_no_earlier_stages() -> None:
    interactions = users_reviews([0, 1, 2], [0, 1, 2])
    split = split_reviews(interactions, settings_of("leave_last_out"), 0)
    assert earlier_stages(interactions, split, settings_of("leave_last_out"), 0) == []


def test_of_very_many_validation_questions_a_sample_is_asked_and_all_of_test(monkeypatch: pytest.MonkeyPatch) -> None:
    interactions, _ = make_interactions(random_table(3, num_reviews=400, num_users=40, num_products=20))
    chosen = EvaluationSettings(protocol="leave_last_out")
    whole = split_reviews(interactions, chosen, seed=0)
    assert len(whole.validation) > 20
    monkeypatch.setattr(splits, "MOST_VALIDATED", 12)
    some = split_reviews(interactions, chosen, seed=0)
    rows = whole.validation.spread(12)
    assert 6 <= len(some.validation) == len(rows) <= 12
    for taken, row in enumerate(rows.tolist()):
        assert some.validation.user_index[taken] == whole.validation.user_index[row]
        assert some.validation.bound[taken] == whole.validation.bound[row]
        for name in ("target_products", "target_edges", "history_products", "history_edges"):
            offsets = f"{name.partition('_')[0]}_offsets"
            found, expected = (
                getattr(queries, name)[slice(*getattr(queries, offsets)[[place, place + 1]])]
                for queries, place in ((some.validation, taken), (whole.validation, row))
            )
            np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(some.of_review, whole.of_review)
    np.testing.assert_array_equal(some.test.user_index, whole.test.user_index)
    assert all(len(stage.validation) <= 12 for stage in earlier_stages(interactions, some, chosen, 0))
