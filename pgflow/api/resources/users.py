"""Users of the dashboard: made, listed, changed, removed."""

from __future__ import annotations

import asyncio
from typing import Annotated

from pydantic import Field, StringConstraints

from pgflow.access import Role
from pgflow.api.asked import Asked, Change, change
from pgflow.api.backend import Backend
from pgflow.api.gate import Gate
from pgflow.api.models import Id, Instant, Limit, Model, Page, Query, Text, row
from pgflow.api.operation import operation
from pgflow.api.passwords import LONGEST, SHORTEST, hash_password
from pgflow.api.resources.session import RoleWord
from pgflow.engine import access
from pgflow.engine.access import User as Stored
from pgflow.errors import NotFound
from pgflow.sdk.registry import access as verbs

UserName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.@+-]{0,99}$")]
Password = Annotated[str, StringConstraints(min_length=SHORTEST, max_length=LONGEST, pattern=r"^[^\x00]*$")]
Scopes = Annotated[list[Text], Field(min_length=1, max_length=50)]


class User(Model):
    """What is known of a user."""

    id: Id
    name: str
    role: RoleWord
    scopes: list[str] | None
    password: bool = Field(description="Whether there is one; without, they sign in elsewhere.")
    created_at: Instant
    created_by: str | None


class CreateUser(Model):
    """A user to be made."""

    name: UserName
    role: RoleWord
    scopes: Scopes | None = Field(default=None, description="As of tokens; null: everything.")
    password: Password | None = Field(
        default=None, repr=False, description="Without, they sign in through the OpenID Connect provider."
    )


class ChangeUser(Model):
    """What is to be otherwise; what is left out stays."""

    role: RoleWord | None = None
    scopes: Scopes | None = Field(default=None, description="null: everything.")
    password: Password | None = Field(default=None, repr=False, description="Ends all their sessions.")


class UserQuery(Query):
    """Which users."""

    after: UserName | None = Field(default=None, description="`next` of the page before.")
    limit: Limit = 50


class Users:
    """`/api/v1/users`."""

    def __init__(self, backend: Backend, gate: Gate) -> None:
        self._backend = backend
        self._gate = gate

    @operation("List users")
    async def on_get(self, asked: Asked, query: UserQuery) -> Page[User]:
        """By name."""
        found = await self._backend.run(access.users(after=query.after or "", limit=query.limit))
        following = found[-1].name if len(found) == query.limit else None
        return Page(items=[row(User, one) for one in found], next=following)

    @operation("Make a user", status=201, changes="user.create", itself=True)
    async def on_post(self, asked: Asked, body: CreateUser) -> User:
        """Who signs in with this password."""
        hashed = await _hashed(body.password)
        return await change(asked, "user.create", lambda made: self._create(made, body, hashed))

    async def _create(self, change: Change, body: CreateUser, hashed: str | None) -> User:
        made = await change.drive(
            verbs.create_user(body.name, Role.of(body.role), body.scopes, hashed, actor=change.actor)
        )
        change.tell(f"user:{made.name}", after=made._asdict())
        return row(User, made)

    @operation("Look at a user")
    async def on_get_one(self, asked: Asked, name: UserName) -> User:
        """Without the password."""
        return row(User, _there(await self._backend.run(access.user(name)), name))

    @operation("Change a user", changes="user.change", itself=True)
    async def on_patch_one(self, asked: Asked, name: UserName, body: ChangeUser) -> User:
        """Another role, other scopes, another password."""
        hashed = await _hashed(body.password)
        return await change(asked, "user.change", lambda made: self._change(made, name, body, hashed))

    async def _change(self, change: Change, name: str, body: ChangeUser, hashed: str | None) -> User:
        before = _there(await change.run(access.user(name)), name)
        after = await change.drive(
            verbs.change_user(
                name, role=Role.of(body.role) if body.role else None, scopes=body.scopes,
                rescope="scopes" in body.model_fields_set, password=hashed,
            )
        )  # fmt: skip
        self._gate.forget()
        change.tell(
            f"user:{name}", before=before._asdict(), after=after._asdict() | {"new_password": hashed is not None}
        )  # fmt: skip
        return row(User, after)

    @operation("Remove a user", changes="user.remove")
    async def on_delete_one(self, change: Change, name: UserName) -> None:
        """Who is signed out everywhere."""
        removed = await change.drive(verbs.remove_user(name))
        self._gate.forget()
        change.tell(f"user:{name}", before=removed._asdict())


async def _hashed(password: str | None) -> str | None:
    """What is stored of it. It takes a while, for which no connection is held."""
    return None if password is None else await asyncio.to_thread(hash_password, password)


def _there(found: tuple[Stored, str | None] | None, name: str) -> Stored:
    if found is None:
        raise NotFound(f"there is no user {name}")
    return found[0]
