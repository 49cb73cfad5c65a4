"""`Workflows` and `AsyncWorkflows`: workflows that are published, and graphs on their way there.

They work on a client of their colour, in the client's own transaction if it is on a connection.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple, TypeVar

import psycopg

from pgflow import duration
from pgflow.codec import DEFAULT_PAYLOAD_LIMIT
from pgflow.db.call import Call
from pgflow.db.failures import CONFLICT_TRIES, is_conflict, translated
from pgflow.engine import definitions
from pgflow.engine.definitions import Draft, Listed, Published
from pgflow.errors import ArgumentError
from pgflow.graph.differences import Differences, differences
from pgflow.graph.document import Definition, Problem
from pgflow.graph.schema import schema
from pgflow.graph.writing import to_yaml
from pgflow.model import Priority
from pgflow.nodes import publishing_verbs as verbs
from pgflow.nodes.kit import node_types
from pgflow.nodes.publishing_verbs import Conflict, Given, InvalidDefinition, Publication
from pgflow.sdk.async_client import AsyncClient
from pgflow.sdk.client import Client
from pgflow.sdk.task import Duration
from pgflow.sdk.verbs import Handle, Steps

R = TypeVar("R")

__all__ = [
    "AsyncWorkflows", "Conflict", "Draft", "Given", "InvalidDefinition", "Listed", "Publication", "Published",
    "Verdict", "Workflows",
]  # fmt: skip


class Verdict(NamedTuple):
    """What became of looking at a definition.

    Args:
        definition: it; None: something is wrong.
        problems: what is.
        advice: what is allowed, and probably not meant.
    """

    definition: Definition | None
    problems: list[Problem]
    advice: list[Problem]


def _verdict(given: Given) -> Verdict:
    definition, problems = verbs.examined(given)
    return Verdict(definition, problems, [] if definition is None else verbs.advised(definition))


class Workflows:
    """Workflows that are published: graphs, and what is known of those in code.

    Args:
        client: asks the engine.

    Example:
        >>> with app.client() as client:                                     # doctest: +SKIP
        ...     workflows = Workflows(client)
        ...     workflows.publish({"name": "tidy", "nodes": {"rest": {"type": "delay", "config": {"time": "1h"}}}})
        ...     run = workflows.start("tidy")
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    def validate(self, definition: Given) -> Verdict:
        """Look at a definition: all that is wrong with it, at once. Asks no database."""
        return _verdict(definition)

    def schema(self) -> dict[str, Any]:
        """The JSON Schema of definitions, with the node types there are here."""
        return schema(node_types())

    def publish(self, definition: Given, *, expected: int | None = None) -> Publication:
        """Make a definition the newest version of its workflow, unless the newest says the same; and what its
        `triggers` say what starts it. Runs that have begun go on with the version they follow.

        Args:
            definition: it.
            expected: which version has to be the newest, 0 for none; else whichever is.

        Raises:
            InvalidDefinition: something is wrong with it. It has all problems.
            Conflict: another version is the newest.
        """
        return self._together(lambda actor: verbs.publish(definition, expected, actor=actor))

    def list(self, *, limit: int = 100, after: str = "") -> Sequence[Listed]:
        """The workflows by name: their newest versions, and their drafts.

        Args:
            limit: how many at most.
            after: only names after this one: the next page.
        """
        return self._drive(_one(definitions.listed(limit, after)))

    def get(self, name: str, version: int | None = None) -> Published:
        """A version of a workflow, the newest unless said, or NotFound."""
        return self._drive(verbs.version(name, version))

    def versions(self, name: str, *, limit: int = 50, before: int | None = None) -> Sequence[Published]:
        """Its versions, the newest first, or NotFound."""
        return self._drive(verbs.versions(name, limit, before))

    def diff(self, name: str, old: int | Given, new: int | Given | None = None) -> Differences:
        """What differs between two versions, or definitions that are no version yet.

        Args:
            name: the workflow.
            old: a version, or a definition.
            new: the same; the newest version unless given.
        """
        return self._drive(_diff(name, old, new))

    def export(self, name: str, version: int | None = None, *, form: Literal["yaml", "json"] = "yaml") -> str:
        """A definition as text, as it was written."""
        return self._drive(_export(name, version, form))

    def start(
        self, name: str, input: Mapping[str, Any] | None = None, *, key: str | None = None,
        tags: Mapping[str, str] | None = None, priority: Priority | int | str | None = None,
        delay: Duration | None = None, at: datetime | None = None, queue: str | None = None,
    ) -> Handle[Any]:  # fmt: skip
        """Start a run. It follows the version that is the newest when it begins.

        Args:
            name: the workflow.
            input: what it is given; what it leaves out has its schema's default.
            key: starting again with this key gives the run that has it.
            tags: words to find the run by, beside the definition's.
            priority: the definition's unless given.
            delay: how long it waits.
            at: the instant it waits for.
            queue: where it waits for a worker; the definition's unless given.

        Raises:
            NotFound: there is no such workflow.
            InputError: the input is not what it takes. It has all problems.
            IdempotencyConflict: the key was used with another input.
        """
        asked = _asked(key, tags, priority, delay, at, queue)
        return self._drive(_start(self._client, name, input, asked))

    def draft(self, name: str) -> Draft:
        """The draft of a workflow, or NotFound."""
        return self._drive(verbs.draft(name))

    def save_draft(
        self, name: str, definition: Given, *, revision: int | None = None, base: int | None = None
    ) -> Draft:  # fmt: skip
        """Store a draft. It need not make sense yet.

        Args:
            name: the workflow.
            definition: as it is.
            revision: which one it has to have now, 0 for none; else whichever it has.
            base: the version it goes back to; of a new draft the newest, unless given.

        Raises:
            Conflict: it has another revision: somebody else saved it meanwhile.
        """
        return self._drive(verbs.save_draft(name, definition, revision, base, actor=self._client._actor))

    def discard_draft(self, name: str, *, revision: int | None = None) -> None:
        """Drop a draft. Raises NotFound, or a Conflict when it has another revision."""
        return self._drive(verbs.discard_draft(name, revision))

    def publish_draft(self, name: str, *, revision: int | None = None, force: bool = False) -> Publication:
        """Publish a draft, and drop it.

        Args:
            name: the workflow.
            revision: which one it has to have; else whichever it has.
            force: also when a version was published since it was begun.

        Raises:
            InvalidDefinition: something is wrong with it.
            Conflict: it has another revision, or a version was published since.
        """
        return self._together(lambda actor: verbs.publish_draft(name, revision, force, actor=actor))

    def _drive(self, steps: Steps[R]) -> R:
        return self._client._drive(steps)

    def _together(self, make: Callable[[str | None], Steps[R]]) -> R:
        """All of it in one transaction, once more when it met another's."""
        client = self._client
        if client._connection is not None:
            with client._connection.transaction():
                return client._drive(make(client._actor))
        for left in range(CONFLICT_TRIES - 1, -1, -1):
            try:
                with translated(), client._require_pool().connection() as connection, connection.transaction():
                    return client.on(connection)._drive(make(client._actor))
            except psycopg.Error as error:
                if not left or not is_conflict(error):
                    raise
        raise AssertionError


