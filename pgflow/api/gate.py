"""Who is let in: a token in `Authorization`, or a session in a cookie. What is not declared open is shut.

A cookie comes with every request that a browser makes, also with one that another site had it make. So a session may
change nothing unless the browser says that the request comes from our own pages (`Origin`, `Sec-Fetch-Site`). Tokens
are never taken from cookies or from the address.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from urllib.parse import urlsplit

import falcon.asgi

from pgflow import access
from pgflow.access import Principal, Role
from pgflow.api.asked import Asked
from pgflow.api.backend import Backend
from pgflow.api.problems import ProblemError
from pgflow.api.rates import Rates
from pgflow.api.routing import Needs
from pgflow.engine import access as verbs
from pgflow.engine.access import Found

COOKIE = "pgflow_session"
KNOWN_SECONDS = 1.0
"""How long who comes with a token is remembered; so long it may take until a revoked one is refused."""
MOST_KNOWN = 4096
SAFE = {"GET", "HEAD", "OPTIONS"}


class Gate:
    """Finds out who asks, and whether they may.

    Args:
        backend: knows tokens and sessions.
        rates: how often somebody may ask.
    """

    def __init__(self, backend: Backend, rates: Rates) -> None:
        self._backend = backend
        self._rates = rates
        self._known: OrderedDict[bytes, tuple[float, Principal]] = OrderedDict()

    async def count(self, asked: Asked) -> None:
        """Count the request by its address, whatever it asks for; or raise `too_many_requests`."""
        await self._rates.address(asked.address)

    async def admit(self, asked: Asked, needs: Needs, resp: falcon.asgi.Response) -> None:
        """Let the request through, or raise the problem that it has."""
        if needs.role is None:
            headers = await self._rates.left(asked.address)
        else:
            who = await self._who(asked)
            asked.who = who
            headers = await self._rates.principal(who.actor)
            _check(who, needs)
        for name, value in headers.items():
            resp.set_header(name, value)

    async def _who(self, asked: Asked) -> Principal:
        given = asked.req.get_header("Authorization")
        if given is not None:
            return await self._by_token(asked, given)
        cookie = asked.req.cookies.get(COOKIE)
        if cookie is None:
            raise _unauthenticated("a token is needed", "send Authorization: Bearer pgf_...")
        check_origin(asked, self._backend.settings.public_url)
        asked.session = access.digest(cookie)
        found = await self._find(asked.session, by_session=True)
        if found is None:
            raise _unauthenticated("the session is over", "sign in again")
        return found

    async def _by_token(self, asked: Asked, given: str) -> Principal:
        scheme, _, token = given.partition(" ")
        if scheme.lower() != "bearer":
            raise _unauthenticated("only bearer tokens are taken", "send Authorization: Bearer pgf_...")
        token = token.strip()
        found = None
        if access.is_token(token):
            found = await self._find(access.digest(token), by_session=False)
        if found is None:
            await self._rates.failed(asked.address)
            raise _unauthenticated("the token is unknown, expired or revoked", "make one with `pgflow token create`")
        return found

    async def _find(self, hashed: bytes, *, by_session: bool) -> Principal | None:
        now = time.monotonic()
        known = self._known.get(hashed)
        if known is not None and now < known[0]:
            return known[1]
        call = verbs.by_session(hashed) if by_session else verbs.by_token(hashed)
        found: Found | None = await self._backend.run(call)
        if found is None:
            self._known.pop(hashed, None)
            return None
        left = KNOWN_SECONDS if found.left is None else min(KNOWN_SECONDS, found.left)
        self._known[hashed] = (now + left, found.principal)
        self._known.move_to_end(hashed)
        if len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)
        return found.principal

    def forget(self) -> None:
        """Look everybody up anew: somebody's rights have changed in this process."""
        self._known.clear()


def _check(who: Principal, needs: Needs) -> None:
    assert needs.role is not None
    if who.role < needs.role:
        raise ProblemError(
            "forbidden", f"this takes the role {needs.role.word}, and {who.actor} is {Role(who.role).word}"
        )
    if who.scopes is not None and not needs.scoped:
        raise ProblemError("forbidden", f"this concerns all, and {who.actor} is limited to {', '.join(who.scopes)}")


def check_origin(asked: Asked, public_url: str | None, *, always: bool = False, lenient: bool = False) -> None:
    """Raise `cross_site` for a request that changes something, unless our own pages make it.

    Args:
        asked: the request.
        public_url: where people reach us, if that is not what the request says.
        always: also for one that changes nothing.
        lenient: take one that says nothing of where it comes from, which is no browser's.
    """
    if asked.req.method in SAFE and not always:
        return
    if asked.req.get_header("Sec-Fetch-Site") not in {None, "same-origin"}:
        raise ProblemError("cross_site", "the browser says that another site makes this request")
    origin = asked.req.get_header("Origin")
    if origin is None:
        if lenient:
            return
        raise ProblemError("cross_site", "the request does not say which site makes it", hint="browsers send Origin")
    ours = {urlsplit(public_url).netloc} if public_url else set()
    ours.add(asked.req.get_header("Host") or "")
    if not urlsplit(origin).netloc or urlsplit(origin).netloc not in ours:
        raise ProblemError("cross_site", f"requests from {origin[:200]} are not taken")


def _unauthenticated(detail: str, hint: str) -> ProblemError:
    return ProblemError("unauthenticated", detail, hint=hint, headers={"WWW-Authenticate": 'Bearer realm="pgflow"'})
