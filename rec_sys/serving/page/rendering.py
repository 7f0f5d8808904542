"""Turns templates into answers: everything is escaped, and nothing but this service's own files may be loaded."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Final

from fastapi import Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse

from rec_sys.serving.authentication import Bearer

FOLDER: Final = Path(__file__).parent
STATIC: Final = "/page-files"
# https://developer.mozilla.org/docs/Web/HTTP/Guides/CSP; same-origin rather than no-referrer, which would take the
# header Origin off the forms' requests.
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@cache
def templates() -> Environment:
    """The templates, read once."""
    environment = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["day"] = _day
    environment.filters["price"] = _price
    return environment


def _day(milliseconds: int) -> str:
    """The day of a time since 1970 UTC."""
    return (_EPOCH + timedelta(milliseconds=milliseconds)).date().isoformat()


def _price(value: float) -> str:
    """Two decimals, or as many as it has: 12.50, 0.001."""
    usual = f"{value:.2f}"
    return usual if math.isclose(float(usual), value, rel_tol=1e-6) else f"{value:.6g}"


def render(
    request: Request, template: str, status: int = 200, headers: dict[str, str] | None = None, **content: Any
) -> HTMLResponse:
    """The answer that shows a template; who asks and what is found wrong need not be given."""
    bearer: Bearer | None = getattr(request.state, "page_bearer", None)
    text = written(template, request.app.state.views, bearer, **content)
    return HTMLResponse(text, status, HEADERS | (headers or {}))


def written(template: str, views: Sequence[tuple[str, str]] = (), bearer: Bearer | None = None, **content: Any) -> str:
    """A template's text, for whoever has no request at hand."""
    may = frozenset[str]() if bearer is None else bearer.scopes
    known = {"bearer": bearer, "may": may, "views": views, "fault": None, "files": STATIC, "here": ""}
    return templates().get_template(template).render(known | content)
