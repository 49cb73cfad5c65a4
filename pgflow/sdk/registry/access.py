"""The verbs about who may use the API, for the command line and the API alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pgflow import access
from pgflow.access import Role
from pgflow.engine import access as verbs
from pgflow.engine.access import Token, User
from pgflow.errors import ArgumentError, NameTaken, NotFound
from pgflow.sdk.verbs import Steps

LONGEST = 10 * 366 * 86400.0


class NewToken(NamedTuple):
    """A token that was just made.

    Args:
        token: what is known of it.
        secret: it itself; it is stored nowhere, and never seen again.
    """

    token: Token
    secret: str


def create_token(
    name: str, role: Role, scopes: Sequence[str] | None, lifetime: float | None, *, actor: str | None
) -> Steps[NewToken]:
    """Make a token.

    Args:
        name: of its own among those that are not revoked.
        role: what it may be used for.
        scopes: for what; None: for everything.
        lifetime: for how many seconds; None: for good.
        actor: who asks.
    """
    access.check_name(name, "token")
    if lifetime is not None and not 0 < lifetime <= LONGEST:
        raise ArgumentError("a token lasts for more than nothing, and at most ten years")
    secret = access.new_token()
    made: Token | None = yield verbs.create_token(
        name, secret[: access.SHOWN], access.digest(secret), role, access.check_scopes(scopes), lifetime, actor=actor
    )
    if made is None:
        raise NameTaken(f"there is a token {name} already", hint="revoke it first, or take another name")
    return NewToken(made, secret)


def revoke_token(given: str, *, actor: str | None) -> Steps[list[Token]]:
    """Make a token, by its name or its id, good for nothing; or NotFound."""
    id = int(given) if given.isascii() and given.isdecimal() and len(given) < 19 else None
    revoked: list[Token] = yield verbs.revoke(id=id, name=given, actor=actor)
    if not revoked:
        raise NotFound(f"there is no token {given} that is good", hint="see `pgflow token list`")
    return revoked


def create_user(
    name: str, role: Role, scopes: Sequence[str] | None, password: str | None, subject: str | None = None,
    *, actor: str | None,
) -> Steps[User]:  # fmt: skip
    """Make a user, with the hash of a password, or a subject who signs in elsewhere."""
    access.check_name(name, "user")
    made: User | None = yield verbs.create_user(
        name, role, access.check_scopes(scopes), password, subject, actor=actor
    )  # fmt: skip
    if made is None:
        raise NameTaken(f"there is a user {name} already", hint="see `pgflow user list`")
    return made


def remove_user(name: str) -> Steps[User]:
    """Remove a user, or NotFound."""
    removed: User | None = yield verbs.remove_user(name)
    if removed is None:
        raise NotFound(f"there is no user {name}", hint="see `pgflow user list`")
    return removed


def change_user(
    name: str, *, role: Role | None = None, scopes: Sequence[str] | None = None, rescope: bool = False,
    password: str | None = None,
) -> Steps[User]:  # fmt: skip
    """Give a user another role, other scopes or another password; or NotFound."""
    changed: User | None = yield verbs.change_user(
        name, role=role, scopes=access.check_scopes(scopes), rescope=rescope, password=password
    )
    if changed is None:
        raise NotFound(f"there is no user {name}", hint="see `pgflow user list`")
    return changed
