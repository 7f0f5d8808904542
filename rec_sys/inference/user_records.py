"""What users write: taken, listed, removed, forgotten; the next answer knows it."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from rec_sys.contracts import InputError
from rec_sys.inference.backends import Backends
from rec_sys.inference.contract import Review, UnknownUserError
from rec_sys.inference.product_shelf import ProductShelf
from rec_sys.inference.review_intake import checked
from rec_sys.inference.review_log import ReviewLog
from rec_sys.inference.review_messages import (
    Forgotten,
    ListedReview,
    ListedReviews,
    NewestReview,
    NewReview,
    NewReviews,
    TakenReview,
    TakenReviews,
)
from rec_sys.inference.review_texts import join_text
from rec_sys.inference.served_bundle import ServedBundle
from rec_sys.store.messages import Receipt, WrittenBatch, WrittenReview

_LOG: Final = logging.getLogger(__name__)


class UserRecords:
    """The reviews of users, in the store and in the bundle served; for one event loop."""

    def __init__(self, backends: Backends, log: ReviewLog, shelf: ProductShelf) -> None:
        self._backends, self._log, self._shelf = backends, log, shelf
        self._reading: set[asyncio.Task[None]] = set()

    @property
    def position(self) -> int:
        """Up to where the store's log is known here."""
        return self._log.position

    async def take(self, new: NewReviews, key: str | None = None) -> TakenReviews:
        """Keeps reviews: when this returns they survive any kill, and the next answer reads them.

        Args:
            new: The reviews.
            key: The sender's name for the request; sent again, it gets the same answer.

        Raises:
            RequestError: One is no review that training would take; the field is named.
            KeyReusedError: Another request was sent with this key.
            ServingUnavailable: The store is away, or there is no bundle whose rules they could be held to.
        """
        reviews, receipts = await self._take(new.reviews, key)
        self._read_ahead(reviews, await self._backends.served())
        return TakenReviews(
            reviews=tuple(TakenReview(review_id=one.subject, sequence=one.sequence) for one in receipts)
        )

    @property
    def longest_text(self) -> int:
        """Characters of headline and body together that are taken."""
        return self._backends.settings.max_text_characters

    async def take_all(self, reviews: Sequence[NewReview]) -> int:
        """Keeps reviews as `take` does, and reads none of their texts ahead: many more may follow.

        Returns:
            How many were not known yet.
        """
        return sum(receipt.is_new for receipt in (await self._take(reviews, None))[1])

    async def page(self, user_id: str, limit: int, offset: int) -> ListedReviews:
        """A page of a user's reviews.

        Raises:
            UnknownUserError: There are none.
            ServingUnavailable: The store has not been read yet, or there is no bundle.
        """
        served = await self._backends.served()
        record = self._log.about(user_id, served)
        rows = record.still_there(served.users.rows(user_id), served.users.sequence)
        mine = (record.trained or {}) | record.reviews
        if record.trained is not None:  # those of the store are listed as they were written
            rows = rows[served.users.sequence[rows] == 0]
        total = len(mine) + len(rows)
        if not total:
            raise await self._backends.unknown(user_id, _unknown(user_id))
        written = [
            ListedReview(review_id=name, source="written", **_shown(review)) for name, review in reversed(mine.items())
        ]
        page = written[offset : offset + limit]
        first = max(0, offset - len(written))
        page += [_trained(served, int(row)) for row in rows[first : first + limit - len(page)]]
        return ListedReviews(user_id=user_id, total=total, reviews=tuple(page))

    async def newest(self, limit: int, before: int | None = None) -> tuple[NewestReview, ...]:
        """The reviews of all users that were written last, of those before a place in the log; the newest first.

        Raises:
            ServingUnavailable: The store is away.
        """
        changes = await self._log.newest_reviews(limit, before)
        return tuple(
            NewestReview(
                **_shown(Review.model_construct(**one.review.model_dump(exclude={"user_id"}))),
                review_id=one.subject,
                source="written",
                user_id=one.user_id,
                sequence=one.sequence,
            )
            for one in changes
            if one.review is not None and one.user_id is not None
        )

    async def has(self, user_id: str, review_id: str) -> bool:
        """Whether a review is in the store; raises as `page`, but for users of whom nothing is known."""
        record = self._log.about(user_id, await self._backends.served())
        return review_id in record.reviews or review_id in (record.trained or {})

    async def remove(self, user_id: str, review_id: str) -> bool:
        """Removes a written review; returns whether there was one."""
        return await self._log.remove_review(user_id, review_id)

    async def forget(self, user_id: str) -> Forgotten:
        """Forgets a user: what was written is removed, and what the bundle knows is used no more.

        Raises:
            UnknownUserError: Nothing is known of them.
            ServingUnavailable: The store is away, or there is no bundle.
        """
        served = await self._backends.served()
        record = self._log.about(user_id, served)
        trained = len(record.still_there(served.users.rows(user_id), served.users.sequence))
        if not record.reviews and not trained:
            raise await self._backends.unknown(user_id, _unknown(user_id))
        written = await self._log.forget_user(user_id)
        served.users.forget(user_id)
        for text in filter(None, map(join_text, ((record.trained or {}) | record.reviews).values())):
            self._backends.text_vectors.forget(text, served.manifest.text_encoder)
        return Forgotten(written=written, trained=trained)

    async def _take(self, new: Sequence[NewReview], key: str | None) -> tuple[tuple[NewReview, ...], list[Receipt]]:
        served = await self._backends.served()
        reviews = checked(new, self._backends.settings, served.rating_scale)
        batch = WrittenBatch(tuple(WrittenReview(**dict(review)) for review in reviews), key)
        receipts = await self._log.write(batch)
        if self._log.products.changed:
            with suppress(InputError):  # what is said of products is laid over the index later
                await self._shelf.sync()
        return reviews, receipts

    def _read_ahead(self, reviews: tuple[Review, ...], served: ServedBundle) -> None:
        """Embeds new texts while nobody waits for them."""
        texts = list(filter(None, map(join_text, reviews)))
        if texts and served.text_settings.source == "encoder":
            task = asyncio.create_task(self._embed(texts, served))
            self._reading.add(task)
            task.add_done_callback(self._reading.discard)

    async def _embed(self, texts: list[str], served: ServedBundle) -> None:
        try:
            await self._backends.embed(texts, served)
        except InputError as error:  # the next answer needs it, and says so
            _LOG.info(f"texts were not read ahead: {error.what}")


def _unknown(user_id: str) -> UnknownUserError:
    return UnknownUserError(f"there is no user {user_id}", where="user_id", remedy="check the id")


def _shown(review: Review) -> dict[str, Any]:
    return {name: getattr(review, name) for name in ("asin", "title", "text", "rating", "timestamp")}


def _trained(served: ServedBundle, row: int) -> ListedReview:
    users = served.users
    return ListedReview(
        review_id=None,
        asin=served.asins[users.product[row]],
        title=None,
        text=users.snippet[row],
        rating=float(users.rating[row]) or None,
        timestamp=int(users.timestamp[row]) if served.manifest.has_time else None,
        source="trained",
    )
