"""Secrets in clear: where code in workers gets them.

A secret is looked for in the environment first, as `PGFLOW_SECRET_<NAME>`, there or in the file `.env`; then in the
table, where it is sealed. What was opened is kept for `FRESH` seconds, so a secret that is set anew is seen by then.
Whatever is handed out is known to `pgflow.redaction` from then on.
"""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable, Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from time import monotonic as clock
from typing import Protocol

from pgflow import redaction
from pgflow.config import Settings, env_file
from pgflow.db.call import Call
from pgflow.engine import secrets
from pgflow.engine.secrets import Stored
from pgflow.errors import ArgumentError, ConfigError, NotFound, PgflowError, SealBroken
from pgflow.sealing import Keyring

PREFIX = "PGFLOW_SECRET_"
FRESH = 30.0
"""Seconds that what was read from the table is good for."""
RECHECK = 1.0
"""Seconds that a secret which was not there, or could not be opened, is not looked for again."""

_NAME = re.compile(r"[A-Z_][A-Z0-9_]{0,99}")
_RESERVED = {"KEYS", "KEYS_FILE"}


def check_name(name: str) -> str:
    """The secret's name, or an ArgumentError."""
    if not _NAME.fullmatch(name):
        raise ArgumentError(
            f"{name!r} is no name for a secret", hint="capital letters, digits and _, at most 100, as in API_TOKEN"
        )
    if name in _RESERVED:
        raise ArgumentError(f"a secret cannot be called {name}", hint=f"{PREFIX}{name} is a setting of its own")
    return name


def keyring(settings: Settings) -> Keyring:
    """The keys that are configured, as they are now: those in a file may be changed while workers run.

    Raises:
        ConfigError: the file cannot be read, or holds something else.
    """
    file = settings.secret_keys_file
    if file is None:
        return Keyring(settings.secret_keys)
    try:
        lines = file.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"the keys for secrets in {file} cannot be read: {type(error).__name__}", hint="see PGFLOW_SECRET_KEYS_FILE"
        ) from None
    return Keyring(line for line in map(str.strip, lines) if line and not line.startswith("#"))


def from_environment(name: str) -> str | None:
    """The secret as the environment or `.env` has it."""
    return os.environ.get(PREFIX + name) or env_file().get(PREFIX + name) or None


def in_environment() -> list[str]:
    """The names of all secrets that the environment and `.env` have."""
    names = {name.removeprefix(PREFIX) for name in (*os.environ, *env_file()) if name.startswith(PREFIX)}
    return sorted(name for name in names - _RESERVED if _NAME.fullmatch(name) and from_environment(name))


@dataclass(frozen=True, slots=True)
class _Held:
    """What was found under a name, and when."""

    value: str | None
    problem: PgflowError | None
    at: float

    def good(self, seconds: float) -> bool:
        return clock() - self.at < (seconds if self.problem is None else min(seconds, RECHECK))

    def give(self) -> str:
        if self.problem is not None:
            raise type(self.problem)(self.problem.message, hint=self.problem.hint)
        assert self.value is not None
        return self.value


class Shelf:
    """What was read from the table, opened."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.held: dict[str, _Held] = {}

    def put(self, names: Iterable[str], found: Iterable[Stored]) -> None:
        """Keep what the table has, and has not, of these names."""
        stored = {one.name: one for one in found}
        ring = keyring(self._settings) if stored else Keyring([])
        now = clock()
        for name in names:
            self.held[name] = self._opened(name, stored.get(name), ring, now)

    def _opened(self, name: str, stored: Stored | None, ring: Keyring, now: float) -> _Held:
        schema = self._settings.schema_name
        if stored is None:
            problem = NotFound(
                f"there is no secret {name}: neither is {PREFIX}{name} set in this process's environment, nor has the "
                f"table {schema}.secret a row of that name",
                hint=f"`pgflow secret set {name}` stores it",
            )
            return _Held(None, problem, now)
        try:
            value = ring.open(stored.sealed, schema, name)
        except SealBroken as error:
            return _Held(None, error, now)
        redaction.reveal(name, value)
        return _Held(value, None, now)


def given(name: str) -> str | None:
    """What the environment has, revealed."""
    value = from_environment(check_name(name))
    if value is not None:
        redaction.reveal(name, value)
    return value


class Vault:
    """Secrets for async code that has a way to the database, such as the engine's own tasks.

    Args:
        settings: the settings in force.
        run: runs a verb of the engine.
    """

    def __init__(self, settings: Settings, run: Callable[[Call[list[Stored]]], Awaitable[list[Stored]]]) -> None:
        self._shelf = Shelf(settings)
        self._run = run

    async def reveal(self, names: Iterable[str]) -> dict[str, str]:
        """These secrets in clear, by name; from now on they are redacted.

        Raises:
            ArgumentError: one cannot be called so.
            NotFound: one is neither in the environment nor in the table.
            SealBroken: one cannot be opened. ConfigError: the keys cannot be read.
            DatabaseUnavailable: the table cannot be read.

        Example:
            >>> values = await vault.reveal(["API_TOKEN"])                   # doctest: +SKIP
        """
        wanted = {name: given(name) for name in names}
        lacking = [name for name, value in wanted.items() if value is None]
        held = self._shelf.held
        unknown = [name for name in lacking if name not in held or not held[name].good(FRESH)]
        if unknown:
            self._shelf.put(unknown, await self._run(secrets.read(unknown)))
        return {name: held[name].give() if value is None else value for name, value in wanted.items()}


class Answering(Protocol):
    """What answers `pgflow.secret` in a worker."""

    def secret(self, name: str) -> str:
        """The secret in clear, at once."""


VAULT: ContextVar[Answering | None] = ContextVar("pgflow_vault", default=None)
"""Of the worker that code runs in. Threads that a handler starts by itself do not inherit it: they have `_newest`."""
_newest: list[Answering] = []


def serve(vault: Answering) -> None:
    """Make this the vault of all code that the current context starts, and of threads that have none."""
    VAULT.set(vault)
    _newest[:] = [vault]


def leave(vault: Answering) -> None:
    """Undo `serve` for threads."""
    if vault in _newest:
        _newest.clear()


def secret(name: str) -> str:
    """A secret in clear, in a task or a step: from the worker's environment (`PGFLOW_SECRET_<NAME>`), else from the
    database. From then on this process takes it out of its errors, logs and notes, and refuses to store it.

    Ask for it where it is used: one that is set anew is seen within 30 seconds. Outside a worker, as in tests, there
    is only the environment.

    Args:
        name: capital letters, digits and `_`.

    Raises:
        NotFound: there is no such secret.
        SealBroken: it cannot be opened: its key is not at hand, or somebody changed what is stored.
        DatabaseUnavailable: the database does not answer, and it was not read before.

    Example:
        >>> headers = {"Authorization": f"Bearer {pgflow.secret('API_TOKEN')}"}  # doctest: +SKIP
    """
    vault = VAULT.get() or (_newest[0] if _newest else None)
    if vault is not None:
        return vault.secret(name)
    value = given(name)
    if value is None:
        raise NotFound(
            f"there is no secret {name}: {PREFIX}{name} is not set in this process's environment, and the database is "
            "asked in workers only",
            hint="ask for it in a task or a step, or set the variable",
        )
    return value
