"""The page put together: its views, its sign-in, its files."""

from typing import TYPE_CHECKING, Annotated, Final

from fastapi import APIRouter, FastAPI, Query, Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from rec_sys.serving.metrics import GatewayMetrics
from rec_sys.serving.page.customer_routes import customer_routes
from rec_sys.serving.page.import_routes import import_routes
from rec_sys.serving.page.imports import Imports
from rec_sys.serving.page.model_routes import model_routes
from rec_sys.serving.page.page_route import SIGN_IN, PageRoute, local, problem_of, redirect
from rec_sys.serving.page.publication_routes import MODELS, publication_routes
from rec_sys.serving.page.rendering import FOLDER, STATIC, render
from rec_sys.serving.page.sessions import Form, Sessions
from rec_sys.serving.page.shop_routes import SHOP, shop_routes
from rec_sys.serving.problems import Refusal
from rec_sys.serving.recent_answers import RecentAnswers
from rec_sys.settings import ServingSettings, TrackingSettings

if TYPE_CHECKING:
    from rec_sys.inference.recommender import Recommender

_VIEWS: Final[tuple[tuple[str, str], ...]] = (
    *(("/", "Be a customer"), ("/compare", "Compare models"), ("/understand", "Understand"), ("/map", "Product map")),
    *((SHOP, "Run the shop"), (MODELS, "Models and health")),
)


def include_page(
    application: FastAPI,
    recommender: "Recommender",
    metrics: GatewayMetrics,
    recent: RecentAnswers,
    sessions: Sessions,
    imports: Imports,
    settings: ServingSettings,
    tracking: TrackingSettings | None,
) -> None:
    """Adds the page to the service."""
    has_store = recommender.records is not None
    # Where each view is found, as the page's head lists them; running the shop takes a store.
    application.state.views = [view for view in _VIEWS if has_store or view[0] != SHOP]
    application.mount(STATIC, StaticFiles(directory=FOLDER / "static"))
    application.include_router(customer_routes(recommender, metrics, recent, sessions))
    application.include_router(model_routes(recommender, metrics, sessions, tracking))
    application.include_router(publication_routes(recommender, sessions, tracking))
    if has_store:
        application.include_router(shop_routes(recommender, sessions))
        application.include_router(import_routes(imports, sessions, settings))
    application.include_router(_sign_in_routes(sessions))


def _sign_in_routes(sessions: Sessions) -> APIRouter:
    router = APIRouter(route_class=PageRoute, include_in_schema=False)

    @router.get(SIGN_IN)
    async def ask(request: Request, asked: Annotated[str, Query(alias="next")] = "/") -> Response:
        return redirect(local(asked)) if sessions.is_open else render(request, "sign_in.html", next=local(asked))

    @router.post(SIGN_IN)
    async def sign_in(request: Request, fields: Form) -> Response:
        given = dict(fields)
        asked = local(given.get("next", "/"))
        response = redirect(asked)
        try:
            sessions.sign_in(request, response, given.get("token", "").strip())
        except Refusal as refusal:
            fault = await problem_of(request, refusal)
            fault = fault.model_copy(update={"where": "the token", "remedy": "ask whoever runs this service for one"})
            return render(request, "sign_in.html", fault.status, fault=fault, next=asked)
        return response

    @router.post("/sign-out")
    async def sign_out(request: Request, fields: Form) -> Response:
        response = redirect(SIGN_IN)
        sessions.sign_out(request, response)
        return response

    return router
