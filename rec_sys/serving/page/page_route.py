"""Routes whose errors are pages: the words are the API's own."""

import re
from collections.abc import Callable, Coroutine
from typing import Any, Final
from urllib.parse import quote, urlencode

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from rec_sys.contracts import InputError
from rec_sys.serving.page.rendering import HEADERS, render
from rec_sys.serving.page.sessions import NotSignedInError
from rec_sys.serving.problems import Problem, problem_response

SIGN_IN: Final = "/sign-in"
# An address of this service: browsers read what begins with two slashes, of either kind, as another host, and leave out
# tabs and ends of lines.
_LOCAL: Final = re.compile(r"/(?![/\\])[!-~]{0,2000}")
_SEE_OTHER: Final = 303


class PageRoute(APIRoute):
    """Shows errors; whoever has not signed in is led there, from there back, and told nothing else."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The route's handler with that around it."""
        answer = super().get_route_handler()

        async def answer_with_pages(request: Request) -> Response:
            try:
                return await answer(request)
            except NotSignedInError:
                return redirect(_sign_in_before(request))
            except (HTTPException, RequestValidationError, InputError) as error:
                said = await problem_of(request, error)
                return render(request, "fault.html", said.status, fault=said)

        return answer_with_pages


async def problem_of(request: Request, error: HTTPException | RequestValidationError | InputError) -> Problem:
    """What the API says of an error."""
    return Problem.model_validate_json(bytes((await problem_response(request, error)).body))


def local(address: str) -> str:
    """An address of this service, as it was asked for; the first view in place of any other."""
    return address if _LOCAL.fullmatch(address) else "/"


def _sign_in_before(request: Request) -> str:
    """The sign-in that leads to what is asked for; what a form would have done is not done later."""
    query = request.scope["query_string"].decode("latin-1")
    asked = quote(request.scope["path"]) + (f"?{query}" if query else "")
    leads_on = request.method == "GET" and asked != "/"
    return f"{SIGN_IN}?{urlencode({'next': asked})}" if leads_on else SIGN_IN


def redirect(address: str) -> RedirectResponse:
    """Leads a browser on, after a form, too."""
    return RedirectResponse(address, _SEE_OTHER, HEADERS)
