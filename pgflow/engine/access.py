"""The verbs about who may use the API: tokens, users, sessions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from pgflow.access import Principal, Role
from pgflow.db.call import Call, Rows


class Token(NamedTuple):
    """What is known of a token."""

    id: int
    name: str
    shown: str
    role: str
    scopes: list[str] | None
    created_at: datetime
    created_by: str | None
    expires_at: datetime | None
    used_at: datetime | None
    revoked_at: datetime | None


class User(NamedTuple):
    """What is known of a user."""

    id: int
    name: str
    role: str
    scopes: list[str] | None
    password: bool
    """Whether there is one; without, they sign in elsewhere."""
    created_at: datetime
    created_by: str | None


class Found(NamedTuple):
    """Somebody who may come in, and for how many seconds; None: for good."""

    principal: Principal
    left: float | None


def create_token(
    name: str, shown: str, hashed: bytes, role: Role, scopes: Sequence[str] | None, lifetime: float | None,
    *, actor: str | None = None,
) -> Call[Token | None]:  # fmt: skip
    """Store a token, for so many seconds or for good. None: the name is taken."""
    params = {
        "name": name, "shown": shown, "hash": hashed, "role": role.word, "scopes": _texts(scopes), "lifetime": lifetime,
        "actor": actor,
    }  # fmt: skip
    return Call("token/create", params, lambda rows: Token(*rows[0]) if rows else None)


def tokens(
    *, id: int | None = None, revoked: bool = False, before: int | None = None, limit: int = 100
) -> Call[list[Token]]:
    """Tokens, newest first; with those that were revoked, if asked."""
    params = {"id": id, "revoked": revoked, "before": before, "limit": limit}
    return Call("token/list", params, lambda rows: [Token(*row) for row in rows])


def revoke(*, id: int | None = None, name: str | None = None, actor: str | None = None) -> Call[list[Token]]:
    """Make a token good for nothing. Returns those that were not so yet."""
    params = {"id": id, "name": name, "actor": actor or "unknown"}
    return Call("token/revoke", params, lambda rows: [Token(*row) for row in rows])


def by_token(hashed: bytes) -> Call[Found | None]:
    """Who comes with this token."""
    return Call("token/find", {"hash": hashed}, lambda rows: _found("token", rows))


def begin_session(hashed: bytes, user: int, lifetime: float, address: str | None) -> Call[None]:
    """Sign a user in for so many seconds."""
    params = {"hash": hashed, "user": user, "lifetime": lifetime, "address": address}
    return Call("session/begin", params, lambda _: None)


def by_session(hashed: bytes) -> Call[Found | None]:
    """Who is signed in with this session."""
    return Call("session/find", {"hash": hashed}, lambda rows: _found("user", rows))


def end_session(hashed: bytes) -> Call[bool]:
    """Sign out. Returns whether there was such a session."""
    return Call("session/end", {"hash": hashed}, bool)


def create_user(
    name: str, role: Role, scopes: Sequence[str] | None, password: str | None, subject: str | None = None,
    *, actor: str | None = None,
) -> Call[User | None]:  # fmt: skip
    """Store a user, with the hash of a password. None: the name is taken."""
    params = {
        "name": name, "role": role.word, "scopes": _texts(scopes), "password": password, "subject": subject,
        "actor": actor,
    }  # fmt: skip
    return Call("user/create", params, lambda rows: User(*rows[0]) if rows else None)


def users(*, after: str = "", limit: int = 100) -> Call[list[User]]:
    """Users by name."""
    return Call("user/list", {"after": after, "limit": limit}, lambda rows: [User(*row) for row in rows])


def user(name: str | None = None, *, subject: str | None = None) -> Call[tuple[User, str | None] | None]:
    """A user with the hash of the password."""

    def parse(rows: Rows) -> tuple[User, str | None] | None:
        return (User(*rows[0][:7]), rows[0][7]) if rows else None

    return Call("user/find", {"name": name, "subject": subject}, parse)


def bind_user(name: str, subject: str) -> Call[User | None]:
    """Let a user without a password be this subject, if nobody is yet. None: there is no such user."""
    params = {"name": name, "subject": subject}
    return Call("user/bind", params, lambda rows: User(*rows[0]) if rows else None)


def change_user(
    name: str, *, role: Role | None = None, scopes: Sequence[str] | None = None, rescope: bool = False,
    password: str | None = None,
) -> Call[User | None]:  # fmt: skip
    """Give a user another role, other scopes (with `rescope`) or another password. None: there is no such user."""
    params = {
        "name": name, "role": role.word if role else None, "scopes": _texts(scopes), "rescope": rescope,
        "password": password,
    }  # fmt: skip
    return Call("user/change", params, lambda rows: User(*rows[0]) if rows else None)


def remove_user(name: str) -> Call[User | None]:
    """Remove a user, who is signed out everywhere. Returns who it was."""
    return Call("user/remove", {"name": name}, lambda rows: User(*rows[0]) if rows else None)


def anybody() -> Call[bool]:
    """Whether anybody could get in."""
    return Call("user/any", {}, lambda rows: bool(rows[0][0]))


def _found(kind: str, rows: Rows) -> Found | None:
    if not rows:
        return None
    id, name, role, scopes, left = rows[0]
    return Found(Principal(kind, id, name, Role.of(role), None if scopes is None else tuple(scopes)), left)


def _texts(scopes: Sequence[str] | None) -> list[str] | None:
    return None if scopes is None else list(scopes)