class AsyncWorkflows:
    """The same verbs as `Workflows`, awaited, on an `AsyncClient`. What asks no database is not awaited."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    def validate(self, definition: Given) -> Verdict:
        return _verdict(definition)

    def schema(self) -> dict[str, Any]:
        return schema(node_types())

    async def publish(self, definition: Given, *, expected: int | None = None) -> Publication:
        return await self._together(lambda actor: verbs.publish(definition, expected, actor=actor))

    async def list(self, *, limit: int = 100, after: str = "") -> Sequence[Listed]:
        return await self._drive(_one(definitions.listed(limit, after)))

    async def get(self, name: str, version: int | None = None) -> Published:
        return await self._drive(verbs.version(name, version))

    async def versions(self, name: str, *, limit: int = 50, before: int | None = None) -> Sequence[Published]:
        return await self._drive(verbs.versions(name, limit, before))

    async def diff(self, name: str, old: int | Given, new: int | Given | None = None) -> Differences:
        return await self._drive(_diff(name, old, new))

    async def export(self, name: str, version: int | None = None, *, form: Literal["yaml", "json"] = "yaml") -> str:
        return await self._drive(_export(name, version, form))

    async def start(
        self, name: str, input: Mapping[str, Any] | None = None, *, key: str | None = None,
        tags: Mapping[str, str] | None = None, priority: Priority | int | str | None = None,
        delay: Duration | None = None, at: datetime | None = None, queue: str | None = None,
    ) -> Handle[Any]:  # fmt: skip
        asked = _asked(key, tags, priority, delay, at, queue)
        return await self._drive(_start(self._client, name, input, asked))

    async def draft(self, name: str) -> Draft:
        return await self._drive(verbs.draft(name))

    async def save_draft(
        self, name: str, definition: Given, *, revision: int | None = None, base: int | None = None
    ) -> Draft:  # fmt: skip
        return await self._drive(verbs.save_draft(name, definition, revision, base, actor=self._client._actor))

    async def discard_draft(self, name: str, *, revision: int | None = None) -> None:
        return await self._drive(verbs.discard_draft(name, revision))

    async def publish_draft(self, name: str, *, revision: int | None = None, force: bool = False) -> Publication:
        return await self._together(lambda actor: verbs.publish_draft(name, revision, force, actor=actor))

    async def _drive(self, steps: Steps[R]) -> R:
        return await self._client._drive(steps)

    async def _together(self, make: Callable[[str | None], Steps[R]]) -> R:
        client = self._client
        if client._connection is not None:
            async with client._connection.transaction():
                return await client._drive(make(client._actor))
        pool = await client._require_pool()
        for left in range(CONFLICT_TRIES - 1, -1, -1):
            try:
                with translated():
                    async with pool.connection() as connection, connection.transaction():
                        return await client.on(connection)._drive(make(client._actor))
            except psycopg.Error as error:
                if not left or not is_conflict(error):
                    raise
        raise AssertionError


def _one(call: Call[R]) -> Steps[R]:
    return (yield call)  # type: ignore[no-any-return]


def _diff(name: str, old: int | Given, new: int | Given | None) -> Steps[Differences]:
    return differences((yield from _meant(name, old)), (yield from _meant(name, new)))


def _meant(name: str, given: int | Given | None) -> Steps[Definition]:
    if given is None or isinstance(given, int):
        return (yield from verbs.graph(name, given))[0]
    return verbs.sound(given)


def _export(name: str, version: int | None, form: str) -> Steps[str]:
    import json

    _, found = yield from verbs.graph(name, version)
    return (
        to_yaml(found.document) if form == "yaml" else json.dumps(found.document, ensure_ascii=False, indent=2) + "\n"
    )


def _asked(
    key: str | None, tags: Mapping[str, str] | None, priority: Priority | int | str | None, delay: Duration | None,
    at: datetime | None, queue: str | None,
) -> verbs.Asked:  # fmt: skip
    if delay is not None and at is not None:
        raise ArgumentError("delay and at exclude each other")
    return verbs.Asked(key, tags or {}, priority, None if delay is None else duration.parse(delay), at, queue)


def _start(
    client: Client | AsyncClient, name: str, input: Mapping[str, Any] | None, asked: verbs.Asked
) -> Steps[Handle[Any]]:  # fmt: skip
    limit = client._settings.payload_limit or DEFAULT_PAYLOAD_LIMIT
    own = client._connection is None
    return verbs.start(name, input or {}, asked, limit=limit, own=own, actor=client._actor)
