"""Which review is for what: training, validation, test, and the questions that the held-out reviews ask."""

import logging
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from rec_sys.contracts import MILLISECONDS_A_DAY, InputError, SplitName
from rec_sys.data.interactions import BoolArray, IntArray, Interactions
from rec_sys.data.queries import Queries, ask_daily, ask_users
from rec_sys.data.straddling_texts import hide_straddling_texts
from rec_sys.data.units import unit_ranks
from rec_sys.settings import EvaluationSettings

_LOG: Final = logging.getLogger(__name__)

FEW_QUESTIONS: Final = 50  # below it a share such as recall has a standard error of up to 0.07 and more
MOST_VALIDATED: Final = 100_000  # users; the standard error of a share is at most .0016 of so many
BY_TIME: Final = ("global_time", "time_folds", "next_days")  # everybody is asked at one moment, the split's first


@dataclass(frozen=True)
class Split:
    """Which split every review is in, and the questions of the two held-out splits.

    Attributes:
        of_review: uint8 `[num_reviews]`, each review's split, see `contracts.SplitName`.
        text_visible: bool `[num_reviews]`; False where the same text also stands on a review of a later split, so
            that no text is read on one side and asked about on the other.
        validation: Questions whose history is the train split (and HISTORY), at most 100,000 of them: a sample.
        test: Questions whose history is the train and the validation split (and HISTORY).
        cold_test: The test questions of users of whom nothing is known before; their histories are empty.
        of_kind: bool `[num_reviews]`, whether a review is of a kind that is predicted; None where all are.
        daily: The test split's questions day by day, each with the reviews before its day; None where the split is
            not by time.
    """

    of_review: npt.NDArray[np.uint8]
    text_visible: BoolArray
    validation: Queries
    test: Queries
    cold_test: Queries
    of_kind: BoolArray | None = None
    daily: Queries | None = None

    @property
    def train_edges(self) -> IntArray:
        """int64 `[num_train]`, in time order."""
        return np.flatnonzero(self.of_review == SplitName.TRAIN)

    @property
    def train_targets(self) -> IntArray:
        """int64 `[num_targets]`, the train edges that are predicted, in time order."""
        edges = self.train_edges
        return edges if self.of_kind is None else edges[self.of_kind[edges]]

    def unmasked(self) -> "Split":
        """The same questions, whose rankings leave nothing out: what was bought before may be bought again."""
        validation, test, cold = (one.unmasked() for one in (self.validation, self.test, self.cold_test))
        daily = None if self.daily is None else self.daily.unmasked()
        return replace(self, validation=validation, test=test, cold_test=cold, daily=daily)

    def train_on_validation(self, interactions: Interactions) -> "Split":
        """The same questions, with the validation split (and the history of its users) moved into the train split."""
        users = np.unique(interactions.user_index[self.of_review == SplitName.VALIDATION])
        moved = self.of_review == SplitName.VALIDATION
        moved |= (self.of_review == SplitName.HISTORY) & np.isin(interactions.user_index, users)
        of_review = np.where(moved, SplitName.TRAIN, self.of_review).astype(np.uint8)
        visible = hide_straddling_texts(of_review, interactions.body_index)
        return replace(self, of_review=of_review, text_visible=visible)


def refuse_too_little(interactions: Interactions, settings: EvaluationSettings, where: str) -> None:
    """Looks, before texts are embedded and anything is learned, whether the split will find what it needs.

    Raises:
        InputError: There is one user or one product, or `split_reviews` would refuse.
    """
    for count, what in ((interactions.num_users, "user"), (interactions.num_products, "product")):
        if count < 2:
            raise InputError(
                f"all {interactions.num_reviews:,} reviews are of one {what}: there is nothing to recommend by",
                where=where,
                remedy=f"bring reviews of several {what}s; look whether the right column is mapped to the {what}",
            )
    split = split_reviews(interactions, settings, seed=0)
    if len(split.test) < FEW_QUESTIONS:
        _LOG.warning(f"there are only {len(split.test):,} test questions: the figures will be coarse")


