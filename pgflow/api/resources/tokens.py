"""API tokens: made, listed, revoked."""

from __future__ import annotations

from pydantic import Field

from pgflow.access import Role
from pgflow.api.asked import Asked, Change
from pgflow.api.backend import Backend
from pgflow.api.gate import Gate
from pgflow.api.models import Id, Instant, Limit, Model, Page, Query, Seconds, Text, row
from pgflow.api.operation import operation
from pgflow.api.resources.session import RoleWord
from pgflow.engine import access
from pgflow.errors import NotFound
from pgflow.sdk.registry import access as verbs


class Token(Model):
    """What is known of a token."""

    id: Id
    name: str
    shown: str = Field(description="Its first characters.")
    role: RoleWord
    scopes: list[str] | None
    created_at: Instant
    created_by: str | None
    expires_at: Instant | None
    used_at: Instant | None = Field(description="Within a minute.")
    revoked_at: Instant | None


class CreateToken(Model):
    """A token to be made."""

    name: Text = Field(description="Letters, digits and _ . @ + -, at most 100; no other token that is good has it.")
    role: RoleWord
    scopes: list[Text] | None = Field(
        default=None,
        min_length=1,
        max_length=50,
        description="As in workflow:orders.* or queue:mail; null: everything.",
    )
    expires_in: Seconds | None = Field(default=None, gt=0, description="Seconds, or as in `720h`; null: for good.")


class NewToken(Token):
    """A token that was just made."""

    token: str = Field(description="It itself, this once: it is stored nowhere.")


class TokenQuery(Query):
    """Which tokens."""

    revoked: bool = Field(default=False, description="Also those that were revoked.")
    after: Id | None = Field(default=None, description="`next` of the page before.")
    limit: Limit = 50


class Tokens:
    """`/api/v1/tokens`."""

    def __init__(self, backend: Backend, gate: Gate) -> None:
        self._backend = backend
        self._gate = gate

    @operation("List tokens")
    async def on_get(self, asked: Asked, query: TokenQuery) -> Page[Token]:
        """Newest first."""
        found = await self._backend.run(
            access.tokens(revoked=query.revoked, before=query.after, limit=query.limit)
        )  # fmt: skip
        following = str(found[-1].id) if len(found) == query.limit else None
        return Page(items=[row(Token, one) for one in found], next=following)

    @operation("Make a token", status=201, changes="token.create")
    async def on_post(self, change: Change, body: CreateToken) -> NewToken:
        """It is shown this once."""
        made = await change.drive(
            verbs.create_token(body.name, Role.of(body.role), body.scopes, body.expires_in, actor=change.actor)
        )
        change.tell(f"token:{made.token.name}", after=made.token._asdict())
        return row(NewToken, made.token._asdict() | {"token": made.secret})

    @operation("Look at a token")
    async def on_get_one(self, asked: Asked, id: Id) -> Token:
        """Without what would let anybody in."""
        found = await self._backend.run(access.tokens(id=id, revoked=True))
        if not found:
            raise NotFound(f"there is no token {id}")
        return row(Token, found[0])

    @operation("Revoke a token", changes="token.revoke")
    async def on_post_revoke(self, change: Change, id: Id) -> Token:
        """Within a second it is good for nothing. One that is revoked stays as it is."""
        found = await change.run(access.tokens(id=id, revoked=True))
        if not found:
            raise NotFound(f"there is no token {id}")
        revoked = await change.run(access.revoke(id=id, actor=change.actor))
        self._gate.forget()
        if not revoked:
            change.nothing_changed()
            return row(Token, found[0])
        change.tell(f"token:{found[0].name}", before=found[0]._asdict(), after=revoked[0]._asdict())
        return row(Token, revoked[0])
