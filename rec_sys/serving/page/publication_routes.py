"""What stands behind the model that answers: its bundle among the others, its training's pictures, and the way back."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit, urlunsplit

from fastapi import APIRouter, Request
from starlette.responses import FileResponse, Response

from rec_sys.contracts import BundleFile, InputError
from rec_sys.inference.contract import RequestError, ServingUnavailable
from rec_sys.serving.page.page_route import PageRoute, problem_of, redirect
from rec_sys.serving.page.rendering import HEADERS, render
from rec_sys.serving.page.sessions import Form, Sessions
from rec_sys.serving.page.shop_routes import Question
from rec_sys.serving.problems import Refusal
from rec_sys.settings import TrackingSettings

if TYPE_CHECKING:
    from rec_sys.inference.recommender import Recommender

MODELS: Final = "/models"
_REFRESHES_SHOWN: Final = 5
_WENT_BACK: Final = "went-back"
_PICTURES: Final = (".png", ".svg", ".webp", ".jpg")
# A report is one file with a script and a style of its own: a page of nobody, which reaches nothing of this service.
_REPORT_POLICY: Final = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:;"
    " font-src data:; frame-ancestors 'none'"
)


def publication_routes(recommender: "Recommender", sessions: Sessions, tracking: TrackingSettings | None) -> APIRouter:
    """The routes of these views; what is served is decided by who may administrate alone."""
    router = APIRouter(
        prefix=MODELS, route_class=PageRoute, include_in_schema=False, dependencies=[sessions.needing("read")]
    )
    may_decide, publications = [sessions.needing("admin")], recommender.publications

    @router.get("/rollback", dependencies=may_decide)
    async def ask(request: Request, version: str) -> Response:
        kept = {one.version: one.name for one in await publications.bundles() if one.state == "kept"}
        if version not in kept:
            raise Refusal(404, f"version {version} is not kept", where="version", remedy=f"look at {MODELS}")
        question = Question(
            "Go back to an earlier bundle",
            f"{kept[version]}, version {version} of the index",
            "Every answer comes from that bundle from the next question on. What is newer stays a bundle that can be"
            " published again.",
            f"{MODELS}/rollback",
            {"version": version},
            "Go back to it",
            MODELS,
        )
        return render(request, "shop/confirm.html", here=MODELS, question=question)

    @router.post("/rollback", dependencies=may_decide)
    async def roll_back(fields: Form) -> Response:
        try:
            await publications.roll_back(dict(fields).get("version", ""), tracking)
        except (RequestError, ServingUnavailable):
            raise
        except InputError as error:  # of the index as this service is set up, which its administrator may read
            raise Refusal(409, error.what, where=error.where, remedy=error.remedy) from error
        return redirect(f"{MODELS}?said={_WENT_BACK}")

    @router.get("/pictures/{name}")
    async def picture(name: str) -> Response:
        return _file(await publications.pictures(), name, HEADERS)

    @router.get("/reports/{name}")
    async def report(name: str) -> Response:
        return _file(await publications.reports(), name, HEADERS | {"Content-Security-Policy": _REPORT_POLICY})

    return router


async def published(request: Request, recommender: "Recommender", tracking: TrackingSettings | None) -> dict[str, Any]:
    """What the view of models shows of it; where the folders cannot be reached, what is wrong."""
    found: dict[str, Any] = {"bundles": [], "pictures": [], "card": None, "reports": [], "unreachable": None}
    went_back = request.query_params.get("said") == _WENT_BACK
    found["said"] = "The earlier bundle answers from the next question on." if went_back else None
    found |= {"refreshes": (await recommender.publications.refreshes())[:_REFRESHES_SHOWN], "mlflow": _shown(tracking)}
    try:
        found["bundles"] = await recommender.publications.bundles()
        files = await recommender.publications.pictures()
        found["pictures"] = [(_title(name), _address("pictures", name)) for name in files if name.endswith(_PICTURES)]
        found["card"] = _address("pictures", BundleFile.CARD) if BundleFile.CARD in files else None
        found["reports"] = [(name, _address("reports", name)) for name in await recommender.publications.reports()]
    except InputError as error:
        found["unreachable"] = await problem_of(request, error)
    return found


def _file(files: dict[str, Path], name: str, headers: dict[str, str]) -> Response:
    """One of the files that are shown, by its name; a path reaches nothing else."""
    if name not in files:
        raise Refusal(404, "there is no such file", where=name, remedy=f"look at {MODELS}")
    kind = "text/plain; charset=utf-8" if name == BundleFile.CARD else None
    return FileResponse(files[name], headers=headers, media_type=kind)


def _address(kind: str, name: str) -> str:
    return f"{MODELS}/{kind}/{quote(name, safe='')}"


def _title(name: str) -> str:
    return Path(name).stem.replace("_", " ")


def _shown(tracking: TrackingSettings | None) -> str | None:
    """MLflow's address as a link, without what is secret in it; None where it is a file."""
    address = None if tracking is None or not tracking.enabled else tracking.page_uri or tracking.uri
    given = "" if address is None else address.get_secret_value()
    if not given.startswith(("http://", "https://")):
        return None
    parts = urlsplit(given)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))
