"""Answers to requests that cannot be served: one body for every error, in words, with what to do about it."""

from typing import Any, Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from rec_sys.contracts import InputError
from rec_sys.inference.contract import (
    RequestError,
    ServingUnavailable,
    UnknownModelError,
    UnknownProductError,
    UnknownUserError,
)
from rec_sys.inference.request_parsing import remedy_for_unknown, spell_field
from rec_sys.store.messages import KeyReusedError
from rec_sys.value_words import fault_in_words

PROBLEM_TYPE: Final = "application/problem+json"
_FAULTS_SHOWN: Final = 10
_SHOWN_CHARACTERS: Final = 80

_log = structlog.get_logger("rec_sys.serving")


class Fault(BaseModel):
    """One field that cannot be meant."""

    model_config = ConfigDict(frozen=True)

    field: str
    error: str


class Problem(BaseModel):
    """Why there is no answer."""

    model_config = ConfigDict(frozen=True)

    status: int = Field(description="The HTTP status.")
    error: str = Field(description="What is wrong.")
    where: str = Field(description="The field, header, address or component at fault.")
    field: str | None = Field(None, description="The field of the request, such as `reviews[3].rating`.")
    remedy: str = Field(description="What to do about it.")
    request_id: str = Field(description="Stands in the service's log, and in the header X-Request-ID.")
    faults: tuple[Fault, ...] = Field((), description="Every field at fault, where there are several.")


class Refusal(HTTPException):
    """An error with a status of its own; FastAPI lets it pass wherever it is raised, as while it reads a body."""

    def __init__(
        self, status: int, error: str, *, where: str, remedy: str, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(status, error, headers)
        self.error, self.where, self.remedy = error, where, remedy

    def problem(self, request_id: str) -> Problem:
        """As the client reads it."""
        return Problem(
            status=self.status_code, error=self.error, where=self.where, remedy=self.remedy, request_id=request_id
        )


def respond(problem: Problem, headers: dict[str, str] | None = None) -> Response:
    """The answer that carries a problem."""
    return Response(problem.model_dump_json(), problem.status, headers, PROBLEM_TYPE)


def internal_problem(request_id: str) -> Problem:
    """A defect of ours; its trace stands in the log, not in the answer."""
    return Problem(
        status=500,
        error="the service failed",
        where="the service",
        remedy="try again; should it stay, report the request id",
        request_id=request_id,
    )


def install_handlers(application: FastAPI) -> None:
    """Turns every error that a request can end in into a problem."""
    application.add_exception_handler(HTTPException, _on_http)
    application.add_exception_handler(RequestValidationError, _on_validation)
    application.add_exception_handler(InputError, _on_input)


async def problem_response(request: Request, error: HTTPException | RequestValidationError | InputError) -> Response:
    """The answer to an error, for who shows it otherwise."""
    if isinstance(error, HTTPException):
        return await _on_http(request, error)
    return await (_on_input if isinstance(error, InputError) else _on_validation)(request, error)


def _id_of(request: Request) -> str:
    return str(request.state.request_id)


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status, field, headers = error.status_code, None, dict(error.headers or {})
    if isinstance(error, Refusal):
        return respond(error.problem(_id_of(request)), headers)
    if error.status_code == 400:
        # What FastAPI says of a body that its JSON reader chokes on, where others end as errors of validation.
        status, field = 422, "body"
        what, where, remedy = "the body cannot be read", "body", "send JSON in UTF-8, as /docs shows it"
    elif error.status_code == 404:
        what, where, remedy = "there is nothing at this address", request.url.path, "see /docs for those there are"
    elif error.status_code == 405:
        what, where = f"{request.method} is not understood here", request.url.path
        remedy = f"use {headers['Allow']}" if "Allow" in headers else "see /docs"
    else:
        what, where, remedy = str(error.detail), "the request", "see /docs for what is understood"
    problem = Problem(status=status, error=what, where=where, field=field, remedy=remedy, request_id=_id_of(request))
    return respond(problem, headers)


async def _on_validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    named = [(fault, _field_of(fault["loc"])) for fault in found[:_FAULTS_SHOWN]]
    faults = tuple(Fault(field=field, error=fault_in_words(fault, field)) for fault, field in named)
    problem = Problem(
        status=422,
        error=faults[0].error,
        where=faults[0].field,
        field=faults[0].field,
        remedy=_remedy(request, found[0]),
        request_id=_id_of(request),
        faults=faults if len(faults) > 1 else (),
    )
    return respond(problem)


def _field_of(location: tuple[int | str, ...]) -> str:
    """The field's name without the part of the request that it stands in; that part where it is all at fault."""
    if len(location) == 2 and location[0] == "body" and isinstance(location[1], int):
        return "body"  # a place in broken JSON, counted in characters
    return spell_field(location[1:]) or str(location[0])


def _remedy(request: Request, fault: dict[str, Any]) -> str:
    if fault["type"] == "json_invalid":
        return f"send JSON; it breaks off at character {fault['loc'][-1]}"
    kind = request.headers.get("content-type", "")
    if fault["loc"] == ("body",) and "json" not in kind:
        return f"send JSON with the header Content-Type: application/json; it is {kind or 'not given'}"
    if fault["type"] == "missing":
        return "give it"
    if fault["type"] == "extra_forbidden":
        return remedy_for_unknown(fault["loc"])
    given = repr(fault.get("input"))
    shown = given if len(given) <= _SHOWN_CHARACTERS else f"{given[:_SHOWN_CHARACTERS]}..."
    return f"change it; it is {shown}"


async def _on_input(request: Request, error: Exception) -> Response:
    assert isinstance(error, InputError)
    request_id = _id_of(request)
    status, headers, field = 500, {}, None
    if isinstance(error, RequestError):
        status, field = 422, error.field
    elif isinstance(error, KeyReusedError):
        status = 422
    elif isinstance(error, UnknownUserError | UnknownProductError | UnknownModelError):
        status = 404
    elif isinstance(error, ServingUnavailable):
        # Whole seconds are all that the header knows.
        status, headers = 503, {"Retry-After": str(max(1, round(error.retry_after)))}
        _log.warning("unavailable", component=error.component, reason=error.what, where=error.where)
    else:
        # The operator's mistake, such as a refused key of the index: not for clients to read.
        _log.error("misconfigured", reason=error.what, where=error.where, remedy=error.remedy)
        return respond(internal_problem(request_id))
    problem = Problem(
        status=status, error=error.what, where=error.where, field=field, remedy=error.remedy, request_id=request_id
    )
    return respond(problem, headers)
