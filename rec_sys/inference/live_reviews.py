"""What the store has that the bundle has not: the newest reviews by user, and who is forgotten; it follows the log."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from rec_sys.inference.contract import Review
from rec_sys.store.messages import Change, ChangeKind

if TYPE_CHECKING:
    from rec_sys.store.store import Store  # and with it SQLAlchemy, which is not needed where there is no store


class _Kept(NamedTuple):
    """A review, and its place in the log."""

    sequence: int
    review: Review


_NO_REVIEWS: Final[dict[str, _Kept]] = {}


class OnRecord(NamedTuple):
    """What the store says of a user beside what a bundle holds of the log.

    Attributes:
        reviews: Those that the bundle has not, by review id, in the order of the log.
        forgotten: Whether what the bundle knows of the user must not be used.
        trained: The other ones, likewise; None where the bundle holds nothing of this store.
        trained_places: Their places in the log.
        only: These rows of the bundle are the user's, and no others; None for all.
    """

    reviews: dict[str, Review]
    forgotten: bool
    trained: dict[str, Review] | None = None
    trained_places: tuple[int, ...] = ()
    only: npt.NDArray[np.int64] | None = None

    def still_there(self, rows: npt.NDArray[np.int64], sequence: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The user's rows of the bundle but for reviews that were removed from the store since.

        Args:
            rows: Places in the bundle's histories.
            sequence: int64 `[num_reviews]`, of all histories, the place in the log, 0 of reviews that were never in it.
        """
        if self.forgotten:
            return rows[:0]
        if self.only is not None:
            return self.only
        if self.trained is None:
            return rows
        places = sequence[rows]
        left: npt.NDArray[np.int64] = rows[(places == 0) | np.isin(places, self.trained_places)]
        return left


NOTHING_ON_RECORD: Final = OnRecord({}, False)


class LiveReviews:
    """A view of the log in memory.

    Attributes:
        position: Up to where the log is known.
    """

    def __init__(self, store: "Store") -> None:
        self._store = store
        self.position = 0
        self._by_user: dict[str, dict[str, _Kept]] = {}
        self._users_of: defaultdict[str, dict[str, None]] = defaultdict(dict)  # who ever wrote of a product, in order
        self._forgotten: dict[str, int] = {}  # the newest place in the log, by hash

    def about(self, user_id: str, trained: int | None) -> OnRecord:
        """What is known of a user beside a bundle that holds the log up to a place; None where it holds none of it."""
        kept, since = self._by_user.get(user_id, _NO_REVIEWS), trained or 0
        forgotten = bool(self._forgotten) and self._forgotten.get(self._store.hash_of(user_id), 0) > since
        reviews = {name: one.review for name, one in kept.items() if one.sequence > since}
        if trained is None:
            return OnRecord(reviews, forgotten)
        others = {name: one for name, one in kept.items() if one.sequence <= since}
        places = tuple(one.sequence for one in others.values())
        return OnRecord(reviews, forgotten, {name: one.review for name, one in others.items()}, places)

    def of_products(self, asins: Iterable[str]) -> dict[str, list[tuple[str, Review]]]:
        """The reviews of products, each with its user; products without any are left out."""
        found: dict[str, list[tuple[str, Review]]] = {}
        for asin in self._users_of.keys() & set(asins):
            for user_id in list(self._users_of[asin]):
                kept = self._by_user.get(user_id, _NO_REVIEWS).values()
                reviews = [(user_id, one.review) for one in kept if one.review.asin == asin]
                if reviews:
                    found.setdefault(asin, []).extend(reviews)
        return found

    def apply(self, changes: Sequence[Change]) -> list[str]:
        """Takes the next entries of the log in; those that are known already change nothing.

        Returns:
            The ids of reviews that are not there any more.
        """
        gone: list[str] = []
        for change in changes:
            if change.sequence <= self.position:
                continue
            self.position = change.sequence
            if change.kind is ChangeKind.USER_FORGOTTEN:
                gone += self._forget(change.subject, change.sequence)
            elif change.user_id is not None and change.review is not None:
                review = Review.model_construct(**change.review.model_dump(exclude={"user_id"}))
                # A copy, since a question may be at the old one.
                kept = self._by_user.get(change.user_id, _NO_REVIEWS)
                self._by_user[change.user_id] = kept | {change.subject: _Kept(change.sequence, review)}
                self._users_of[review.asin][change.user_id] = None
            elif change.kind is ChangeKind.REVIEW_REMOVED and change.user_id is not None:
                kept = self._by_user.get(change.user_id, _NO_REVIEWS)
                self._by_user[change.user_id] = {name: one for name, one in kept.items() if name != change.subject}
                gone.append(change.subject)
        return gone

    def _forget(self, hashed: str, sequence: int) -> list[str]:
        self._forgotten[hashed] = sequence
        them = [known for known in self._by_user if self._store.hash_of(known) == hashed]
        for users in self._users_of.values() if them else ():
            for user_id in them:
                users.pop(user_id, None)
        return [review_id for user_id in them for review_id in self._by_user.pop(user_id)]
