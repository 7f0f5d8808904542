"""What the store is given and gives back."""

import hashlib
import json
from collections.abc import Sequence
from typing import Final, NamedTuple

from pydantic import BaseModel, ConfigDict

from rec_sys.contracts import InputError
from rec_sys.store.tables import ChangeKind

_ID_LENGTH: Final = 32  # hex digits


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
    def review_id(self) -> str:
        """The same for the same review, whoever sends it and how often."""
        said = [self.user_id, self.asin, self.rating, self.timestamp, self.title, self.text, self.event, self.weight]
        return digest(said)[:_ID_LENGTH]


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
        subject: The id of the review; of a forgotten user the keyed hash of the user id; of a product a hash of its
            asin.
        review: The review, where there is one; with the time when it was taken, where its writer gave none.
        product: What is said of a product; of one that is removed, its asin alone.
    """

    sequence: int
    kind: ChangeKind
    subject: str
    user_id: str | None
    review: WrittenReview | None = None
    product: WrittenProduct | None = None


class Receipt(BaseModel):
    """What is told of a review that was taken.

    Attributes:
        review_id: Names it.
        sequence: Where it stands in the log; the same where it is sent again.
    """

    model_config = ConfigDict(frozen=True)

    review_id: str
    sequence: int


class ReviewBatch(NamedTuple):
    """Reviews that are taken together or not at all.

    Attributes:
        reviews: At least one.
        key: The sender's name for the request; sent again, it gets the same answer.
    """

    reviews: tuple[WrittenReview, ...]
    key: str | None = None

    @property
    def request_digest(self) -> str:
        """Tells requests of one key apart."""
        return digest([review.model_dump() for review in self.reviews])


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
