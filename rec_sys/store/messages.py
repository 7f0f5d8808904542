"""What the store is given and gives back."""

import hashlib
import json
from collections.abc import Sequence
from enum import StrEnum
from typing import Final, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from rec_sys.contracts import InputError

_ID_LENGTH: Final = 32  # hex digits
EventKind = Literal["impression", "click", "order"]


class StoreUnavailable(InputError):
    """The store does not answer, or takes no more; what was to be written is not."""


class ChangeKind(StrEnum):
    """What a change of the log says."""

    REVIEW = "review"
    EVENT = "event"  # what became of an answered product
    REVIEW_REMOVED = "review_removed"
    USER_FORGOTTEN = "user_forgotten"
    PRODUCT = "product"  # all that is known of it; what was said before counts no more
    PRODUCT_CHANGED = "product_changed"  # the fields that are others now
    PRODUCT_REMOVED = "product_removed"


class WrittenReview(BaseModel):
    """A review that somebody has sent.

    Attributes:
        user_id: Who wrote it.
        asin: The product reviewed.
        rating: On the scale of the model's data.
        timestamp: Milliseconds since 1970 UTC; None where the writer gives none, who then means now.
        weight: How much it says beside others.
        event: Its kind, where the data has events.
    """

    model_config = ConfigDict(frozen=True)

    user_id: str
    asin: str
    rating: float | None = None
    timestamp: int | None = None
    title: str | None = None
    text: str | None = None
    weight: float = 1.0
    event: str | None = None

    @property
    def subject(self) -> str:
        """The review's id: the same for the same review, whoever sends it and how often."""
        said = [self.user_id, self.asin, self.rating, self.timestamp, self.title, self.text, self.event, self.weight]
        return digest(said)[:_ID_LENGTH]


class WrittenEvent(BaseModel):
    """What became of a product in an answer; it names no user, so that none has to be forgotten.

    Attributes:
        request_id: The answer's, from its header `X-Request-ID`.
        asin: The product.
        timestamp: Milliseconds since 1970 UTC; None where the sender gives none, who then means now.
    """

    model_config = ConfigDict(frozen=True)

    event: EventKind
    request_id: str
    asin: str
    timestamp: int | None = None

    @property
    def subject(self) -> str:
        """The event's id: the same for the same event, however often it is sent."""
        return digest([self.event, self.request_id, self.asin, self.timestamp])[:_ID_LENGTH]


class WrittenProduct(BaseModel):
    """What somebody says of a product; what is not said is not known of a new one, and stays as it is of another.

    Attributes:
        asin: The product.
        price: In the data's currency.
        in_stock: Whether it can be had.
    """

    model_config = ConfigDict(frozen=True)

    asin: str
    title: str | None = None
    brand: str | None = None
    categories: tuple[str, ...] = ()
    price: float | None = None
    description: str | None = None
    in_stock: bool = True

    @property
    def subject(self) -> str:
        """Names it in the log, however long its asin."""
        return digest([self.asin])[:_ID_LENGTH]


class Change(NamedTuple):
    """An entry of the log.

    Attributes:
        sequence: Where it stands; rising, with gaps where something was removed.
        kind: What happened.
        subject: The id of the review or event; of a forgotten user the keyed hash of the user id; of a product a hash
            of its asin.
        review: The review, where there is one; with the time when it was taken, where its writer gave none.
        product: What is said of a product; of one that is removed, its asin alone.
        event: The event, where there is one; with a time likewise.
        written: When it was taken, of a product that is said anew for the first time; milliseconds since 1970 UTC.
    """

    sequence: int
    kind: ChangeKind
    subject: str
    user_id: str | None
    review: WrittenReview | None = None
    product: WrittenProduct | None = None
    event: WrittenEvent | None = None
    written: int = 0


class Receipt(BaseModel):
    """What is told of a review or an event that was taken.

    Attributes:
        subject: Its id.
        sequence: Where it stands in the log; the same where it is sent again.
        is_new: Whether it was not there before; false of an answer that is given again.
    """

    model_config = ConfigDict(frozen=True)

    subject: str
    sequence: int
    is_new: bool = Field(False, exclude=True)


class WrittenBatch(NamedTuple):
    """Reviews, or events, that are taken together or not at all.

    Attributes:
        entries: At least one.
        key: The sender's name for the request; sent again, it gets the same answer.
    """

    entries: tuple[WrittenReview | WrittenEvent, ...]
    key: str | None = None

    @property
    def request_digest(self) -> str:
        """Tells requests of one key apart."""
        return digest([entry.model_dump() for entry in self.entries])


class KeyReusedError(InputError):
    """A request carries the key of another one."""

    def __init__(self) -> None:
        super().__init__(
            "another request was sent with this key",
            where="header Idempotency-Key",
            remedy="give each request a key of its own; the same key is for sending the same request again",
        )


def digest(said: Sequence[object]) -> str:
    """sha256, in hex, of what JSON can write; different contents have different ones."""
    return hashlib.sha256(json.dumps(said, ensure_ascii=True, separators=(",", ":")).encode()).hexdigest()
