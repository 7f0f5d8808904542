"""What became of answers, as it is sent; the service speaks the same words over HTTP."""

from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, model_validator

from rec_sys.inference.contract import Closed, Id
from rec_sys.inference.request_times import LAST_TIMESTAMP, as_milliseconds
from rec_sys.store.messages import EventKind

MOST_EVENTS: Final = 1_000  # of a request


class NewEvent(Closed):
    """Somebody saw, clicked or ordered a product of an answer."""

    event: EventKind = Field(description="What happened.")
    request_id: str = Field(
        pattern=r"^[A-Za-z0-9._-]{1,128}$", description="Of the answer that the product stood in: its X-Request-ID."
    )
    asin: Id = Field(description="The product.")
    timestamp: Annotated[int | None, BeforeValidator(as_milliseconds)] = Field(
        None,
        ge=0,
        le=LAST_TIMESTAMP,
        description="Milliseconds since 1970 UTC, or a date of ISO 8601; now, where it is left out. The same event at"
        " another time is another one.",
    )


class NewEvents(Closed):
    """Events that are taken together or not at all; a single one may be sent as it is, without the list around it."""

    events: tuple[NewEvent, ...] = Field(min_length=1, max_length=MOST_EVENTS, description="In any order.")

    @model_validator(mode="before")
    @classmethod
    def _single_is_a_list(cls, content: Any) -> Any:
        return {"events": [content]} if isinstance(content, dict) and "asin" in content else content


class TakenEvent(Closed):
    """An event that is safe."""

    event_id: str = Field(description="Names it; the same for the same event, however often it is sent.")
    sequence: int = Field(description="Where it stands in the log.")


class TakenEvents(Closed):
    """What was taken, in the order sent."""

    events: tuple[TakenEvent, ...]
