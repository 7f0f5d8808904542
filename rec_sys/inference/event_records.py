"""What becomes of answers: seen, clicked, ordered; kept in the log."""

from rec_sys.inference.event_messages import NewEvents
from rec_sys.inference.review_log import ReviewLog
from rec_sys.store.messages import Receipt, WrittenBatch, WrittenEvent


class EventRecords:
    """The events in the store; for one event loop."""

    def __init__(self, log: ReviewLog) -> None:
        self._log = log

    async def take(self, new: NewEvents, key: str | None = None) -> list[Receipt]:
        """Keeps events: when this returns they survive any kill.

        Args:
            new: The events.
            key: The sender's name for the request; sent again, it gets the same answer.

        Returns:
            A receipt an event, in the order sent.

        Raises:
            KeyReusedError: Another request was sent with this key.
            ServingUnavailable: The store is away.
        """
        return await self._log.write(WrittenBatch(tuple(WrittenEvent(**dict(event)) for event in new.events), key))
