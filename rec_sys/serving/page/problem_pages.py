"""Errors that no view has met, such as an address that leads nowhere: a page for browsers, in the API's own words."""

from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rec_sys.serving.page.rendering import HEADERS, written
from rec_sys.serving.problems import PROBLEM_TYPE, Problem

HTML: Final = "text/html"
# What programs ask; who opens one of these in a browser reads JSON.
_OF_PROGRAMS: Final = ("/v1", "/health/", "/metrics", "/openapi.json")


class ProblemPages:
    """The outermost layer: shows problems to those who ask for pages, at every address but those of programs."""

    def __init__(self, application: ASGIApp) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on."""
        if scope["type"] != "http" or scope["path"].startswith(_OF_PROGRAMS) or not _asks_for_pages(scope):
            await self._application(scope, receive, send)
            return
        head: list[Message] = []
        said = bytearray()

        async def show(message: Message) -> None:
            if message["type"] == "http.response.start" and _is_problem(message):
                head.append(message)
                return
            if not head:
                await send(message)
                return
            said.extend(message.get("body", b""))
            if not message.get("more_body", False):
                page = problem_page(Problem.model_validate_json(bytes(said)))
                headers = MutableHeaders(scope=head[0])
                headers.update(HEADERS | {"Content-Type": f"{HTML}; charset=utf-8", "Content-Length": str(len(page))})
                await send(head[0])
                await send({"type": "http.response.body", "body": page})

        await self._application(scope, receive, show)


def problem_page(problem: Problem) -> bytes:
    """A problem as a page."""
    return written("fault.html", fault=problem).encode()


def _asks_for_pages(scope: Scope) -> bool:
    return HTML in Headers(scope=scope).get("accept", "")


def _is_problem(start: Message) -> bool:
    return Headers(raw=start["headers"]).get("content-type", "") == PROBLEM_TYPE
