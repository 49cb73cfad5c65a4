"""`client.secrets`: the verbs about stored secrets, once for both colours. None of them gives a value."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pgflow import redaction
from pgflow.config import Settings
from pgflow.engine import secrets as engine
from pgflow.engine.secrets import Resealed, Stored
from pgflow.errors import ArgumentError, NotFound, PgflowError, SealBroken
from pgflow.sdk.secret import PREFIX, check_name, from_environment, in_environment, keyring
from pgflow.sdk.verbs import MAX_ROUNDS, Rest, Steps
from pgflow.sealing import Keyring

LONGEST = 64 * 1024
"""Bytes that a secret may have."""
BATCH = 100
"""How many are sealed anew in one statement."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret without what it says.

    Attributes:
        name: its own.
        source: where it is: `table`, `environment` (of this process), or `environment, table`: the former wins.
        key_id: the key it is sealed with.
        version: one more each time it is set.
        created_at: when it was first set.
        changed_at: when it was last set.
        actor: who set it.
    """

    name: str
    source: str
    key_id: str | None = None
    version: int | None = None
    created_at: datetime | None = None
    changed_at: datetime | None = None
    actor: str | None = None


@dataclass(frozen=True, slots=True)
class Checked:
    """Whether a secret can be had.

    Attributes:
        name: its own.
        state: `fine`; `old key` (opens, with another key than the newest); `no key` or `broken` (cannot be opened);
            `short` (too short to be redacted).
        key_id: the key it is sealed with; None in the environment.
        why: what is wrong, for people.
    """

    name: str
    state: str
    key_id: str | None
    why: str | None = None

    @property
    def bad(self) -> bool:
        """Whether it cannot be opened."""
        return self.state in {"no key", "broken"}


@dataclass(frozen=True, slots=True)
class Rotation:
    """What became of a rotation.

    Attributes:
        key_id: the newest key.
        resealed: what was sealed with it now.
        failed: what could not be opened, and is as it was.
    """

    key_id: str
    resealed: Sequence[str]
    failed: Sequence[Checked]


def put(name: str, value: str, settings: Settings, *, actor: str | None) -> Steps[int]:
    """Store a secret. Returns its version."""
    sealed = keyring(settings).seal(_checked(check_name(name), value), settings.schema_name, name)
    return (yield engine.put(name, sealed, actor=actor))  # type: ignore[no-any-return]


def _checked(name: str, value: str) -> str:
    if len(value.strip()) < redaction.SHORTEST:
        raise ArgumentError(
            f"the value of {name} has less than {redaction.SHORTEST} characters",
            hint="one so short cannot be taken out of logs and errors; if it must be, give it to the workers as "
            f"{PREFIX}{name}",
        )
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise ArgumentError(f"the value of {name} is no valid text", hint="encode bytes as base64") from None
    if size > LONGEST:
        raise ArgumentError(f"the value of {name} has {size:,} bytes", hint=f"at most {LONGEST:,}")
    return value


def listed() -> Steps[Sequence[Secret]]:
    """All secrets that this process can see."""
    stored = {row["name"]: row for row in (yield engine.listed())}
    given = set(in_environment())
    found = []
    for name in sorted(stored.keys() | given):
        places = [place for place, there in (("environment", name in given), ("table", name in stored)) if there]
        found.append(Secret(**{"name": name, **stored.get(name, {}), "source": ", ".join(places)}))
    return found


def remove(names: Sequence[str]) -> Steps[Sequence[str]]:
    """Remove these from the table, or NotFound."""
    removed = yield engine.remove(names)
    missing = sorted(set(names) - set(removed))
    if missing:
        kept = [name for name in missing if from_environment(name)]
        hint = f"{PREFIX}{kept[0]} is set in this environment" if kept else "see `pgflow secret list`"
        raise NotFound(f"no secret {', '.join(missing)} is stored", hint=hint)
    return sorted(removed)


def rotate(settings: Settings) -> Steps[Rotation]:
    """Seal everything with the newest key, in batches. What is set or removed meanwhile is looked at again; what cannot
    be opened is left as it is."""
    ring, schema = keyring(settings), settings.schema_name
    newest = ring.require_newest()
    resealed: set[str] = set()
    for _ in range(MAX_ROUNDS):
        after, missed = "", False
        failed: list[Checked] = []
        while batch := (yield engine.page(after, BATCH, unless=newest)):
            after = batch[-1].name
            anew: list[Resealed] = []
            for one in batch:
                try:
                    value = ring.open(one.sealed, schema, one.name)
                    anew.append(Resealed(one.name, one.sealed, ring.seal(value, schema, one.name)))
                except SealBroken as error:
                    failed.append(_unopened(one, ring, error))
            done: list[str] = (yield engine.reseal(anew)) if anew else []
            resealed.update(done)
            missed = missed or len(done) < len(anew)
        if not missed:
            return Rotation(newest, sorted(resealed), failed)
        yield Rest(0.05)
    raise PgflowError("secrets are set as fast as they are sealed anew, with another key than the newest here",
                      hint="give whoever sets them the newest key first")  # fmt: skip


def check(settings: Settings) -> Steps[Sequence[Checked]]:
    """Whether each secret can be opened here."""
    ring, schema = keyring(settings), settings.schema_name
    found = []
    for name in in_environment():
        short = len(from_environment(name) or "") < redaction.SHORTEST
        problem = f"{PREFIX}{name} is too short to be taken out of logs and errors" if short else None
        found.append(Checked(name, "short" if short else "fine", None, problem))
    after = ""
    while batch := (yield engine.page(after, BATCH)):
        after = batch[-1].name
        for one in batch:
            try:
                ring.open(one.sealed, schema, one.name)
            except SealBroken as error:
                found.append(_unopened(one, ring, error))
            else:
                old = one.sealed.key_id != ring.newest
                problem = "not sealed with the newest key: `pgflow secret rotate`" if old else None
                found.append(Checked(one.name, "old key" if old else "fine", one.sealed.key_id, problem))
    return sorted(found, key=lambda one: one.name)


def _unopened(one: Stored, ring: Keyring, error: SealBroken) -> Checked:
    state = "broken" if one.sealed.key_id in ring else "no key"
    return Checked(one.name, state, one.sealed.key_id, error.message)


class Secrets:
    """`client.secrets`: what is sealed in the database. Code in workers gets it with `pgflow.secret(name)`.

    Example:
        >>> client.secrets.set("API_TOKEN", token)                           # doctest: +SKIP
    """

    def __init__(self, drive: Callable[[Steps[Any]], Any], settings: Settings, actor: str | None) -> None:
        self._drive, self._settings, self._actor = drive, settings, actor

    def set(self, name: str, value: str) -> int:
        """Store a secret, in the place of the one of that name. Returns its version. Workers see it within 30 seconds.

        Args:
            name: capital letters, digits and `_`, as in `API_TOKEN`.
            value: 6 characters or more, at most 64 KiB.

        Raises:
            ArgumentError: name or value make no sense.
            ConfigError: this process has no key to seal it with.
        """
        return self._drive(put(name, value, self._settings, actor=self._actor))  # type: ignore[no-any-return]

    def list(self) -> Sequence[Secret]:
        """All secrets that this process can see, by name: those of the table, and those of its own environment."""
        return self._drive(listed())  # type: ignore[no-any-return]

    def remove(self, *names: str) -> Sequence[str]:
        """Remove these from the table. Returns them.

        Raises:
            NotFound: one is not there; the others are gone.
        """
        return self._drive(remove(names))  # type: ignore[no-any-return]

    def rotate(self) -> Rotation:
        """Seal everything with the newest key. May run beside anything, and again."""
        return self._drive(rotate(self._settings))  # type: ignore[no-any-return]

    def check(self) -> Sequence[Checked]:
        """Whether each secret can be opened with the keys of this process."""
        return self._drive(check(self._settings))  # type: ignore[no-any-return]


class AsyncSecrets:
    """`client.secrets` of an async client: the same verbs as `Secrets`, awaited."""

    def __init__(self, drive: Callable[[Steps[Any]], Awaitable[Any]], settings: Settings, actor: str | None) -> None:
        self._drive, self._settings, self._actor = drive, settings, actor

    async def set(self, name: str, value: str) -> int:
        return await self._drive(put(name, value, self._settings, actor=self._actor))  # type: ignore[no-any-return]

    async def list(self) -> Sequence[Secret]:
        return await self._drive(listed())  # type: ignore[no-any-return]

    async def remove(self, *names: str) -> Sequence[str]:
        return await self._drive(remove(names))  # type: ignore[no-any-return]

    async def rotate(self) -> Rotation:
        return await self._drive(rotate(self._settings))  # type: ignore[no-any-return]

    async def check(self) -> Sequence[Checked]:
        return await self._drive(check(self._settings))  # type: ignore[no-any-return]
