"""What an `agent` node is told."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Annotated, Any, TypeVar

from pydantic import Field, JsonValue, ValidationError, field_validator, model_validator

from pgflow.errors import Fatal
from pgflow.graph.document import Name, Queue, Seconds
from pgflow.graph.inputs import schema_problems
from pgflow.nodes.approval import Names
from pgflow.nodes.base import Config
from pgflow.nodes.http import HttpConfig

ANSWER = "final_result"
"""The tool by which a model gives an answer that has a schema."""
HANDOVER = "transfer_to_"
SEPARATOR = "_"
PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]{0,63})\}")
_UNFIT = re.compile(r"[^A-Za-z0-9_-]")

ToolName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_-]{0,63}$")]
AgentName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Schema = dict[str, Any]
C = TypeVar("C", bound=Config)


def fit(name: str) -> str:
    """A name as models may be given it."""
    return _UNFIT.sub("_", name)[:64]


class Mcp(Config):
    """An MCP server, spoken to by streamable HTTP."""

    url: str = Field(description="Where it is, as in https://tools.example.com/mcp.")
    headers: dict[str, str] = Field(
        default_factory=dict, description="Sent along, as in `Authorization: Bearer ${secrets.TOKEN}`."
    )
    only: list[str] = Field(default_factory=list, description="Only these of its tools; all unless given.")
    timeout: Seconds = Field(default=60.0, description="How long one call may take.")


class Tool(Config):
    """Something that a model may have done: one of `task`, `workflow`, `http`, `mcp` and `agent`."""

    name: ToolName | None = Field(
        default=None,
        description="What the model calls it; made of the task's, workflow's or agent's name unless given. Of an MCP "
        "server, what its tools' names begin with.",
    )
    description: str | None = Field(default=None, max_length=10_000, description="What it does, for the model.")
    parameters: Schema | None = Field(
        default=None,
        description="A JSON Schema of its arguments; of tasks and workflows, what their code or definition says unless "
        "given. An HTTP call takes no others unless it says so, as with `additionalProperties`.",
    )
    task: Name | None = Field(default=None, description="A registered task.")
    workflow: Name | None = Field(default=None, description="A workflow, of code or a graph: a child of this run.")
    http: HttpConfig | None = Field(
        default=None,
        description="An HTTP call, configured like an http node. Arguments go into `{name}` in the path of the URL; "
        "the others into the query, or with POST, PUT and PATCH into a body of JSON.",
        json_schema_extra={"described": "http"},
    )
    mcp: Mcp | None = Field(default=None, description="All tools of an MCP server.")
    agent: AgentName | None = Field(
        default=None, description="One of `agents`: it is given a task in words, and its answer comes back."
    )
    queue: Queue | None = Field(
        default=None, description="Where a task or workflow waits for a worker; its own queue, else the node's."
    )

    @field_validator("parameters")
    @classmethod
    def _a_schema(cls, value: Schema | None) -> Schema | None:
        return _checked(value, "parameters")

    @model_validator(mode="after")
    def _one(self) -> Tool:
        if sum(one is not None for one in (self.task, self.workflow, self.http, self.mcp, self.agent)) != 1:
            raise ValueError("give one of `task`, `workflow`, `http`, `mcp` and `agent`")
        if self.name is None and (self.http is not None or self.mcp is not None):
            raise ValueError("give it a `name`")
        if self.parameters is not None and (self.mcp is not None or self.agent is not None):
            raise ValueError("`parameters` are for tasks, workflows and HTTP calls")
        if self.http is not None:
            self._placed(self.http)
        return self

    def _placed(self, http: HttpConfig) -> None:
        properties = (self.parameters or {}).get("properties", {})
        base, _, rest = http.url.partition("?")
        scheme, _, path = base.partition("://")
        if PLACEHOLDER.search(path.partition("/")[0]) or PLACEHOLDER.search(rest) or PLACEHOLDER.search(scheme):
            raise ValueError("arguments can stand in the path of `http.url` alone; the others go into the query")
        for name in PLACEHOLDER.findall(path):
            if name not in properties:
                raise ValueError(f"`http.url` names {{{name}}}, and `parameters.properties` has no {name!r}")
        if http.body is not None and http.method in WITH_BODY and set(properties) - set(PLACEHOLDER.findall(path)):
            raise ValueError("arguments are sent as the body; leave out `http.body`")

    @property
    def called(self) -> str:
        """What the model calls it."""
        return self.name or fit(self.task or self.workflow or self.agent or "")


WITH_BODY = ("POST", "PUT", "PATCH")


class Voice(Config):
    """What makes one agent another than the next."""

    instructions: str | None = Field(default=None, description="Who it is, and how it is to do its work.")
    tools: list[Tool] = Field(default_factory=list, max_length=100, description="What it may have done.")
    handover: list[AgentName] = Field(
        default_factory=list,
        description="Names in `agents` that it may hand over to: the other one goes on with the conversation, and its "
        "answer is the node's.",
    )

    @model_validator(mode="after")
    def _unique(self) -> Voice:
        names = [*(tool.called for tool in self.tools), *(HANDOVER + name for name in self.handover), ANSWER]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two tools are called {name}; give one another `name`")
        return self


class Helper(Voice):
    """Another agent, to which this one may hand over, or which it may have do things."""

    description: str | None = Field(
        default=None, max_length=10_000, description="What it is good at, for the model that decides."
    )
    model: str | None = Field(default=None, description="Its model; the node's unless given.")
    base_url: str | None = Field(default=None, description="Where its model is; as the node's unless `model` is given.")
    api_key: str | None = Field(
        default=None, description="Its key; the node's unless `model` is given.", json_schema_extra={"secret": True}
    )
    output: Schema | None = Field(
        default=None, description="As a tool: a JSON Schema of its answer; text unless given."
    )

    @field_validator("output")
    @classmethod
    def _a_schema(cls, value: Schema | None) -> Schema | None:
        return _checked(value, "output")


class Budget(Config):
    """What may be spent. It is looked at before each call of a model."""

    tokens: int | None = Field(default=None, ge=1, description="Tokens, of what is sent and what is answered.")
    cost: float | None = Field(default=None, gt=0, description="US dollars.")
    requests: int | None = Field(default=None, ge=1, description="Calls of models.")


class Prices(Config):
    """What a model costs, in US dollars for a million tokens."""

    input: float = Field(ge=0, description="What is sent.")
    output: float = Field(ge=0, description="What is answered.")
    cached: float | None = Field(
        default=None, ge=0, description="What is sent and the provider had already; as `input` unless given."
    )


class ToolApproval(Config):
    """Which tools are called only when somebody has approved of it."""

    tools: list[str] = Field(min_length=1, description="Their names, as the model calls them; `*` stands for anything.")
    assignees: Names = Field(default_factory=list, description="Who may decide; anybody unless given.")
    timeout: Seconds | None = Field(
        default=None, description="After which nobody has approved: the model is told so; never unless given."
    )

    def covers(self, tool: str) -> bool:
        """Whether this tool is one of them."""
        return any(fnmatchcase(tool, pattern) for pattern in self.tools)


class Asked(Config):
    """A model, and what it is asked."""

    model: str = Field(
        description="Provider and model, as in openai:gpt-5-mini or anthropic:claude-sonnet-4-5. `openai-chat:` speaks "
        "chat completions, as most servers do that are like OpenAI's."
    )
    base_url: str | None = Field(
        default=None,
        description="Another server that speaks like OpenAI's or Anthropic's, as in http://models.internal/v1. Only "
        "public addresses are called unless the operator allows more.",
    )
    api_key: str | None = Field(
        default=None,
        description="The key, as in ${secrets.OPENAI_API_KEY}. Without one and without `base_url`, what the worker's "
        "environment has for that provider.",
        json_schema_extra={"secret": True},
    )
    prompt: JsonValue = Field(description="What it is asked: text, or anything else, sent as JSON.")


class AgentConfig(Voice, Asked):
    """A model, what it is asked, what it may have done, and what that may cost."""

    output: Schema | None = Field(
        default=None, description="A JSON Schema (of an object) that the answer has to fit; text unless given."
    )
    output_retries: int = Field(
        default=2, ge=0, le=20, description="How often it is asked again when the answer does not fit."
    )
    agents: dict[AgentName, Helper] = Field(
        default_factory=dict,
        description="Other agents by name, for `handover` and for tools: each with `instructions`, `tools`, "
        "`handover`, a `description` for the model that decides, and if they are others `model`, `base_url` and "
        "`api_key`; as a tool, with `output`.",
    )
    approval: ToolApproval | None = Field(
        default=None, description="Tools that people have to approve of, call by call."
    )
    max_requests: int = Field(
        default=50, ge=1, le=1000, description="Calls of models that this agent may make, those of its agents apart."
    )
    budget: Budget | None = Field(
        default=None, description="What this node may spend, all agents that it has included."
    )
    run_budget: Budget | None = Field(
        default=None, description="What all agents of the run may have spent together when this one calls a model."
    )
    prices: dict[str, Prices] = Field(
        default_factory=dict, description="Prices by model, as `model` names it; the known ones unless given."
    )
    settings: dict[str, JsonValue] = Field(
        default_factory=dict, description="More for the model, as in {temperature: 0, max_tokens: 2000}."
    )
    stream: bool = Field(default=False, description="Have answers streamed, which some servers need for long ones.")
    request_timeout: Seconds = Field(default=120.0, description="How long one call of a model may take.")

    @field_validator("output")
    @classmethod
    def _a_schema(cls, value: Schema | None) -> Schema | None:
        return _checked(value, "output")

    @model_validator(mode="after")
    def _known(self) -> AgentConfig:
        for where, name in self._named():
            if name not in self.agents:
                raise ValueError(f"{where} names {name!r}, and `agents` has {', '.join(self.agents) or 'none'}")
        return self

    def _named(self) -> Iterator[tuple[str, str]]:
        voices: Mapping[str, Voice] = {"": self, **{f"agents.{name}.": helper for name, helper in self.agents.items()}}
        for where, voice in voices.items():
            yield from ((f"{where}handover", name) for name in voice.handover)
            yield from ((f"{where}tools", tool.agent) for tool in voice.tools if tool.agent is not None)


def read(model: type[C], config: Mapping[str, Any]) -> C:
    """A config, checked.

    Raises:
        Fatal: it is wrong. What stands in it is not repeated: some of it is secret.
    """
    try:
        return model.model_validate(config)
    except ValidationError as error:
        said = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors(include_input=False))
        raise Fatal(said) from None


def _checked(value: Schema | None, where: str) -> Schema | None:
    if value and (found := schema_problems(value, where)):
        raise ValueError(f"{found[0].path}: {found[0].message}")
    return value
