"""The service put together: routes over one recommender, and the layers around them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import structlog
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi_offline import FastAPIOffline

from rec_sys.contracts import InputError
from rec_sys.serving.admission import Admission
from rec_sys.serving.authentication import BearerAuth, TokenFirst
from rec_sys.serving.catalogue_routes import catalogue_routes
from rec_sys.serving.documentation import DESCRIPTION, TITLE
from rec_sys.serving.event_routes import event_routes
from rec_sys.serving.metrics import GatewayMetrics
from rec_sys.serving.observation import Observation
from rec_sys.serving.page.imports import Imports
from rec_sys.serving.page.problem_pages import ProblemPages
from rec_sys.serving.page.routes import include_page
from rec_sys.serving.page.sessions import Sessions
from rec_sys.serving.page.uploads import UPLOADS
from rec_sys.serving.path_ids import EncodedSlashes
from rec_sys.serving.problems import Problem, install_handlers
from rec_sys.serving.product_routes import product_routes
from rec_sys.serving.recent_answers import RecentAnswers
from rec_sys.serving.review_routes import review_routes
from rec_sys.serving.status_routes import model_routes, status_routes
from rec_sys.serving.token_rates import TokenRates
from rec_sys.serving.worker_memory import ALONE, WorkerMemory
from rec_sys.serving.written_elsewhere import WrittenElsewhere
from rec_sys.settings import ServingSettings, TrackingSettings

if TYPE_CHECKING:
    from rec_sys.inference.recommender import Recommender

_API_VERSION: Final = "1"
_GUARDED: Final = "/v1"  # how the addresses of both routers begin

_log = structlog.get_logger("rec_sys.serving")


def create_application(
    settings: ServingSettings,
    recommender: "Recommender",
    memory: WorkerMemory = ALONE,
    tracking: TrackingSettings | None = None,
) -> FastAPI:
    """The service over a recommender, which only its event loop uses, and which is closed when the service ends.

    Args:
        settings: The service's.
        recommender: What answers.
        memory: What it shares with other workers of one service.
        tracking: The MLflow whose aliases follow a rollback, and that is linked to; None for none.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        opening = asyncio.create_task(_warm_up(recommender))
        try:
            async with recommender.following():
                yield
        finally:
            opening.cancel()
            await imports.close()
            await asyncio.gather(opening, return_exceptions=True)
            await recommender.close()

    metrics, recent = GatewayMetrics(memory), RecentAnswers(memory)
    # Its /docs loads Swagger UI from this service; FastAPI's own asks another host for it, and is blank without one.
    application: FastAPI = FastAPIOffline(title=TITLE, description=DESCRIPTION, version=_API_VERSION, lifespan=lifespan)
    install_handlers(application)
    auth = BearerAuth(settings)
    for router in (product_routes(recommender, metrics, recent), model_routes(recommender, settings)):
        application.include_router(router, dependencies=[auth.needing("read")])
    if recommender.records is not None:
        application.include_router(review_routes(recommender.records, auth))
    if recommender.products is not None:
        application.include_router(catalogue_routes(recommender.products, auth))
    if recommender.events is not None:
        application.include_router(event_routes(recommender.events, metrics, recent, auth))
    application.include_router(status_routes(recommender, metrics, settings))
    rates = TokenRates(settings.token_rate, auth.bearers, memory)
    sessions, imports = Sessions(auth, rates, memory), Imports(recommender, memory)
    include_page(application, recommender, metrics, recent, sessions, imports, settings, tracking)
    if memory.count > 1 and recommender.records is not None:
        application.add_middleware(
            WrittenElsewhere, recommender=recommender, records=recommender.records, memory=memory
        )
    application.add_middleware(Admission, metrics=metrics, settings=settings, streamed=UPLOADS)
    application.add_middleware(TokenFirst, auth=auth, rates=rates, guarded=_GUARDED)
    application.add_middleware(EncodedSlashes)
    application.add_middleware(Observation, metrics=metrics)
    application.add_middleware(ProblemPages)  # the last added is the outermost
    application.openapi = lambda: _describe(application)  # type: ignore[method-assign] # as FastAPI tells to
    return application


async def _warm_up(recommender: "Recommender") -> None:
    """Opens what the first answer needs, while probes are answered already; what is away then may come later."""
    try:
        await recommender.warm_up()
    except InputError as error:
        _log.warning("not ready yet", reason=error.what, where=error.where, remedy=error.remedy)
    except Exception:  # nobody awaits this task: the log is where it can be seen, and each request meets it itself
        _log.exception("warming up failed")
    else:
        _log.info("warmed up")


def _describe(application: FastAPI) -> dict[str, Any]:
    """The OpenAPI description, with the one body that every error has."""
    if application.openapi_schema is None:
        schema = get_openapi(
            title=application.title,
            version=application.version,
            description=application.description,
            routes=application.routes,
        )
        problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        schema["components"]["schemas"] |= {**problem.pop("$defs"), Problem.__name__: problem}
        application.openapi_schema = schema
    return application.openapi_schema
