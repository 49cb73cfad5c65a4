"""Secrets: stored and removed, never shown."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, SecretStr, StringConstraints

from pgflow.api.asked import Asked, Change
from pgflow.api.backend import Backend
from pgflow.api.models import Instant, Model, row
from pgflow.api.operation import Reply, operation
from pgflow.engine import secrets as engine
from pgflow.sdk.registry.secrets import LONGEST
from pgflow.sdk.secret import check_name

StoredName = Annotated[str, StringConstraints(pattern=r"^[A-Z_][A-Z0-9_]{0,99}$")]


class Secret(Model):
    """What is known of a secret, but not what it says."""

    name: str
    version: int = Field(description="One more each time it is set.")
    key_id: str = Field(description="The key that it is sealed with.")
    created_at: Instant
    changed_at: Instant
    actor: str | None = Field(description="Who set it.")


class SecretList(Model):
    """Secrets by name."""

    items: list[Secret]


class PutSecret(Model):
    """What a secret is to say."""

    value: Annotated[SecretStr, Field(min_length=1, max_length=LONGEST)] = Field(
        description="6 characters or more, at most 64 KiB of UTF-8."
    )


class SecretVersion(Model):
    """What was stored."""

    name: str
    version: int


class CheckedSecret(Model):
    """Whether a secret can be opened with the keys of this process."""

    name: str
    state: str = Field(description="`fine`, `old key`, `no key`, `broken`, or `short`.")
    key_id: str | None
    why: str | None


class CheckedSecrets(Model):
    """All of them."""

    items: list[CheckedSecret]


class Resealed(Model):
    """What became of a rotation."""

    key_id: str = Field(description="The newest key.")
    resealed: list[str]
    failed: list[CheckedSecret] = Field(description="What could not be opened, and is as it was.")


class Secrets:
    """`/api/v1/secrets`."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @operation("List the stored secrets")
    async def on_get(self, asked: Asked) -> SecretList:
        """Their names. No request gives a value."""
        return SecretList(items=[row(Secret, one) for one in await self._backend.run(engine.listed())])

    @operation("Store a secret", statuses={201: "There was none of that name."}, changes="secret.set")
    async def on_put_one(self, change: Change, name: StoredName, body: PutSecret) -> Reply[SecretVersion]:
        """In the place of the one of that name. Workers see it within 30 seconds."""
        version = await change.client.secrets.set(name, body.value.get_secret_value())
        before = None if version == 1 else {"version": version - 1}
        change.tell(f"secret:{name}", before=before, after={"version": version})
        return Reply(SecretVersion(name=name, version=version), 201 if version == 1 else 200)

    @operation("Remove a secret", changes="secret.remove")
    async def on_delete_one(self, change: Change, name: StoredName) -> None:
        """Who asks for it from then on does not get it."""
        check_name(name)
        await change.client.secrets.remove(name)
        change.tell(f"secret:{name}")

    @operation("Check which secrets can be opened")
    async def on_get_check(self, asked: Asked) -> CheckedSecrets:
        """With the keys that this process has."""
        found = await self._backend.client.secrets.check()
        return CheckedSecrets(items=[row(CheckedSecret, _checked(one)) for one in found])

    @operation("Seal all secrets with the newest key", changes="secret.rotate")
    async def on_post_rotate(self, change: Change) -> Resealed:
        """Give all workers the new key before, and take the old one out after."""
        done = await change.client.secrets.rotate()
        change.tell("secrets", after={"key_id": done.key_id, "resealed": list(done.resealed)})
        failed = [row(CheckedSecret, _checked(one)) for one in done.failed]
        return Resealed(key_id=done.key_id, resealed=list(done.resealed), failed=failed)


def _checked(one: object) -> dict[str, object]:
    return {word: getattr(one, word) for word in CheckedSecret.model_fields}