def split_reviews(interactions: Interactions, settings: EvaluationSettings, seed: int) -> Split:
    """Splits by `settings.protocol`.

    Raises:
        InputError: The split leaves nothing to learn from or nothing to test.
    """
    of_kind = interactions.of_kinds(settings.target_events)
    of_review = _PROTOCOLS[settings.protocol](interactions, settings, seed, of_kind)
    kinds = ", ".join(settings.target_events)
    of_them = "" if of_kind is None else f", {int(of_kind.sum()):,} of them of the kind {kinds}, which is asked for"
    for number, name in ((SplitName.TRAIN, "train"), (SplitName.VALIDATION, "validation"), (SplitName.TEST, "test")):
        if not ((of_review == number) if of_kind is None else (of_review == number) & of_kind).any():
            raise InputError(
                f"the split {settings.protocol} leaves no {name} reviews"
                f" ({interactions.num_reviews:,} reviews of {interactions.num_users:,} users{of_them})",
                where="setting evaluation.protocol" + (" or evaluation.target_events" if of_them else ""),
                remedy="leave_last_out needs users with three reviews, random_split users with two and some dozens of"
                " users, global_time reviews at several moments, time_folds and next_days reviews in and before"
                " each window; choose another or bring more data",
            )
    cut = settings.protocol in BY_TIME
    known = (SplitName.TRAIN, SplitName.VALIDATION, SplitName.HISTORY)
    before = SplitName.TRAIN, SplitName.HISTORY
    validation = ask_users(interactions, of_review, of_kind, SplitName.VALIDATION, before, cut)
    test = ask_users(interactions, of_review, of_kind, SplitName.TEST, known, cut)
    cold_test = ask_users(interactions, of_review, of_kind, SplitName.TEST, known, cut, cold=True)
    for queries, name in ((validation, "validation"), (test, "test")):
        if not len(queries):
            raise InputError(
                f"nobody in the {name} split of {settings.protocol} has an earlier review: there is nobody to ask",
                where="setting evaluation.protocol",
                remedy="choose evaluation=leave_last_out or evaluation=random_split, or bring more data",
            )
    validation = _asked_of(validation)
    visible = hide_straddling_texts(of_review, interactions.body_index)
    daily = ask_daily(interactions, of_review, of_kind, SplitName.TEST, known) if cut else None
    split = Split(of_review, visible, validation, test, cold_test, of_kind, daily)
    return split if settings.mask_history else split.unmasked()


def _asked_of(questions: Queries) -> Queries:
    """Those that choices are made by: of very many a sample, at equal distances; all of test are asked."""
    return questions if len(questions) <= MOST_VALIDATED else questions.take(questions.spread(MOST_VALIDATED))


def earlier_stages(interactions: Interactions, split: Split, settings: EvaluationSettings, seed: int) -> list[Split]:
    """The same protocol inside the train split, shifted back in time once and twice: the older stage comes first.

    Each stage's own questions, `validation`, are about train reviews that its train split ends before, so that what is
    fitted on that split answers them as the model answers those of validation.

    Returns:
        Two stages; fewer where the train split is too small for more.
    """
    edges = split.train_edges
    inside = replace(
        interactions,
        **{
            name: getattr(interactions, name)[edges]
            for name in ("user_index", "product_index", "rating", "timestamp", "body_index", "unit_start", "review_row")
        },
        weight=interactions.weights_of(edges),
        event_index=None if interactions.event_index is None else interactions.event_index[edges],
    )
    of_kind = None if split.of_kind is None else split.of_kind[edges]
    # Of several time folds the train split has only the last.
    within = settings.model_copy(update={"num_folds": 1, "fold": 0})
    of_train = _PROTOCOLS[settings.protocol](inside, within, seed, of_kind)
    stages = []
    for asked, known in (
        (SplitName.VALIDATION, (SplitName.TRAIN, SplitName.HISTORY)),
        (SplitName.TEST, (SplitName.TRAIN, SplitName.HISTORY, SplitName.VALIDATION)),
    ):
        of_review = np.full(interactions.num_reviews, SplitName.LATER, dtype=np.uint8)
        role = np.where(np.isin(of_train, known), SplitName.TRAIN, SplitName.LATER)
        role[of_train == SplitName.HISTORY] = SplitName.HISTORY
        role[of_train == asked] = SplitName.VALIDATION
        of_review[edges] = role
        targets = of_review == SplitName.VALIDATION
        if not (targets if split.of_kind is None else targets & split.of_kind).any():
            continue
        cut, before = settings.protocol in BY_TIME, (SplitName.TRAIN, SplitName.HISTORY)
        questions, cold = (
            ask_users(interactions, of_review, split.of_kind, SplitName.VALIDATION, before, cut, cold=is_cold)
            for is_cold in (False, True)
        )
        if len(questions):
            questions = _asked_of(questions)
            visible = hide_straddling_texts(of_review, interactions.body_index) & split.text_visible
            stage = Split(of_review, visible, questions, questions, cold, split.of_kind)
            stages.append(stage if settings.mask_history else stage.unmasked())
    return stages


def _leave_last_out(
    interactions: Interactions, settings: EvaluationSettings, seed: int, of_kind: BoolArray | None
) -> npt.NDArray[np.uint8]:
    """A user's last unit is for test, the one before for validation; users with fewer than three only train.

    Where only some kinds are predicted, the last two of these are: what led to either is read as history and not
    trained on, so that validation asks what test asks; what follows them is read by nobody.
    """
    rank, last, second, third = unit_ranks(interactions, of_kind)
    enough = second >= 2
    of_review = np.full(interactions.num_reviews, SplitName.TRAIN, dtype=np.uint8)
    of_review[enough & (rank > third)] = SplitName.HISTORY
    of_review[enough & (rank >= second)] = SplitName.VALIDATION
    of_review[enough & (rank == last)] = SplitName.TEST
    of_review[enough & (rank > last)] = SplitName.LATER
    return of_review


