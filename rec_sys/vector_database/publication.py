"""How a bundle's products come to be served, the same way for both backends.

A version is built beside the one that is served, asked a sample of questions whose answers are known, and only then
served, in one step. A process killed on the way leaves what is served as it is, and the next one goes on.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final

import numpy as np

from rec_sys.contracts import InputError
from rec_sys.settings import IndexCommon
from rec_sys.vector_database.catalogue import Catalogue
from rec_sys.vector_database.contract import IndexVersion, ProductAnswer, ProductFilter, ProductQuery, UserTaste
from rec_sys.vector_database.exact import ExactRanking
from rec_sys.vector_database.search_request import VersionReader
from rec_sys.vector_database.searching import answer

_LOG: Final = logging.getLogger(__name__)

TOP: Final = 10  # products asked for
SCORE_TOLERANCE: Final = 1e-4  # of the score's size, at least 1; float32 sums of some hundred terms are off by 1e-6
_LONGEST_HISTORY: Final = 20
_RECENCY: Final = 0.9
_NOISE: Final = 0.3  # length of the random part of a user vector
_ASKED_AT_ONCE: Final = 16

Check = Callable[[VersionReader], None]


@dataclass(frozen=True)
class Publication:
    """What publishing came to.

    Attributes:
        is_new: False where the same bundle was served already.
        kept: The versions that a rollback can go to, the latest first.
        dropped: Older versions that are gone.
    """

    version: IndexVersion
    is_new: bool
    kept: tuple[str, ...]
    dropped: tuple[str, ...]


@dataclass(frozen=True)
class IndexStatus:
    """What an index serves, and the names of what a rollback can go to, the latest first."""

    served: IndexVersion | None
    kept: tuple[str, ...]


class IndexPublisher(ABC):
    """Writes versions of an index and chooses the one that is served."""

    def __init__(self, settings: IndexCommon) -> None:
        self._common = settings

    def publish(
        self, catalogue: Catalogue, force: bool = False, before_switch: Callable[[], None] = lambda: None
    ) -> Publication:
        """Serves a bundle's products.

        Args:
            catalogue: The bundle's products.
            force: Whether those of another data set may be replaced.
            before_switch: Called when the new version is sound and not served yet; where it raises, it never is.

        Raises:
            InputError: Another data set is served, the new version does not answer as the bundle says, another process
                is writing, or the index cannot be reached; what was served is served still.
        """
        version = catalogue.version(self._common)
        with self._exclusive():
            served = self._served()
            kept = [] if served is None else [served, *self._kept(served)]
            if served is not None and not self._is_sound(served):
                _LOG.info(f"version {served} is served and damaged; it is replaced")
                kept = kept[1:]
            elif served is not None:
                self._refuse_other_data(self._describe(served), version, force)
                if base_name(served) == version.name:
                    before_switch()
                    return Publication(self._describe(served), False, tuple(kept[1:]), ())
            self._build(catalogue, version, lambda reader: verify_version(reader, catalogue, self._common))
            before_switch()
            # Published before and rolled back from, it is the newest again.
            kept = [name for name in kept if base_name(name) != version.name][: self._common.kept_versions - 1]
            self._switch(version.name, kept)
            dropped = self._drop_all_but({version.name, *kept})
        return Publication(version, True, tuple(kept), tuple(dropped))

    def rollback(self, to: str | None = None) -> IndexVersion:
        """Serves an earlier version, the one before the one that is served unless another is named.

        Raises:
            InputError: It is not kept.
        """
        with self._exclusive():
            served = self._served()
            kept = [] if served is None else self._kept(served)
            target = to if to is not None else next(iter(kept), None)
            if target is None:
                raise InputError(
                    "there is no version to go back to",
                    where=self.place,
                    remedy="one is kept when a bundle takes over from another; publish the bundle that you want",
                )
            if target not in kept:
                raise InputError(
                    f"version {target} is not kept",
                    where=self.place,
                    remedy=f"go back to one of {', '.join(kept) or 'none'}, or publish the bundle that you want",
                )
            self._switch(target, kept[kept.index(target) + 1 :])
            return self._describe(target)

    def status(self) -> IndexStatus:
        """What is served."""
        served = self._served()
        if served is None:
            return IndexStatus(None, ())
        return IndexStatus(self._describe(served), tuple(self._kept(served)))

    def describe(self, name: str) -> IndexVersion:
        """What a version is that is served or kept."""
        return self._describe(name)

    def refuse_other_data(self, catalogue: Catalogue, force: bool) -> None:
        """Finds out before long work whether another data set is served; raises as `publish`."""
        served = self._served()
        if served is not None and self._is_sound(served):
            self._refuse_other_data(self._describe(served), catalogue.version(self._common), force)

    def _refuse_other_data(self, served: IndexVersion, new: IndexVersion, force: bool) -> None:
        if not force and served.data_name is not None and served.data_name != new.data_name:
            raise InputError(
                f"products of {served.data_name} are served here, and this bundle is of {new.data_name}",
                where=self.place,
                remedy="publish a bundle of the same data, give this one an index of its own (index.folder or"
                " index.collection), or replace what is served with force=true",
            )

    def _is_sound(self, served: str) -> bool:
        """Whether the version served can be opened at all."""
        return True

    @property
    @abstractmethod
    def place(self) -> str:
        """Where the index is, for messages."""

    @abstractmethod
    def _exclusive(self) -> AbstractContextManager[None]:
        """Keeps other writers out, as far as the backend can."""

    @abstractmethod
    def _served(self) -> str | None:
        """The name of the version served."""

    @abstractmethod
    def _kept(self, served: str) -> list[str]:
        """The names of the whole versions that a rollback can go to, the latest first."""

    @abstractmethod
    def _describe(self, name: str) -> IndexVersion:
        """What a whole version is."""

    @abstractmethod
    def _build(self, catalogue: Catalogue, version: IndexVersion, check: Check) -> None:
        """Writes a version whole, or finishes one, and has it checked; `check` raises `InputError`."""

    @abstractmethod
    def _switch(self, name: str, kept: Sequence[str]) -> None:
        """Serves a version in one step; a rollback from it can go to `kept`, the latest first."""

    @abstractmethod
    def _drop_all_but(self, kept: set[str]) -> list[str]:
        """Removes other versions; the names of those that were whole."""


def base_name(version: str) -> str:
    """The published version that a revision, such as `20260102-030405-0a1b2c3d.2`, was upserted into."""
    return version.partition(".")[0]


def next_revision(version: str) -> str:
    """The name of a version with further products upserted."""
    base, _, revision = version.partition(".")
    return f"{base}.{int(revision or 0) + 1}"


@dataclass(frozen=True)
class Agreement:
    """How well answers agree with the exact ones.

    Attributes:
        recall: Share of the exact best products that is found, on average; one of equal score is as good.
        worst_score_error: Largest difference of a score, as a share of its size (at least 1).
    """

    recall: float
    worst_score_error: float


def verify_version(reader: VersionReader, catalogue: Catalogue, settings: IndexCommon) -> None:
    """Holds a version against the bundle that it was made from.

    Raises:
        InputError: A product is missing, or answers differ by more than the settings allow.
    """
    place = f"version {reader.version.name}, which is not served"
    count = reader.count()
    if count != len(catalogue):
        raise InputError(
            f"the new version holds {count:,} products, the bundle {len(catalogue):,}",
            where=place,
            remedy="publish again; if it stays, look at the log of the index",
        )
    queries = draw_users(catalogue, settings.check_queries, seed=0)
    answers = []
    for start in range(0, len(queries), _ASKED_AT_ONCE):
        answers += answer(reader, queries[start : start + _ASKED_AT_ONCE], settings)
    found = compare(answers, queries, ExactRanking(catalogue))
    _LOG.info(
        f"checked: {count:,} products, {len(answers)} questions, recall {found.recall:.4f} of the exact best {TOP},"
        f" scores within {found.worst_score_error:.1e}"
    )
    if found.recall < settings.min_recall:
        raise InputError(
            f"the new version finds {found.recall:.4f} of the exact best {TOP}, {settings.min_recall} are asked for",
            where=place,
            remedy="raise index.candidates, index.hnsw_links, index.hnsw_search_width or index.exact_below",
        )
    if found.worst_score_error > SCORE_TOLERANCE:
        raise InputError(
            f"scores of the new version differ by up to {found.worst_score_error:.1e} of their size",
            where=place,
            remedy="publish again; if it stays, the index computes something else than the model",
        )


def draw_users(catalogue: Catalogue, count: int, seed: int) -> list[ProductQuery]:
    """Invented users who have reviewed some products near each other, and ask for others."""
    generator = np.random.default_rng(seed)
    asins = catalogue.asins
    longest = min(_LONGEST_HISTORY, max(len(catalogue) // 2, 1))
    queries = []
    for _ in range(count):
        length = int(generator.integers(1, longest + 1))
        near = catalogue.vectors @ catalogue.vectors[generator.integers(len(catalogue))]
        pool = np.argpartition(-near, min(4 * length, len(near)) - 1)[: 4 * length]
        history = generator.choice(pool, min(length, len(pool)), replace=False)
        noise = generator.normal(size=catalogue.vectors.shape[1])
        vector = catalogue.vectors[history].mean(axis=0) + _NOISE * noise / np.linalg.norm(noise)
        taste = UserTaste(
            (vector / np.linalg.norm(vector)).astype(np.float32),
            {int(product): _RECENCY**place for place, product in enumerate(history)},
        )
        left_out = ProductFilter(not_seen=frozenset(asins[product] for product in history))
        queries.append(ProductQuery(taste, left_out, limit=TOP))
    return queries


def compare(answers: Sequence[ProductAnswer], queries: Sequence[ProductQuery], exact: ExactRanking) -> Agreement:
    """Holds the first pages of answers against the exact ones; a product that may not be answered counts as wrong."""
    recalls, worst = [], 0.0
    for given, query in zip(answers, queries, strict=True):
        true = exact.query_scores([query])[0]
        best = np.sort(true)[::-1][: query.limit]
        wanted = best[np.isfinite(best)]
        known = [hit for hit in given.hits if hit.product.product_index is not None]
        own = true[[hit.product.product_index for hit in known]] if known else np.zeros(0, dtype=np.float32)
        if len(own):
            scores = np.array([hit.score for hit in known], dtype=np.float32)
            worst = max(worst, float((np.abs(scores - own) / np.maximum(np.abs(scores), 1)).max()))
        if len(wanted):
            slack = SCORE_TOLERANCE * max(abs(float(wanted[-1])), 1.0)
            recalls.append(min(int((own >= wanted[-1] - slack).sum()), len(wanted)) / len(wanted))
    return Agreement(float(np.mean(recalls)) if recalls else 1.0, worst)
