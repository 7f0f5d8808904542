"""The address that takes what became of answers."""

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Body

from rec_sys.inference.event_messages import NewEvents, TakenEvent, TakenEvents
from rec_sys.serving.authentication import BearerAuth
from rec_sys.serving.documentation import NEW_EVENTS, errors
from rec_sys.serving.metrics import GatewayMetrics
from rec_sys.serving.recent_answers import RecentAnswers
from rec_sys.serving.review_routes import IdempotencyKey

if TYPE_CHECKING:
    from rec_sys.inference.event_records import EventRecords


def event_routes(
    records: "EventRecords", metrics: GatewayMetrics, recent: RecentAnswers, auth: BearerAuth
) -> APIRouter:
    """The route over what becomes of answers."""
    router = APIRouter(prefix="/v1", tags=["events"], dependencies=[auth.needing("write")])

    @router.post(
        "/events",
        status_code=201,
        responses=errors(401, 403, 408, 413, 422, 429, 500, 503),
        summary="Takes events",
    )
    async def take(
        events: Annotated[NewEvents, Body(openapi_examples=NEW_EVENTS)], key: IdempotencyKey = None
    ) -> TakenEvents:
        """All or none; what is answered 201 survives any failure. The same event sent again is one event.

        Events count in what is trending, and in `/metrics` by the source and the model of the answer that they name.
        """
        receipts = await records.take(events, key)
        for event, receipt in zip(events.events, receipts, strict=True):
            if receipt.is_new:
                metrics.count_event(event.event, *recent.of(event.request_id, event.asin))
        return TakenEvents(events=tuple(TakenEvent(event_id=one.subject, sequence=one.sequence) for one in receipts))

    return router
