"""Signing in to the dashboard through an OpenID Connect provider."""

from __future__ import annotations

import falcon.asgi

from pgflow.access import Principal, Role
from pgflow.api.asked import Asked, Change, change
from pgflow.api.backend import Backend
from pgflow.api.oidc import COOKIE, PATH, Attempt, Provider, Somebody
from pgflow.api.problems import ProblemError
from pgflow.api.rates import Rates
from pgflow.api.resources.session import begin
from pgflow.engine import access as verbs
from pgflow.engine.access import User

# A redirect would still be part of the way from the other site, on which the new cookie is not sent.
_PAGE = (
    b'<!doctype html><meta charset="utf-8"><title>pgflow</title><meta http-equiv="refresh" content="0;url=/">'
    b'<a href="/">pgflow</a>'
)


class Elsewhere:
    """`/api/v1/session/oidc`."""

    def __init__(self, backend: Backend, rates: Rates) -> None:
        self._backend = backend
        self._rates = rates
        self._provider = Provider(backend.settings)

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Send the browser to the provider."""
        self._require()
        url, attempt = await self._provider.begin()
        resp.status = falcon.HTTP_302
        resp.set_header("Location", url)
        resp.append_header("Set-Cookie", attempt.cookie(secure=_secure(req.context.asked)))

    async def on_get_callback(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Take the browser back."""
        self._require()
        asked: Asked = req.context.asked
        code, state = req.get_param("code"), req.get_param("state")
        async with self._rates.attempt(asked.address):
            if not code or not state:
                raise ProblemError("unauthenticated", "the provider has let nobody in")
            somebody = await self._provider.end(code, state, Attempt.read(req.cookies.get(COOKIE)))
            cookie = await change(asked, "session.begin", lambda made: self._begin(made, somebody))
        resp.append_header("Set-Cookie", cookie)
        resp.append_header("Set-Cookie", f"{COOKIE}=; Path={PATH}; Max-Age=0; HttpOnly; SameSite=Lax")
        resp.content_type = "text/html; charset=utf-8"
        resp.data = _PAGE

    def _require(self) -> None:
        if not self._provider.configured:
            raise ProblemError(
                "not_found", "nobody signs in elsewhere here", hint="PGFLOW_OIDC_ISSUER names a provider"
            )

    async def _begin(self, change: Change, somebody: Somebody) -> str:
        found = await change.run(verbs.user(subject=somebody.subject))
        user: User | None = found[0] if found else None
        if user is None and somebody.name is not None:
            user = await change.run(verbs.bind_user(somebody.name, somebody.subject))
        if user is None:
            raise ProblemError(
                "unauthenticated", "there is no user for who signed in there",
                hint="an admin makes one: pgflow user create NAME --role ROLE --elsewhere",
            )  # fmt: skip
        scopes = None if user.scopes is None else tuple(user.scopes)
        change.who = Principal("user", user.id, user.name, Role.of(user.role), scopes)
        change.tell(f"user:{user.name}", after={"by": "oidc"})
        return await begin(change, self._backend, user.id)


def _secure(asked: Asked) -> bool:
    return asked.req.scheme == "https" or asked.forwarded_https
