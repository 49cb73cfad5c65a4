"""What a definition is: nodes, edges, and what a run is given and gives."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from pgflow import duration
from pgflow.backoff import MOST_ATTEMPTS, RetryPolicy
from pgflow.errors import ArgumentError

MOST_NODES = 5_000
MOST_EDGES = 20_000

_NODE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")


class Problem(NamedTuple):
    """Something that is wrong with a definition.

    Args:
        path: where, as in `nodes.fetch.config.url`.
        message: what.
        hint: what to do about it.
    """

    path: str
    message: str
    hint: str | None = None

    def __str__(self) -> str:
        said = f"{self.path}: {self.message}" if self.path else self.message
        return said if self.hint is None else f"{said}\n  -> {self.hint}"


class TooBig(ArgumentError):
    """A definition has more nodes or edges than may be."""


class Rule(StrEnum):
    """When a node begins, once each of its incoming edges is decided."""

    ALL_SUCCESS = "all_success"
    """Every edge was taken."""
    ALL_DONE = "all_done"
    """Whatever became of them."""
    ONE_SUCCESS = "one_success"
    """At least one was taken."""
    NONE_FAILED = "none_failed"
    """No node upstream failed, nor was skipped because of a failure."""
    ALL_FAILED = "all_failed"
    """Every node upstream failed, or was skipped because of a failure."""


class OnFailure(StrEnum):
    """What becomes of a run when a node has failed and no edge is there for that."""

    CONTINUE = "continue"
    """All that does not depend on it still runs; then the run fails."""
    STOP = "stop"
    """Nothing more begins, what runs is cancelled, and the run fails."""


def _node_name(name: str) -> str:
    if not _NODE.fullmatch(name):
        raise ValueError("a node's name is letters, digits and _, not beginning with a digit, at most 100")
    return name


def _others(name: str) -> str:
    if name.startswith("pgflow."):  # these believe their input: a definition could say there that somebody else asks
        raise ValueError("what begins with pgflow. is the engine's own, which no definition names")
    return name


def _seconds(value: object) -> object:
    if value is None or isinstance(value, bool):
        return value
    try:
        return duration.parse(value)  # type: ignore[arg-type]
    except ArgumentError as error:
        raise ValueError(error.message) from None


NodeName = Annotated[str, AfterValidator(_node_name)]
Seconds = Annotated[float, BeforeValidator(_seconds), Field(gt=0, json_schema_extra={"format": "duration"})]
"""A duration: seconds, or text such as `30s` or `2d`."""
Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.:-]{0,199}$"), AfterValidator(_others)]
"""Of a task or a workflow."""
Queue = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.:-]{0,99}$")]
Priority = Literal["critical", "high", "normal", "low"]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, defer_build=True)


class Retry(_Model):
    """How often a node is tried."""

    max_attempts: int = Field(default=5, ge=1, le=MOST_ATTEMPTS, description="Attempts in all, the first included.")
    backoff: Literal["fixed", "linear", "exponential"] = Field(default="exponential", description="How delays grow.")
    base: Seconds = Field(default=1.0, description="The first delay.")
    cap: Seconds = Field(default=300.0, description="No delay is longer.")
    jitter: bool = Field(default=True, description="Draw each delay evenly from 0 to what it would be.")

    @model_validator(mode="after")
    def _grows(self) -> Retry:
        if "cap" in self.model_fields_set and self.cap < self.base:
            raise ValueError(f"cap ({self.cap:g} s) is below base ({self.base:g} s)")
        return self

    def policy(self) -> RetryPolicy:
        """The same as the engine has it; without a cap of its own no delay is shorter than the first."""
        return RetryPolicy(self.max_attempts, self.backoff, self.base, max(self.cap, self.base), self.jitter)


class Node(_Model):
    """One thing that is done in a run."""

    type: str = Field(description="Its node type, such as http.")
    config: dict[str, Any] = Field(default_factory=dict, description="What its type asks for.")
    title: str | None = Field(default=None, max_length=200, description="What people call it.")
    description: str | None = Field(default=None, max_length=10_000)
    trigger_rule: Rule = Field(default=Rule.ALL_SUCCESS, description="When it begins.")
    retry: Retry | None = Field(default=None, description="How often it is tried; its type's way unless given.")
    timeout: Seconds | None = Field(default=None, description="How long one attempt may take.")
    queue: Queue | None = Field(default=None, description="Where it waits for a worker; the definition's unless given.")
    priority: Priority | None = Field(default=None, description="The definition's unless given.")
    position: dict[str, float] | None = Field(default=None, description="Where the canvas draws it.")


class Edge(_Model):
    """An arrow: what may begin when something has ended."""

    source: NodeName = Field(alias="from", description="The node that ends.")
    target: NodeName = Field(alias="to", description="The node that may begin.")
    branch: str | None = Field(default=None, description="Taken only when the source chose this branch.")
    when: str | None = Field(default=None, description="Taken only when this expression is true.")
    on_state: Literal["completed", "failed"] = Field(default="completed", description="Taken when it ended so.")


class Definition(_Model):
    """A workflow as a graph."""

    name: Name = Field(description="The workflow's name.")
    title: str | None = Field(default=None, max_length=200)
    description: str | None = Field(default=None, max_length=10_000)
    input: dict[str, Any] = Field(default_factory=dict, description="A JSON Schema of what a run is given.")
    nodes: dict[NodeName, Node] = Field(description="What is done, by name.")
    edges: list[Edge] = Field(default_factory=list, description="What follows what.")
    output: Any = Field(default=None, description="What a run gives; may hold ${nodes.x.output}.")
    triggers: list[dict[str, Any]] = Field(default_factory=list, description="What starts it by itself.")
    timeout: Seconds | None = Field(default=None, description="How long a run may take in all.")
    on_failure: OnFailure = Field(default=OnFailure.CONTINUE, description="What a failure means for the rest.")
    concurrency: int | None = Field(default=None, ge=1, description="How many nodes at once.")
    queue: Queue = Field(default="default", description="Where its nodes wait for a worker.")
    priority: Priority = "normal"
    tags: dict[str, str] = Field(default_factory=dict, description="Words to find its runs by.")
