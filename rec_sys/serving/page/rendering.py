"""Turns templates into answers: everything is escaped, and nothing but this service's own files may be loaded."""

from functools import cache
from pathlib import Path
from typing import Any, Final

from fastapi import Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse

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


@cache
def templates() -> Environment:
    """The templates, read once."""
    return Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(
    request: Request, template: str, status: int = 200, headers: dict[str, str] | None = None, **content: Any
) -> HTMLResponse:
    """The answer that shows a template; who asks and what is found wrong need not be given."""
    known = {"bearer": getattr(request.state, "page_bearer", None), "fault": None, "files": STATIC, "here": ""}
    text = templates().get_template(template).render(known | content)
    return HTMLResponse(text, status, HEADERS | (headers or {}))
