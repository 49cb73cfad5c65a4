"""Signing in to the dashboard, with a password; and who one is."""

from __future__ import annotations

import secrets
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from pgflow import access
from pgflow.access import Principal
from pgflow.api.asked import Asked, Change, change
from pgflow.api.backend import Backend
from pgflow.api.gate import COOKIE, Gate, check_origin
from pgflow.api.models import Id, Model
from pgflow.api.operation import Reply, operation
from pgflow.api.passwords import LONGEST, fits_soon
from pgflow.api.problems import ProblemError
from pgflow.api.rates import Rates
from pgflow.engine import access as verbs
from pgflow.engine.access import User

RoleWord = Literal["viewer", "operator", "admin"]


class SignIn(Model):
    """Who signs in."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00]*$")]
    password: Annotated[str, StringConstraints(min_length=1, max_length=LONGEST)] = Field(repr=False)


class Me(Model):
    """Who asks, and what they may do."""

    kind: Literal["token", "user"]
    id: Id
    name: str
    role: RoleWord
    scopes: list[str] | None = Field(description="To what; null: to everything.")


def me(who: Principal) -> Me:
    """As it is told."""
    return Me.model_validate(
        {"kind": who.kind, "id": who.id, "name": who.name, "role": who.role.word,
         "scopes": None if who.scopes is None else list(who.scopes)}
    )  # fmt: skip


class Session:
    """`/api/v1/session`."""

    def __init__(self, backend: Backend, gate: Gate, rates: Rates) -> None:
        self._backend = backend
        self._gate = gate
        self._rates = rates

    @operation("Who asks")
    async def on_get(self, asked: Asked) -> Me:
        """By the token or the session that the request came with."""
        assert asked.who is not None
        return me(asked.who)

    @operation(
        "Sign in", changes="session.begin", itself=True, problems=("unauthenticated", "cross_site"),
        headers={"Origin": "Browsers send it; it has to be ours."},
    )  # fmt: skip
    async def on_post(self, asked: Asked, body: SignIn) -> Reply[Me]:
        """With a name and a password. The answer sets a cookie, which scripts cannot read."""
        check_origin(asked, self._backend.settings.public_url, lenient=True)
        async with self._rates.attempt(asked.address, body.name):
            found = await self._backend.run(verbs.user(body.name))
            stored = found[1] if found else None
            # Nobody's connection is held meanwhile: it takes long, and waits for those of others.
            if not await fits_soon(stored, body.password):
                raise _wrong()
            return await change(asked, "session.begin", lambda made: self._begin(made, body.name, stored))

    async def _begin(self, change: Change, name: str, stored: str | None) -> Reply[Me]:
        found: tuple[User, str | None] | None = await change.run(verbs.user(name))
        if found is None or found[1] != stored:  # it was changed meanwhile, which is to end all sessions
            raise _wrong()
        user, _ = found
        scopes = None if user.scopes is None else tuple(user.scopes)
        who = Principal("user", user.id, user.name, access.Role.of(user.role), scopes)
        change.who = who
        change.tell(f"user:{user.name}")
        return Reply(me(who), headers={"Set-Cookie": await begin(change, self._backend, user.id)})

    @operation("Sign out", unaudited="it ends what only the asker has")
    async def on_delete(self, asked: Asked) -> Reply[None]:
        """Of a session; a token stays what it is."""
        if asked.session is not None:
            await self._backend.run(verbs.end_session(asked.session))
            self._gate.forget()
        return Reply(None, headers={"Set-Cookie": f"{COOKIE}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict"})


def _wrong() -> ProblemError:
    return ProblemError("unauthenticated", "the name or the password is wrong")


async def begin(change: Change, backend: Backend, user: int) -> str:
    """Begin a session of this user, and give the cookie that it is known by."""
    secret = secrets.token_urlsafe(32)
    lifetime = backend.settings.api_session
    await change.run(verbs.begin_session(access.digest(secret), user, lifetime, change.address))
    # Without TLS, which is for loopback and for proxies that say so, a browser would not keep a Secure cookie.
    secure = "; Secure" if change.req.scheme == "https" or change.forwarded_https else ""
    return f"{COOKIE}={secret}; Path=/; Max-Age={int(lifetime)}; HttpOnly; SameSite=Strict{secure}"
