"""Workflows: published, looked at, compared, triggered. Those in code are there once a worker has had their code."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Annotated, Any, Literal

from pydantic import Field

from pgflow.api import revisions
from pgflow.api.asked import Asked, Change
from pgflow.api.backend import Backend
from pgflow.api.models import Fault, Instant, Limit, Model, Name, Page, Query, row
from pgflow.api.operation import Reply, operation
from pgflow.api.problems import ProblemError
from pgflow.api.start_request import Started, StartOptions, StartRun
from pgflow.api.starting import key_of, start
from pgflow.api.targets import unlimited
from pgflow.engine import definitions, triggers
from pgflow.engine.definitions import Published
from pgflow.graph.document import Problem as Wrong
from pgflow.nodes import publishing_verbs as verbs
from pgflow.nodes.publishing import AsyncWorkflows

Document = Annotated[dict[str, Any], Field(description="A definition, as `docs/graphs.md` describes it.")]
Version = Annotated[int, Field(ge=1, le=2**31 - 1)]


class Workflow(Model):
    """A workflow: its newest version, its draft, or both."""

    name: str
    version: int | None = Field(description="The newest; null: there is a draft only.")
    kind: Literal["code", "graph"] | None
    title: str | None
    nodes: int | None = Field(description="How many a graph has.")
    created_at: Instant | None = Field(description="When the version was published.")
    actor: str | None
    draft: int | None = Field(description="The revision of its draft.")


class WorkflowVersion(Model):
    """A version of a workflow."""

    name: str
    version: int
    kind: Literal["code", "graph"]
    created_at: Instant
    actor: str | None


class WholeVersion(WorkflowVersion):
    """With its definition."""

    document: dict[str, Any] = Field(description="Of a graph its definition; of code what is known of it.")


class WorkflowGraph(Model):
    """Nodes and edges."""

    name: str
    version: int
    nodes: dict[str, Any]
    edges: list[Any]


class PublishedWorkflow(Model):
    """What publishing did."""

    name: str
    version: int = Field(description="The newest.")
    done: Literal["created", "unchanged"]
    triggers: dict[str, str] = Field(description="What became of what starts it, by name.")


class Verdict(Model):
    """What is to be said of a definition."""

    valid: bool
    problems: list[Fault]
    advice: list[Fault]


class WorkflowQuery(Query):
    """Which workflows."""

    after: Name | None = Field(default=None, description="`next` of the page before.")
    limit: Limit = 50


class VersionsQuery(Query):
    """Which versions."""

    after: Version | None = Field(default=None, description="`next` of the page before.")
    limit: Limit = 50


class DiffQuery(Query):
    """Which two."""

    old: Version
    new: Version | None = Field(default=None, description="The newest unless given.")


IF_MATCH = {"If-Match": 'The newest version has to be this one, as in "3"; "0": there must be none.'}


class Workflows:
    """`/api/v1/workflows`."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._workflows = AsyncWorkflows(backend.client)

    @operation("List workflows")
    async def on_get(self, asked: Asked, query: WorkflowQuery) -> Page[Workflow]:
        """By name. A page may hold fewer than asked for while there is a next one."""
        found = await self._backend.run(definitions.listed(query.limit, query.after or ""))
        following = found[-1].name if len(found) == query.limit else None
        return Page(items=[row(Workflow, one) for one in found if asked.reaches(workflow=one.name)], next=following)

    @operation(
        "Publish a workflow", status=201, statuses={200: "The newest version says the same."},
        changes="workflow.publish", problems=("precondition_failed",), headers=IF_MATCH,
    )  # fmt: skip
    async def on_post(self, change: Change, body: Document) -> Reply[PublishedWorkflow]:
        """A graph, as the newest version of the workflow that it names. Runs that have begun go on with theirs."""
        name = body.get("name")
        change.require(workflow=name if isinstance(name, str) else "")
        expected = if_match(change)
        if expected is not None and isinstance(name, str):
            before = await change.run(definitions.newest(name))
            if (before.version if before else 0) != expected:
                raise ProblemError("precondition_failed", f"{name} is at version {before.version if before else 0}")
        done = await change.drive(verbs.publish(body, expected, actor=change.actor))
        await check_listening(change, done.triggers)
        change.tell(f"workflow:{done.name}", after={"version": done.version, "triggers": dict(done.triggers)})
        if done.done == "unchanged" and not any(what != "unchanged" for what in done.triggers.values()):
            change.nothing_changed()
        headers = {"ETag": etag(done.version), "Location": f"/api/v1/workflows/{done.name}"}
        told = PublishedWorkflow(
            name=done.name, version=done.version, done="created" if done.done == "created" else "unchanged",
            triggers=dict(done.triggers),
        )  # fmt: skip
        return Reply(told, 201 if done.done == "created" else 200, headers)

    @operation("Check a definition", unaudited="nothing is stored")
    async def on_post_validate(self, asked: Asked, body: Document) -> Verdict:
        """All that is wrong with it at once, and what is probably not meant."""
        verdict = self._workflows.validate(body)
        return Verdict(
            valid=verdict.definition is not None, problems=faults(verdict.problems), advice=faults(verdict.advice)
        )

    @operation("The JSON Schema of definitions", tagged="content")
    async def on_get_schema(self, asked: Asked) -> dict[str, Any]:
        """With the node types that there are."""
        return self._workflows.schema()

    @operation("Look at a workflow", tagged="revision")
    async def on_get_one(self, asked: Asked, name: Name) -> Reply[WholeVersion]:
        """Its newest version."""
        asked.require(workflow=name)
        return _whole(name, await self._backend.drive(verbs.version(name, None)))

    @operation("The versions of a workflow")
    async def on_get_versions(self, asked: Asked, name: Name, query: VersionsQuery) -> Page[WorkflowVersion]:
        """Newest first."""
        asked.require(workflow=name)
        found = await self._backend.drive(verbs.versions(name, query.limit, query.after))
        following = str(found[-1].version) if len(found) == query.limit else None
        return Page(items=[row(WorkflowVersion, {"name": name} | one._asdict()) for one in found], next=following)

    @operation("Look at a version of a workflow", tagged="revision")
    async def on_get_version(self, asked: Asked, name: Name, version: Version) -> Reply[WholeVersion]:
        """As it was written."""
        asked.require(workflow=name)
        return _whole(name, await self._backend.drive(verbs.version(name, version)))

    @operation("What differs between two versions")
    async def on_get_diff(self, asked: Asked, name: Name, query: DiffQuery) -> dict[str, Any]:
        """Of a graph."""
        asked.require(workflow=name)
        return (await self._workflows.diff(name, query.old, query.new)).to_json()

    @operation("The graph of a workflow", tagged="content")
    async def on_get_graph(self, asked: Asked, name: Name) -> WorkflowGraph:
        """Its newest version with everything said: what was left out in it has its default."""
        asked.require(workflow=name)
        definition, found = await self._backend.drive(verbs.graph(name, None))
        told = definition.model_dump(mode="json", by_alias=True)
        return WorkflowGraph(name=name, version=found.version, nodes=told["nodes"], edges=told["edges"])

    @operation("A workflow as YAML", media_type="application/yaml", tagged="content")
    async def on_get_yaml(self, asked: Asked, name: Name) -> str:
        """Its newest version in YAML, as it is written to a file."""
        asked.require(workflow=name)
        return await self._workflows.export(name)

    @operation(
        "Start a run of a workflow", status=201, statuses={200: "The key was taken: this is the run that has it."},
        changes="run.start", problems=("key_reused",), optional_body=True, held="held",
        headers={"Idempotency-Key": "Starts at most one: asking again with the key gives the first one."},
    )  # fmt: skip
    async def on_post_trigger(self, change: Change, name: Name, body: StartOptions) -> Reply[Started]:
        """Of one that is published or registered; any other is not found."""
        change.require(workflow=name)
        if name not in self._backend.tasks:
            await change.drive(verbs.version(name, None))
        return await start(change, self._backend.tasks, StartRun(name=name, **dict(body)))

    def held(self, asked: Asked, name: str, body: StartOptions) -> AbstractAsyncContextManager[None]:
        """The key, if there is one."""
        return self._backend.held(name, key_of(asked, body))


async def check_listening(change: Change, done: Mapping[str, str]) -> None:
    """Raise `forbidden` if who is limited has just made a definition listen to events; what listened before may stay.

    Args:
        change: that published it; what it has done is undone.
        done: what became of the triggers, by name.
    """
    made = [name for name, what in done.items() if what in {"created", "changed"}]
    if change.scoped and made:
        for one in await change.run(triggers.triggers(made, "event")):
            unlimited(change, f"the trigger {one.name}")


def faults(problems: list[Wrong]) -> list[Fault]:
    """As problem documents tell them."""
    return [Fault(path=one.path or "$", message=one.message, hint=one.hint or None) for one in problems]


def etag(version: int) -> str:
    """A version as a header has it."""
    return f'"{version}"'


def if_match(asked: Asked) -> int | None:
    """The version that is meant; None: whichever."""
    given = asked.req.get_header("If-Match")
    if given is None or given.strip() == "*":
        return None
    text = revisions.revision(given.strip().removeprefix("W/"))
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise ProblemError("precondition_failed", "If-Match is no version of this")
    return int(text)


def _whole(name: str, found: Published) -> Reply[WholeVersion]:
    return Reply(row(WholeVersion, {"name": name} | found._asdict()), headers={"ETag": etag(found.version)})
