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
        return _shown(request, "import_file", file=one, roles=ROLES[one.kind], address=_address(one))

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
                content = {"file": one, "roles": ROLES[one.kind], "address": _address(one), "typed": given}
                return _shown(request, "import_file", fault.status, fault=fault, **content)
            imports.look(one, corrected)
        return redirect(_address(one))

    return router


def _corrected(one: Import, given: dict[str, str]) -> FileRequest:
    """What is asked once somebody has said which column is what; a role that is left empty has none."""
    changes: dict[str, Any] = {}
    if columns := {role: given[role] or None for role in ROLES[one.kind] if role in given}:
        needed = ("user_id", "asin") if one.kind == "reviews" else ("asin",)
        changes["columns"] = {role: column for role, column in columns.items() if column or role not in needed}
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
