"""What a model may have done: how it is described to the model, and how it is done."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any
from urllib.parse import parse_qsl, quote

import orjson

from pgflow.codec import encode
from pgflow.engine import definitions
from pgflow.engine.enqueue import Request, Spec
from pgflow.errors import Fatal, PayloadError
from pgflow.graph import Definition
from pgflow.nodes.agents.config import (
    HANDOVER,
    PLACEHOLDER,
    SEPARATOR,
    WITH_BODY,
    AgentConfig,
    Mcp,
    Tool,
    Voice,
    fit,
    read,
)
from pgflow.nodes.agents.extra import brought
from pgflow.nodes.base import Desk
from pgflow.nodes.children import awaited
from pgflow.nodes.http import Http
from pgflow.nodes.secrets import Given
from pgflow.sdk import operations
from pgflow.sdk.attempt import CELL
from pgflow.sdk.context import Context
from pgflow.sdk.operations import Operation
from pgflow.sdk.step import step
from pgflow.sdk.task import Task

Route = dict[str, Any]
"""Which tool is meant by a call: `{"tool": number}`, with its `name` at an MCP server; or `{"handover": agent}`."""
_ANYTHING: dict[str, Any] = {"type": "object"}
_WORDS = {
    "type": "object",
    "properties": {"task": {"type": "string", "description": "What it is to do, with all that it has to know."}},
    "required": ["task"],
    "additionalProperties": False,
}
_NOTHING: dict[str, Any] = {"type": "object", "properties": {}}
_SAYING_MORE = {
    "additionalProperties", "unevaluatedProperties", "patternProperties", "propertyNames", "dependentSchemas", "$ref",
    "allOf", "anyOf", "oneOf", "if",
}  # fmt: skip
"""With one of these a schema may have arguments that do not stand in its `properties`."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A tool as a model is told of it.

    Args:
        name: what the model calls it.
        description: what it does.
        schema: a JSON Schema of its arguments.
        route: which it is.
    """

    name: str
    description: str | None
    schema: Mapping[str, Any]
    route: Route


class Catalogue:
    """All that an agent may have done, as of now: looked up when a model is about to be asked.

    Args:
        desk: what to look it up with.
        tasks: what this worker has code for.
    """

    def __init__(self, desk: Desk, tasks: Mapping[str, Task[..., Any]]) -> None:
        self._desk, self._tasks = desk, tasks

    async def entries(self, config: AgentConfig, voice: Voice) -> list[Entry]:
        """The tools of one agent.

        Args:
            config: the node's, with secrets in clear.
            voice: the agent.

        Raises:
            Fatal: one is not known here, or two have the same name.
        """
        found: list[Entry] = []
        for number, tool in enumerate(voice.tools):
            found += await self._of(config, number, tool)
        for name in voice.handover:
            said = config.agents[name].description or f"the agent {name}"
            text = f"Hand the conversation over for good to: {said}"
            found.append(Entry(HANDOVER + name, text, _NOTHING, {"handover": name}))
        names = [entry.name for entry in found]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise Fatal(f"two tools are called {', '.join(twice)}; give one another `name`")
        return found

    async def _of(self, config: AgentConfig, number: int, tool: Tool) -> list[Entry]:
        name, route = tool.called, {"tool": number}
        if tool.mcp is not None:
            servers = await brought("servers")
            return [
                Entry(fit(name + SEPARATOR + one.name), one.description, one.schema, {**route, "name": one.name})
                for one in await servers.offers(tool.mcp, self._desk.outbound())
            ]
        if tool.agent is not None:
            return [Entry(name, tool.description or config.agents[tool.agent].description, _WORDS, route)]
        if tool.http is not None:
            said = tool.description or f"{tool.http.method} {tool.http.url.partition('?')[0]}"
            return [Entry(name, said, _closed(tool.parameters or _NOTHING), route)]
        description, schema = await self._known(tool)
        return [Entry(name, tool.description or description, tool.parameters or schema, route)]

    async def _known(self, tool: Tool) -> tuple[str | None, Mapping[str, Any]]:
        """What the code of a task or workflow says of itself, or its definition."""
        name = tool.task or tool.workflow or ""
        task = self._tasks.get(name)
        if task is not None:
            return inspect.getdoc(task.function), task.signature.json_schema()
        stored = await self._desk.client._run(definitions.newest(name))
        if stored is not None and stored.kind == "graph":
            definition = Definition.model_validate(stored.document)
            return definition.description or definition.title, definition.input or _ANYTHING
        if stored is not None:
            return stored.document.get("doc") or None, stored.document.get("input") or _ANYTHING
        if tool.parameters is not None:
            return None, tool.parameters
        raise Fatal(f"nothing is known here of {name}: give its tool `parameters` (a JSON Schema), and a `description`")


class Toolbox:
    """Has tools called: as children of the agent's run, or as steps.

    Args:
        ctx: the agent's workflow.
        desk: what else there is to work with.
        given: the node's config, with its secrets sealed.
    """

    def __init__(self, ctx: Context, desk: Desk, given: Given) -> None:
        self._ctx, self._desk, self._given = ctx, desk, given
        cell = CELL.get()
        assert cell is not None
        assert cell.claimed is not None
        self._queue, self._priority = cell.claimed.queue, cell.claimed.priority

    def operation(
        self, tool: Tool, place: Sequence[str | int], route: Route, args: dict[str, Any], key: str
    ) -> Operation:
        """Have one called, and wait for what it gives.

        Args:
            tool: which.
            place: where in the config it stands.
            route: which of a server's.
            args: what it is called with.
            key: under which that is recorded.
        """
        replay = self._ctx._replay
        if tool.mcp is not None:
            given, name = self._given.part(*place, "mcp"), route["name"]

            async def call() -> Any:
                server = read(Mcp, await given.opened(self._desk.vault.reveal))
                servers = await brought("servers")
                value = await servers.call(server, name, args, self._desk.outbound())
                return recordable(value, "what the tool gave", replay.payload_limit)

            return (yield from operations.step(replay, key, step(call, name="mcp"), (), {}))
        if tool.http is not None:
            sent = filled(self._given.part(*place, "http"), tool, args)
            kind = Http()
            retry = orjson.dumps(kind.retry.policy().to_json())
            spec = Spec(kind.task, self._queue, self._priority, kind.timeout, retry)
            return (yield from awaited(replay, key, lambda: Request(spec, encode(sent.input()))))
        name = tool.task or tool.workflow or ""
        spec = Spec(name, tool.queue or self._queue_of(name), self._priority)
        return (yield from awaited(replay, key, lambda: Request(spec, encode(args))))

    def agent(self, given: Given, key: str) -> Operation:
        """Have another agent do something."""
        cell = CELL.get()
        assert cell is not None
        assert cell.claimed is not None
        spec = Spec(
            cell.claimed.name, self._queue, self._priority, cell.claimed.timeout, orjson.dumps(cell.claimed.retry)
        )
        return (yield from awaited(self._ctx._replay, key, lambda: Request(spec, encode(given.input()))))

    def _queue_of(self, name: str) -> str:
        task = self._ctx._environment.tasks.get(name)
        return task.queue if task is not None and task.queue != "default" else self._queue


def recordable(value: Any, what: str, limit: int) -> Any:
    """A value of a server's as it can be recorded: JSON knows more characters and numbers than a database does.

    Args:
        value: any JSON.
        what: what it is, for a person.
        limit: bytes that it may have.

    Raises:
        Fatal: it cannot be recorded in any form.
    """
    cleaned = _cleaned(value)
    try:
        encode(cleaned, limit=limit)
    except PayloadError as error:
        raise Fatal(f"{what} cannot be recorded: {error.message}") from None
    return cleaned


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        plain = value.replace("\0", "\ufffd")
        return plain if plain.isascii() else plain.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, dict):
        return {_cleaned(key): _cleaned(one) for key, one in value.items()}
    return [_cleaned(one) for one in value] if isinstance(value, list) else value


def filled(given: Given, tool: Tool, args: Mapping[str, Any]) -> Given:
    """The config of an HTTP call with a model's arguments in it. They are only ever data: encoded in the path, the
    query or the body, and never where an expression is looked for; what the author has fixed stays as it is.

    Raises:
        PayloadError: an argument would lead to another resource, or has no place in this call.
    """
    config, places = dict(given.config), given.places
    url = str(config["url"])
    in_path = set(PLACEHOLDER.findall(url))
    config["url"] = PLACEHOLDER.sub(lambda found: _segment(found[1], args), url)
    rest = {name: value for name, value in args.items() if name not in in_path}
    assert tool.http is not None
    if tool.http.method not in WITH_BODY:
        fixed = {name for name, _ in parse_qsl(url.partition("?")[2], keep_blank_values=True)}
        asked = {name: _flat(value) for name, value in rest.items() if name not in fixed}
        config["query"] = {**asked, **(config.get("query") or {})}
    elif rest and config.get("body") is not None:
        raise PayloadError(f"the body is fixed, so there is no place for {', '.join(rest)}", path="arguments")
    elif rest:
        config["body"] = {"json": rest}
        places = [place for place in places if place[0] != "body"]
    return Given(config, places)


def _segment(name: str, args: Mapping[str, Any]) -> str:
    """An argument in the path. Without characters, or as dots, it would take part of the path away."""
    text = _text(args.get(name, ""))
    if text in ("", ".", ".."):
        raise PayloadError("this stands in a path; it can be neither empty nor . nor ..", path=f"arguments.{name}")
    return quote(text, safe="")


def _closed(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """A schema that allows the arguments it declares, and others only if it says so itself."""
    return schema if schema.keys() & _SAYING_MORE else {**schema, "additionalProperties": False}


def _flat(value: Any) -> Any:
    if isinstance(value, list):
        return [_text(one) for one in value]
    return value if value is None or isinstance(value, str | int | float | bool) else _text(value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


INHERITED = (
    "settings", "prices", "stream", "request_timeout", "max_requests", "output_retries", "approval", "budget",
    "run_budget", "agents",
)  # fmt: skip


def delegated(given: Given, name: str, task: str, more: Mapping[str, Any]) -> Given:
    """What another agent is given that is called as a tool: all that the node says, but for what is its own.

    Args:
        given: the node's config.
        name: the other agent.
        task: what it is to do.
        more: what is said beside the config.
    """
    config, helper = given.config, given.config["agents"][name]
    taken = [field for field in (*access(config, helper), *INHERITED) if field in config and field not in helper]
    own = {field: value for field, value in helper.items() if field != "description"}
    made = {**{field: config[field] for field in taken}, **own, "prompt": task}
    return Given(made, list(_places(given, name, taken)), more)


def access(config: Mapping[str, Any], helper: Mapping[str, Any]) -> tuple[str, ...]:
    """Which of the node's fields say where another agent's model is: none but for a model of the same provider."""
    model = helper.get("model")
    if model is not None and str(model).partition(":")[0] != str(config["model"]).partition(":")[0]:
        return ()
    return ("model", "base_url", "api_key") if model is None else ("base_url", "api_key")


def _places(given: Given, name: str, taken: Sequence[str]) -> Iterator[list[str | int]]:
    for place in given.places:
        if place[0] in taken:
            yield place
        if place[:2] == ["agents", name] and len(place) > 2:
            yield place[2:]
