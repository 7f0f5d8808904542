"""Addresses that tell how the service is: its models, its health, its metrics."""

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Path
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from rec_sys.inference.health_messages import Health, ModelCard
from rec_sys.serving.documentation import errors
from rec_sys.serving.metrics import GatewayMetrics
from rec_sys.serving.problems import Refusal
from rec_sys.settings import ServingSettings

if TYPE_CHECKING:
    from rec_sys.inference.recommender import Recommender


class Alive(BaseModel):
    """The process answers."""

    model_config = ConfigDict(frozen=True)

    live: bool = True


class Models(BaseModel):
    """The models that answers are made with."""

    model_config = ConfigDict(frozen=True)

    models: tuple[ModelCard, ...]


def model_routes(recommender: "Recommender", settings: ServingSettings) -> APIRouter:
    """What answers are made with."""
    router = APIRouter(prefix="/v1", tags=["models"])

    @router.get("/models", responses=errors(401, 403, 429, 500, 503), summary="The models that answers are made with")
    async def models() -> Models:
        """The towers, the text encoder, the memory and the index, each with its version."""
        return Models(models=await recommender.models())

    @router.get("/models/{name}", responses=errors(401, 403, 404, 422, 429, 500, 503), summary="One of them")
    async def model(name: Annotated[str, Path(min_length=1, max_length=100)]) -> ModelCard:
        """By its name."""
        cards = {card.name: card for card in await recommender.models()}
        if name in cards:
            return cards[name]
        if not (await recommender.health()).ready:
            # Components that are away are not listed, so nobody can say whether there is such a model.
            raise Refusal(
                503,
                f"a component is away, perhaps the one that has {name}",
                where="name",
                remedy="look at /health/ready, and try again later",
                headers={"Retry-After": str(settings.retry_after_seconds)},
            )
        raise Refusal(404, f"there is no model {name}", where="name", remedy=f"ask for one of {', '.join(cards)}")

    return router


def status_routes(recommender: "Recommender", metrics: GatewayMetrics, settings: ServingSettings) -> APIRouter:
    """What probes and Prometheus ask; they need no token."""
    router = APIRouter(tags=["status"])

    @router.get("/health/live", summary="Whether the process answers")
    async def live() -> Alive:
        """Looks at nothing but itself."""
        return Alive()

    @router.get(
        "/health/ready",
        response_model=Health,
        responses={503: {"model": Health, "description": "A component that answers need is away."}},
        summary="Whether answers can be given",
    )
    async def ready() -> Response:
        """Looks at Triton, the index and the bundle, and asks a question as others do."""
        health = await recommender.health()
        metrics.note_health(health)
        headers = {} if health.ready else {"Retry-After": str(settings.retry_after_seconds)}
        status = 200 if health.ready else 503
        return Response(health.model_dump_json(), status, headers, "application/json")

    @router.get("/metrics", response_class=Response, summary="Counters and histograms, as Prometheus reads them")
    async def measurements() -> Response:
        """Prometheus' text format."""
        return Response(metrics.render(), media_type=CONTENT_TYPE_LATEST)

    return router
