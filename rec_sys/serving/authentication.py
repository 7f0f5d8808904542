"""Who may ask: bearer tokens, compared so that the time taken tells nothing about them."""

import hashlib
import hmac
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Final, NamedTuple, get_args

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from fastapi.security.utils import get_authorization_scheme_param
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from rec_sys.serving.admission import discard, waits_to_send
from rec_sys.serving.problems import Refusal, respond
from rec_sys.serving.token_rates import TokenRates
from rec_sys.settings import AccessScope, ServingSettings

_SCHEME: Final = HTTPBearer(auto_error=False, description="Needed where the service has tokens.")
_HEADER: Final = "header Authorization"
_FIRST_NAME: Final = "token"


class Bearer(NamedTuple):
    """Who asks.

    Attributes:
        name: Of the token; None where everybody is let in.
        scopes: What they may.
    """

    name: str | None
    scopes: frozenset[AccessScope]


_EVERYTHING: Final[frozenset[AccessScope]] = frozenset(get_args(AccessScope))


class BearerAuth:
    """Lets the bearers of a valid token in; everybody where there is no token. `now` says what time it is, in UTC."""

    def __init__(self, settings: ServingSettings, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        given: list[tuple[Bearer, str, datetime | None]] = [
            (Bearer(token.name, frozenset(token.scopes)), token.token.get_secret_value(), token.expires)
            for token in settings.tokens
        ]
        if settings.token is not None:
            given.append((Bearer(_FIRST_NAME, _EVERYTHING), settings.token.get_secret_value(), None))
        # Hashes have one length, so that comparing them tells nothing about the tokens' lengths either.
        self._known = [(bearer, _digest(token), expires) for bearer, token, expires in given]
        self._now = now

    @property
    def bearers(self) -> tuple[str, ...]:
        """The names of all tokens."""
        return tuple(str(bearer.name) for bearer, _, _ in self._known)

    @property
    def is_open(self) -> bool:
        """Whether everybody is let in."""
        return not self._known

    def admit(self, token: str | None) -> Bearer:
        """A token's bearer.

        Raises:
            Refusal: 401; the token is missing, unknown or expired.
        """
        if self.is_open:
            return Bearer(None, _EVERYTHING)
        if token is None:
            raise _refuse("a token is needed", "Bearer")
        found = None
        digest = _digest(token)
        for bearer, known, expires in self._known:  # all of them, whichever fits
            if hmac.compare_digest(digest, known):
                found = (bearer, expires)
        if found is None:
            raise _refuse("the token is not known", 'Bearer error="invalid_token"')
        return self._while_valid(*found)

    def admit_named(self, name: str | None) -> Bearer:
        """The bearer of the token of this name, who has shown it before.

        Raises:
            Refusal: 401; there is no such token, or it is expired.
        """
        if self.is_open:
            return Bearer(None, _EVERYTHING)
        for bearer, _, expires in self._known:
            if bearer.name == name:
                return self._while_valid(bearer, expires)
        raise _refuse("a token is needed", "Bearer")

    def _while_valid(self, bearer: Bearer, expires: datetime | None) -> Bearer:
        if expires is not None and expires <= self._now():
            raise _refuse(
                f"the token expired at {expires.isoformat()}",
                'Bearer error="invalid_token", error_description="the token expired"',
            )
        return bearer

    def needing(self, scope: AccessScope) -> Any:
        """A dependency that guards a route, however it is reached, but only after its body is read.

        See `TokenFirst`.
        """

        async def guard(
            request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_SCHEME)]
        ) -> None:
            bearer = self.admit(None if credentials is None else credentials.credentials)
            request.state.bearer = bearer.name
            if scope not in bearer.scopes:
                raise Refusal(
                    403,
                    f"the token of {bearer.name} may not {scope}",
                    where=_HEADER,
                    remedy=f"use a token that has {scope} among its scopes (serving.tokens)",
                    headers={"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{scope}"'},
                )

        return Depends(guard)


class TokenFirst:
    """Refuses who may not ask before anything of the request is read, so that they learn nothing of it.

    Args:
        application: What guarded addresses lead to.
        auth: Who may ask.
        rates: How often.
        guarded: How guarded addresses begin.
    """

    def __init__(self, application: ASGIApp, auth: BearerAuth, rates: TokenRates, guarded: str) -> None:
        self._application, self._auth, self._rates, self._guarded = application, auth, rates, guarded

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on."""
        path = scope.get("path", "").removeprefix(scope.get("root_path", ""))  # which a proxy may put before it
        if scope["type"] == "http" and path.startswith(self._guarded):
            try:
                bearer = scope["state"]["bearer"] = self._auth.admit(_token_in(Headers(scope=scope))).name
                self._rates.take(bearer)
            except Refusal as refusal:
                if not waits_to_send(scope):
                    await discard(receive)
                problem = refusal.problem(scope["state"]["request_id"])
                await respond(problem, dict(refusal.headers or {}))(scope, receive, send)
                return
        await self._application(scope, receive, send)


def _token_in(headers: Headers) -> str | None:
    scheme, token = get_authorization_scheme_param(headers.get("Authorization"))
    return token if scheme.lower() == "bearer" and token else None


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _refuse(error: str, challenge: str) -> Refusal:
    return Refusal(
        401,
        error,
        where=_HEADER,
        remedy="send the header Authorization: Bearer TOKEN with a token that the service knows",
        headers={"WWW-Authenticate": challenge},
    )
