"""Who has signed in at the page: a random value in a cookie stands for the token, which never leaves the service."""

import hashlib
import secrets
import sqlite3
import time
from typing import Annotated, Any, Final
from urllib.parse import parse_qsl, urlsplit

from fastapi import Depends, Request
from starlette.responses import Response

from rec_sys.serving.authentication import Bearer, BearerAuth
from rec_sys.serving.problems import Refusal
from rec_sys.serving.token_rates import TokenRates
from rec_sys.serving.worker_memory import ALONE, WorkerMemory
from rec_sys.settings import AccessScope

COOKIE: Final = "rec_sys_session"
_SECONDS: Final = 8 * 3600  # a working day
_MOST: Final = 10_000
_OWN: Final = ("same-origin", "none")


class NotSignedInError(Exception):
    """Nobody has signed in, where tokens are set."""


class Sessions:
    """Signed-in browsers, as long as the service runs; where no token is set, everybody is let in without a cookie.

    Kept are a hash of the cookie's value and the token's name, of several workers in a file that they share. Only the
    page looks at the cookie. The addresses of `/v1` take a token in a header alone, which no other site can make a
    browser send.
    """

    def __init__(self, auth: BearerAuth, rates: TokenRates, memory: WorkerMemory = ALONE) -> None:
        self._auth, self._rates = auth, rates
        file = ":memory:" if memory.folder is None else memory.folder / "sessions.sqlite"
        self._kept = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
        self._kept.execute("CREATE TABLE IF NOT EXISTS sessions (digest BLOB PRIMARY KEY, bearer TEXT, ends REAL)")

    @property
    def is_open(self) -> bool:
        """Whether nobody needs to sign in."""
        return self._auth.is_open

    def sign_in(self, request: Request, response: Response, token: str) -> None:
        """Lets a browser in.

        Raises:
            Refusal: 401; the token is unknown or expired.
        """
        bearer, value, now = self._auth.admit(token), secrets.token_urlsafe(32), time.time()
        self._kept.execute("INSERT INTO sessions VALUES (?, ?, ?)", (_digest(value), bearer.name, now + _SECONDS))
        newest = "SELECT digest FROM sessions WHERE ends > ? ORDER BY ends DESC LIMIT ?"
        self._kept.execute(f"DELETE FROM sessions WHERE digest NOT IN ({newest})", (now, _MOST))
        response.set_cookie(
            *(COOKIE, value, _SECONDS), secure=request.url.scheme == "https", httponly=True, samesite="strict"
        )

    def sign_out(self, request: Request, response: Response) -> None:
        """Forgets a browser."""
        self._kept.execute("DELETE FROM sessions WHERE digest = ?", (_digest(request.cookies.get(COOKIE, "")),))
        response.delete_cookie(COOKIE, httponly=True, samesite="strict")

    def bearer(self, request: Request) -> Bearer:
        """Who asks; the token is looked at each time, so that it can expire.

        Raises:
            NotSignedInError: Nobody has signed in, or the token is not valid any more.
            Refusal: 429; it has asked too often.
        """
        asked = (_digest(request.cookies.get(COOKIE, "")), time.time())
        found = self._kept.execute("SELECT bearer FROM sessions WHERE digest = ? AND ends > ?", asked).fetchone()
        try:
            bearer = self._auth.admit_named(found and found[0])
        except Refusal as refusal:
            raise NotSignedInError from refusal
        self._rates.take(bearer.name)
        return bearer

    def needing(self, scope: AccessScope) -> Any:
        """A dependency that guards a route of the page; the route has the bearer in `request.state.page_bearer`."""

        def guard(request: Request) -> None:
            bearer = self.bearer(request)
            request.state.page_bearer = bearer
            request.state.bearer = bearer.name
            need(bearer, scope)

        return Depends(guard)


def need(bearer: Bearer, scope: AccessScope) -> None:
    """Refuses who may not.

    Raises:
        Refusal: 403.
    """
    if scope not in bearer.scopes:
        raise Refusal(
            403,
            f"the token of {bearer.name} may not {scope}",
            where="the token",
            remedy=f"sign in with a token that has {scope} among its scopes (serving.tokens)",
        )


async def read_form(request: Request) -> list[tuple[str, str]]:
    """The fields of a form that this page has sent, in their order.

    Raises:
        Refusal: 403; another site has made the browser send it.
    """
    refuse_other_sites(request)
    try:
        text = (await request.body()).decode()
        return parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=20_000)
    except ValueError as error:
        raise Refusal(422, "the form cannot be read", where="body", remedy="send it from this page") from error


def refuse_other_sites(request: Request) -> None:
    """Refuses a form that another site has made the browser send.

    Raises:
        Refusal: 403.
    """
    given = request.headers
    site, origin = given.get("sec-fetch-site"), given.get("origin")
    if (site is not None and site not in _OWN) or (
        origin is not None and urlsplit(origin).netloc != given.get("host", "")
    ):
        raise Refusal(403, "another site sent this form", where="header Origin", remedy="send it from this page")


Form = Annotated[list[tuple[str, str]], Depends(read_form)]


def _digest(value: str) -> bytes:
    return hashlib.sha256(value.encode()).digest()
