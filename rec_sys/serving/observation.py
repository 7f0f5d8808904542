"""Around every request: its id, its line in the log, its place in the metrics."""

import re
import time
import uuid
from http import HTTPMethod
from typing import Any, Final

import structlog
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rec_sys.inference.contract import StepTimes
from rec_sys.panics import panics_as_errors
from rec_sys.serving.admission import PROBES
from rec_sys.serving.metrics import STEPS, GatewayMetrics
from rec_sys.serving.problems import internal_problem, respond

REQUEST_ID: Final = "X-Request-ID"
_ACCEPTED_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")
# Labels live as long as the process: none of them is chosen by a client.
_METHODS: Final = frozenset(HTTPMethod)
_OTHER: Final = "other"

_log = structlog.get_logger("rec_sys.serving")


class Observation:
    """The outermost layer of the service.

    A request's id is the client's own where that is short and plain, else a new one; it stands in the answer's
    header, in problems and in the log.
    """

    def __init__(self, application: ASGIApp, metrics: GatewayMetrics) -> None:
        self._application = application
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on and sees it through."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        request = _Observed(scope, send)
        is_probe = scope["path"].startswith(PROBES)  # not worth a line each
        structlog.contextvars.bind_contextvars(request_id=request.id)
        try:
            with panics_as_errors():
                await self._application(scope, receive, request.send)
        except Exception:
            # Whatever was not foreseen: the trace goes to the log, and the client learns the request's id.
            _log.exception("failed", method=scope["method"], path=scope["path"])
            if request.status is None:
                await respond(internal_problem(request.id))(scope, receive, request.send)
        finally:
            self._note(request, scope, is_probe)
            structlog.contextvars.unbind_contextvars("request_id")

    def _note(self, request: "_Observed", scope: Scope, is_probe: bool) -> None:
        seconds = time.perf_counter() - request.began
        method = scope["method"] if scope["method"] in _METHODS else _OTHER
        route = getattr(scope.get("route"), "path", _OTHER)
        status = request.status or 499  # the client left before there was an answer
        self._metrics.requests.labels(method, route, str(status)).inc()
        self._metrics.seconds.labels(method, route).observe(seconds)
        say = _log.debug if is_probe else _log.info
        say(
            "request",
            method=scope["method"],
            path=scope["path"],
            status=status,
            milliseconds=round(seconds * 1000, 3),
            bearer=scope["state"].get("bearer"),
            request_id=request.id,
        )


class _Observed:
    """A request on its way: what its answer gets into its head."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self.began = time.perf_counter()
        self.status: int | None = None
        given = dict(scope["headers"]).get(REQUEST_ID.lower().encode(), b"").decode("latin-1")
        self.id = given if _ACCEPTED_ID.fullmatch(given) else uuid.uuid4().hex
        self._send = send
        self._state: dict[str, Any] = scope.setdefault("state", {})
        self._state["request_id"] = self.id

    async def send(self, message: Message) -> None:
        """Passes a part of the answer on."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers[REQUEST_ID] = self.id
            times: StepTimes | None = self._state.get("times")
            if times is not None:
                headers["Server-Timing"] = self._timing(times)
        await self._send(message)

    def _timing(self, times: StepTimes) -> str:
        steps = [f"{step};dur={getattr(times, step):.3f}" for step in STEPS]
        return ", ".join([*steps, f"total;dur={(time.perf_counter() - self.began) * 1000:.3f}"])
