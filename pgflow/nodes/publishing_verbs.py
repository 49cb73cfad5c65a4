"""The verbs about workflows that are published, once for both colours, like `pgflow.sdk.verbs`.

Those that write take several statements, and are meant for one transaction: `pgflow.nodes.publishing` sees to it.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

from pgflow.codec import DEFAULT_PAYLOAD_LIMIT, encode
from pgflow.engine import definitions
from pgflow.engine.definitions import Draft, Published
from pgflow.engine.enqueue import Request, Spec
from pgflow.errors import ArgumentError, NotFound
from pgflow.graph import meaning
from pgflow.graph.advice import advice
from pgflow.graph.checks import MOST_BYTES, check
from pgflow.graph.document import Definition, Problem
from pgflow.graph.inputs import accepted
from pgflow.model import Priority
from pgflow.nodes import publishing_triggers
from pgflow.nodes.kit import node_types
from pgflow.sdk.task import check_priority, is_name
from pgflow.sdk.verbs import Handle, Steps, enqueue_one

MOST_ROUNDS = 20
"""How often publishing is tried when others publish the same in the very same moment."""


@runtime_checkable
class Written(Protocol):
    """What can say itself as a document, such as a `pgflow.graph.builder.Graph`."""

    def document(self) -> dict[str, Any]:
        """As JSON."""
        ...


Given = Mapping[str, Any] | Definition | Written
"""A definition as JSON or YAML gave it, or made in Python."""


class InvalidDefinition(ArgumentError):
    """A definition cannot be published as it is.

    Attributes:
        problems: all that is wrong with it.
    """

    def __init__(self, name: object, problems: list[Problem]) -> None:
        called = f"the definition {name}" if isinstance(name, str) and is_name(name) else "the definition"
        count = "something is wrong" if len(problems) == 1 else f"{len(problems)} things are wrong"
        super().__init__("\n".join((f"{called}: {count}:", *map(str, problems))))
        self.problems = problems


class Conflict(ArgumentError):
    """Somebody else has changed it meanwhile: the draft has another revision, or a version was published since."""


@dataclass(frozen=True, slots=True)
class Publication:
    """What publishing did.

    Attributes:
        name: the workflow.
        version: its newest version.
        done: `created`, or `unchanged`: the newest version says the same.
        triggers: what became of what starts it, by name: created, changed, unchanged, paused, removed.
    """

    name: str
    version: int
    done: str
    triggers: Mapping[str, str] = field(default_factory=dict)


def document_of(given: Given) -> Any:
    """As JSON."""
    if isinstance(given, Definition):
        return given.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return given.document() if isinstance(given, Written) else given


def examined(given: Given) -> tuple[Definition | None, list[Problem]]:
    """The definition, if nothing is wrong with it, and what is."""
    document = document_of(given)
    return check(document, node_types(), publishing_triggers.judge(document) if isinstance(document, Mapping) else None)


def advised(definition: Definition) -> list[Problem]:
    """What is allowed, and probably not meant."""
    return advice(definition, node_types())


def sound(given: Given) -> Definition:
    """The definition, or an InvalidDefinition."""
    definition, problems = examined(given)
    if definition is None:
        document = document_of(given)
        raise InvalidDefinition(document.get("name") if isinstance(document, Mapping) else None, problems)
    return definition


def publish(given: Given, expected: int | None, *, actor: str | None) -> Steps[Publication]:
    """Make it the newest version, with what starts it."""
    definition = sound(given)
    name, document = definition.name, document_of(given)
    for _ in range(MOST_ROUNDS):
        before: Published | None = yield definitions.newest(name)
        if before is not None and before.kind == "code":
            raise ArgumentError(f"{name} is a workflow in code", hint="give the graph a name of its own")
        _check_expected(name, expected, before.version if before else 0)
        written = meaning.placed(document, before.document if before else None)
        checksum = meaning.checksum(Definition.model_validate(written))
        done: definitions.Attempt = yield definitions.publish(
            name, checksum, encode(written, limit=MOST_BYTES), expected=before.version if before else 0, actor=actor
        )
        if done.version is not None or done.same:
            triggers = yield from publishing_triggers.keep(definition, actor=actor)
            if done.version is not None:
                return Publication(name, done.version, "created", triggers)
            assert done.before is not None
            return Publication(name, done.before, "unchanged", triggers)
    raise Conflict(f"others publish {name} all the time", hint="try again")


def _check_expected(name: str, expected: int | None, found: int) -> None:
    if expected is not None and expected != found:
        there = f"is at version {found}" if found else "is not published"
        raise Conflict(
            f"{name} {there}, and version {expected} was expected", hint="look at what changed: `pgflow workflow diff`"
        )


def version(name: str, number: int | None) -> Steps[Published]:
    """One version, or the newest; NotFound."""
    found: Published | None = yield definitions.newest(name) if number is None else definitions.version(name, number)
    if found is None:
        if number is not None:
            newest: Published | None = yield definitions.newest(name)
            if newest is not None:
                raise NotFound(f"{name} has no version {number}", hint=f"the newest is {newest.version}")
        raise (yield from _not_found(name))
    return found


def _not_found(name: str) -> Steps[NotFound]:
    known: list[definitions.Listed] = yield definitions.listed(500)
    near = difflib.get_close_matches(name, [one.name for one in known if one.version is not None], 1)
    return NotFound(
        f"there is no workflow {name}", hint=f"did you mean {near[0]}?" if near else "see `pgflow workflow list`"
    )


def graph(name: str, number: int | None) -> Steps[tuple[Definition, Published]]:
    """One version of a graph, or the newest."""
    found = yield from version(name, number)
    if found.kind != "graph":
        raise ArgumentError(f"{name} is a workflow in code: it has no definition")
    return Definition.model_validate(found.document), found


def versions(name: str, limit: int, before: int | None) -> Steps[list[Published]]:
    """Its versions, or NotFound."""
    found: list[Published] = yield definitions.versions(name, limit, before)
    if not found and before is None:
        raise (yield from _not_found(name))
    return found


@dataclass(frozen=True, slots=True)
class Asked:
    """How a run is to be started."""

    key: str | None
    tags: Mapping[str, str]
    priority: Priority | int | str | None
    delay: float | None
    at: datetime | None
    queue: str | None
    hold: float | None = None


def start(
    name: str, given: Mapping[str, Any], asked: Asked, *, limit: int, own: bool, actor: str | None
) -> Steps[Handle[Any]]:  # fmt: skip
    """Start a run; it follows the version that is the newest when it starts."""
    found = yield from version(name, None)
    return (
        yield from enqueue_one(
            request(name, found.document, given, asked, limit=limit), actor=actor, own_transaction=own
        )
    )  # fmt: skip


def request(name: str, document: Mapping[str, Any], given: Mapping[str, Any], asked: Asked, *, limit: int) -> Request:
    """What is enqueued to start a run: the input checked, and what is not said as the definition has it.

    Args:
        name: the workflow.
        document: its newest version.
        given: the input.
        asked: how it is to be started.
        limit: bytes that the input may have; 0: as many as usual.
    """
    schema = document.get("input") or {}
    input = accepted(schema, given, name) if schema else dict(given)
    priority = asked.priority
    if priority is None:
        priority = Priority[str(document.get("priority", "normal")).upper()]
    tags = {**(document.get("tags") or {}), **asked.tags}
    queue = asked.queue or document.get("queue") or "default"
    spec = Spec(name, queue, int(check_priority(priority, name)), hold=asked.hold)
    return Request(
        spec, encode(input, limit=limit or DEFAULT_PAYLOAD_LIMIT), asked.key, asked.delay, asked.at,
        encode(tags) if tags else None,
    )  # fmt: skip


def draft(name: str) -> Steps[Draft]:
    """The draft, or NotFound."""
    found: Draft | None = yield definitions.draft(name)
    if found is None:
        raise NotFound(f"there is no draft of {name}", hint="see `pgflow workflow list`")
    return found


def save_draft(
    name: str, given: Given, revision: int | None, base: int | None, *, actor: str | None
) -> Steps[Draft]:  # fmt: skip
    """Store a draft, or a Conflict."""
    if not is_name(name):
        raise ArgumentError(f"{name!r} is no name for a workflow", hint="letters, digits and _ . : -, at most 200")
    document = document_of(given)
    if not isinstance(document, Mapping):
        raise ArgumentError(f"the draft of {name} is no object")
    stored: Draft | None = yield definitions.save_draft(
        name, encode(document, limit=MOST_BYTES), expected=revision, base=base, actor=actor
    )
    if stored is None:
        raise (yield from _changed(name, revision))
    return stored


def _changed(name: str, revision: int | None) -> Steps[Conflict]:
    found: Draft | None = yield definitions.draft(name)
    if found is None:
        return Conflict(f"there is no draft of {name} any more, and revision {revision} was expected")
    by = f", by {found.actor}" if found.actor else ""
    return Conflict(
        f"the draft of {name} is at revision {found.revision}{by}, and {revision or 'none'} was expected",
        hint="look at it as it is now, and save again with its revision",
    )


def discard_draft(name: str, revision: int | None) -> Steps[None]:
    """Drop a draft, or NotFound or a Conflict."""
    if not (yield definitions.discard_draft(name, expected=revision)):
        if revision is None:
            yield from draft(name)
        raise (yield from _changed(name, revision))


def publish_draft(name: str, revision: int | None, force: bool, *, actor: str | None) -> Steps[Publication]:
    """Publish a draft, and drop it."""
    found = yield from draft(name)
    if revision is not None and revision != found.revision:
        raise (yield from _changed(name, revision))
    called = found.document.get("name")
    if called != name:
        problem = Problem("name", f"this is the draft of {name}, and says {called!r}", "change either")
        raise InvalidDefinition(name, [problem, *examined(found.document)[1]])
    done = yield from publish(found.document, None if force else found.base, actor=actor)
    yield from discard_draft(name, found.revision)
    return done