def _hold_out_users(
    interactions: Interactions, settings: EvaluationSettings, seed: int, of_kind: BoolArray | None
) -> npt.NDArray[np.uint8]:
    """Users drawn at random are never trained on: their last unit is asked for, the earlier ones are their history."""
    rank, last, *_ = unit_ranks(interactions, of_kind)
    able = np.unique(interactions.user_index[last >= 2])
    drawn = np.random.default_rng(seed).permutation(able)
    num_test, num_validation = (
        round(fraction * len(able)) for fraction in (settings.test_fraction, settings.validation_fraction)
    )
    role = np.full(interactions.num_users, SplitName.TRAIN, dtype=np.uint8)
    role[drawn[:num_test]] = SplitName.TEST
    role[drawn[num_test : num_test + num_validation]] = SplitName.VALIDATION
    of_review = role[interactions.user_index]
    held_out = of_review != SplitName.TRAIN
    of_review[held_out & (rank < last)] = SplitName.HISTORY
    of_review[held_out & (rank > last)] = SplitName.LATER
    return of_review


def _ask_a_share(
    interactions: Interactions, settings: EvaluationSettings, seed: int, of_kind: BoolArray | None
) -> npt.NDArray[np.uint8]:
    """The last share of every user's units is asked for: of some users drawn at random in validation, else in test.

    So each user has several answers, whose order can be compared with the order that they gave them.
    """
    rank, last, *_ = unit_ranks(interactions, of_kind)
    count = np.bincount(interactions.user_index, minlength=interactions.num_users)[interactions.user_index]
    kept = np.maximum(1, np.ceil(last * (1 - settings.asked_share)))
    asked = (count >= settings.fewest_reviews) & (rank > kept)
    able = np.unique(interactions.user_index[asked])
    drawn = np.random.default_rng(seed).permutation(able)[: round(settings.validation_fraction * len(able))]
    of_review = np.where(asked, SplitName.TEST, SplitName.TRAIN).astype(np.uint8)
    of_review[asked & np.isin(interactions.user_index, drawn)] = SplitName.VALIDATION
    of_review[rank > np.where(last > 0, last, np.inf)] = SplitName.LATER
    return of_review


def _cut_time(
    interactions: Interactions, settings: EvaluationSettings, seed: int, of_kind: BoolArray | None
) -> npt.NDArray[np.uint8]:
    """Two moments cut all reviews into train, validation and test; reviews of one moment stay together."""
    _refuse_timeless(interactions, settings)
    when = interactions.timestamp  # sorted
    count = interactions.num_reviews
    first_validation, first_test = (
        when[min(count - 1, int(count * (1 - share)))]
        for share in (settings.test_fraction + settings.validation_fraction, settings.test_fraction)
    )
    of_review = np.full(count, SplitName.TRAIN, dtype=np.uint8)
    of_review[when >= first_validation] = SplitName.VALIDATION
    of_review[when >= first_test] = SplitName.TEST
    return of_review


def _cut_windows(
    interactions: Interactions, settings: EvaluationSettings, seed: int, of_kind: BoolArray | None
) -> npt.NDArray[np.uint8]:
    """A window of whole days is for test, the one before it for validation, all before that for training.

    With `next_days` the test window is the newest one; `time_folds` has several, one after the other, as RecTools'
    TimeRangeSplitter cuts them (whose package would import torch here).
    """
    _refuse_timeless(interactions, settings)
    folds, fold = (settings.num_folds, settings.fold) if settings.protocol == "time_folds" else (1, 0)
    when, width = interactions.timestamp, settings.window_days * MILLISECONDS_A_DAY
    end = (int(when[-1]) // MILLISECONDS_A_DAY + 1) * MILLISECONDS_A_DAY - (folds - 1 - fold) * width
    of_review = np.full(interactions.num_reviews, SplitName.TRAIN, dtype=np.uint8)
    of_review[when >= end - 2 * width] = SplitName.VALIDATION
    of_review[when >= end - width] = SplitName.TEST
    of_review[when >= end] = SplitName.LATER
    return of_review


def _refuse_timeless(interactions: Interactions, settings: EvaluationSettings) -> None:
    if not interactions.has_time:
        raise InputError(
            "a split by time needs times, and this data set has only an order within each user",
            where=f"setting evaluation.protocol={settings.protocol}",
            remedy="choose evaluation=leave_last_out or evaluation=random_split",
        )


_PROTOCOLS: Final = {
    "leave_last_out": _leave_last_out,
    "random_split": _hold_out_users,
    "user_share": _ask_a_share,
    "global_time": _cut_time,
    "time_folds": _cut_windows,
    "next_days": _cut_windows,
}
