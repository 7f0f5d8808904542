"""The views by which a file of reviews or products comes into the store."""

import math
from typing import Annotated, Any, Final, get_args

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from rec_sys.offered_file import MOST_RECORDS, ROLES, FileRequest, Kind
from rec_sys.serving.page.imports import Import, Imports
from rec_sys.serving.page.page_route import PageRoute, problem_of, redirect
from rec_sys.serving.page.rendering import render
from rec_sys.serving.page.sessions import Form, Sessions, refuse_other_sites
from rec_sys.serving.page.uploads import UPLOADS, read_upload
from rec_sys.serving.problems import Refusal
from rec_sys.settings import ServingSettings

_STOPPED: Final = "Stopped: {:,} rows or a few more were safe by then, and stay. Sent again, the file adds the others."
_NONE: Final = ":none"  # of a role's choices: it has no column; an empty one leaves it to be found
_LONGEST_FORM: Final = 40  # characters of the form of the times, and of the encoding


def import_routes(imports: Imports, sessions: Sessions, settings: ServingSettings) -> APIRouter:
    """The routes of these views; all for who may write alone."""
    router = APIRouter(
        prefix=UPLOADS, route_class=PageRoute, include_in_schema=False, dependencies=[sessions.needing("write")]
    )

    @router.get("")
    async def ask(request: Request, stopped: Annotated[int | None, Query(ge=0, le=MOST_RECORDS)] = None) -> Response:
        said = None if stopped is None else _STOPPED.format(stopped)
        return _shown(request, "import", held=imports.held(), most=settings.max_upload_bytes, said=said)

    @router.post("")
    async def offer(request: Request) -> Response:
        refuse_other_sites(request)
        upload = await read_upload(request, settings.max_upload_bytes, settings.receive_timeout_seconds)
        kind: Kind = "products" if upload.fields.get("kind") == "products" else "reviews"
        return redirect(_address(imports.offer(kind, upload.name, upload.content)))

    @router.get("/{import_id}")
    async def show(request: Request, import_id: str) -> Response:
        one = imports.get(import_id)
        return _shown(request, "import_file", **_content(one))

    @router.post("/{import_id}")
    async def press(request: Request, import_id: str, fields: Form) -> Response:
        one, given = imports.get(import_id), dict(fields)
        if given.get("do") == "discard":
            imports.discard(one)
            return redirect(f"{UPLOADS}?stopped={one.taken}" if one.stage == "taking" else UPLOADS)
        if given.get("do") == "take":
            imports.take(one)
        else:
            try:
                corrected = _corrected(one, given)
            except Refusal as refusal:  # what was typed stays, so that it can be mended
                fault = await problem_of(request, refusal)
                return _shown(request, "import_file", fault.status, fault=fault, **_content(one, given))
            imports.look(one, corrected)
        return redirect(_address(one))

    return router


def _content(one: Import, typed: dict[str, str] | None = None) -> dict[str, Any]:
    """What the view of a file shows; where it could not be read, what was said of it stays said."""
    said, found = one.request.columns, one.answer.roles
    chosen = {role: column or "" for role, column in found.items()}
    chosen |= {role: column or _NONE for role, column in said.items()}
    forms = {"chosen": typed or chosen, "scale": one.request.rating_scale or one.answer.rating_scale, "without": _NONE}
    needed = ("user_id", "asin") if one.kind == "reviews" else ("asin",)
    return {"file": one, "roles": ROLES[one.kind], "needed": needed, "address": _address(one), "typed": typed} | forms


def _corrected(one: Import, given: dict[str, str]) -> FileRequest:
    """What is asked once somebody has said which column is what; a role that is left empty is found."""
    changes: dict[str, Any] = {}
    if any(role in given for role in ROLES[one.kind]):
        said = {role: given[role] for role in ROLES[one.kind] if given.get(role)}
        changes["columns"] = {role: None if column == _NONE else column for role, column in said.items()}
    changes["encoding"] = given.get("encoding", "").strip()[:_LONGEST_FORM] or "auto"
    changes["time_form"] = given.get("time_form", "").strip()[:_LONGEST_FORM] or None
    low, high = given.get("lowest", "").strip(), given.get("highest", "").strip()
    if low or high:
        remedy = "give two numbers, the lower first, or leave both empty"
        try:
            lowest, highest = float(low.replace(",", ".")), float(high.replace(",", "."))
        except ValueError as error:
            raise Refusal(422, "the ratings’ scale is no two numbers", where="Ratings", remedy=remedy) from error
        if not -math.inf < lowest < highest < math.inf:
            raise Refusal(422, "the lowest rating is not below the highest", where="Ratings", remedy=remedy)
        changes["rating_scale"] = (lowest, highest)
    else:
        changes["rating_scale"] = None
    return one.request.model_copy(update=changes)


def _address(one: Import) -> str:
    return f"{UPLOADS}/{one.id}"


def _shown(request: Request, view: str, status: int = 200, **content: Any) -> Response:
    given = {"fault": None, "typed": None, "here": "/shop", "view": "import", "kinds": get_args(Kind)} | content
    return render(request, f"shop/{view}.html", status, **given)
