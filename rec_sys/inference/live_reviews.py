"""What the store has that the bundle has not: the newest reviews by user, and who is forgotten; it follows the log."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from rec_sys.inference.contract import Review
from rec_sys.store.messages import Change
from rec_sys.store.store import Store
from rec_sys.store.tables import ChangeKind

_NO_REVIEWS: Final[dict[str, Review]] = {}


class OnRecord(NamedTuple):
    """What the store says of a user.

    Attributes:
        reviews: By review id, in the order of the log.
        forgotten: Whether what the bundle knows of the user must not be used.
    """

    reviews: dict[str, Review]
    forgotten: bool


NOTHING_ON_RECORD: Final = OnRecord({}, False)


class LiveReviews:
    """A view of the log in memory.

    Attributes:
        position: Up to where the log is known.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.position = 0
        self._by_user: dict[str, dict[str, Review]] = {}
        self._forgotten: set[str] = set()

    def about(self, user_id: str) -> OnRecord:
        """What is known of a user."""
        forgotten = bool(self._forgotten) and self._store.hash_of(user_id) in self._forgotten
        return OnRecord(self._by_user.get(user_id, _NO_REVIEWS), forgotten)

    def of_products(self, asins: Iterable[str]) -> dict[str, list[tuple[str, Review]]]:
        """The reviews of products, each with its user; products without any are left out."""
        wanted, found = set(asins), defaultdict(list)
        if wanted:
            for user_id, reviews in self._by_user.items():
                for review in reviews.values():
                    if review.asin in wanted:
                        found[review.asin].append((user_id, review))
        return dict(found)

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
                gone += self._forget(change.subject)
            elif change.user_id is not None and change.review is not None:
                review = Review.model_construct(**change.review.model_dump(exclude={"user_id"}))
                # A copy, since a question may be at the old one.
                kept = self._by_user.get(change.user_id, _NO_REVIEWS)
                self._by_user[change.user_id] = kept | {change.subject: review}
            elif change.kind is ChangeKind.REVIEW_REMOVED and change.user_id is not None:
                kept = self._by_user.get(change.user_id, _NO_REVIEWS)
                self._by_user[change.user_id] = {name: one for name, one in kept.items() if name != change.subject}
                gone.append(change.subject)
        return gone

    def _forget(self, hashed: str) -> list[str]:
        self._forgotten.add(hashed)
        them = [known for known in self._by_user if self._store.hash_of(known) == hashed]
        return [review_id for user_id in them for review_id in self._by_user.pop(user_id)]
