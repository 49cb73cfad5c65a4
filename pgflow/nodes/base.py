"""What a node type is.

There are two kinds. A `Flow` node is done by the run itself, beside all others: it waits, decides, or has children
done; it costs no worker of its own. A `Work` node is done by a worker as a child task of the run, with a queue,
retries, a time-out and a dead letter like every task: whatever talks to the outside is one of these.

A config is rendered before it is handed over: its `${...}` are values. What a node type wants to render itself, such as
what is done for each of many, it names in `later`. References to secrets stay as they are until a worker has the node.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from pgflow.config import Settings
from pgflow.db.call import Call
from pgflow.engine.enqueue import Request
from pgflow.errors import PgflowError
from pgflow.expression import Template
from pgflow.graph.document import Definition, Node, Problem, Retry
from pgflow.graph.shapes import told
from pgflow.sdk.operations import Operation
from pgflow.sdk.replay import Replay

if TYPE_CHECKING:
    from pgflow.nodes.connections import Connections
    from pgflow.nodes.secrets import Given
    from pgflow.outbound.client import Outbound
    from pgflow.sdk.async_client import AsyncClient
    from pgflow.sdk.context import Context
    from pgflow.sdk.secret import Vault


class Config(BaseModel):
    """The base of node types' configs: each field needs a description, for the form and the documentation."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class NoConfig(Config):
    """Nothing to be said."""


C = TypeVar("C", bound=Config)


class NodeType(ABC, Generic[C]):
    """A kind of node. One instance serves all nodes of its kind.

    Attributes:
        name: what a definition calls it.
        title: what people call it.
        description: what it does, in a sentence or two.
        config: the model of its config.
        later: fields of the config that it renders itself.
        takes_secrets: whether its config may name secrets.
        example: a node of this type, as it would stand in a definition: what the documentation shows.
        group: under which heading a palette lists it.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    description: ClassVar[str]
    config: ClassVar[type[Config]] = NoConfig
    later: ClassVar[frozenset[str]] = frozenset()
    takes_secrets: ClassVar[bool] = False
    example: ClassVar[Mapping[str, Any]]
    group: ClassVar[str] = "Flow"

    def problems(self, config: Mapping[str, Any]) -> list[Problem]:
        """What is wrong with a config as it stands in a definition. What an expression will give is not known yet."""
        try:
            self.config.model_validate(config)
        except ValidationError as error:
            return told(error, self.config, config, "", lambda one: _awaits(config, one))
        return []

    def branches(self, config: Mapping[str, Any]) -> Sequence[str] | None:  # noqa: ARG002 (for those that have some)
        """The labels that edges going out may have; None when it does not branch.

        Args:
            config: as it stands in the definition: not rendered, not validated.
        """
        return None

    def branch(self, output: Any) -> str | None:  # noqa: ARG002 (for those that branch)
        """Which branch was chosen, by what it gave."""
        return None


def wanted(config: Mapping[str, Any], field: str, kind: type, what: str) -> list[Problem]:
    """What is wrong with a field that has to hold a value of this kind, or an expression alone that gives one.

    Args:
        config: as it stands in the definition.
        field: which.
        kind: what it has to be.
        what: the same for people, as in `a list`.
    """
    value = config.get(field)
    if value is None or isinstance(value, kind):
        return []
    if not isinstance(value, str) or "${" not in value:
        return [Problem(field, f"this has to be {what}", "an expression stands within ${ and }")]
    try:
        found = [one.text for some in Template(value).expressions.values() for one in some]
    except PgflowError:
        return []  # which is told of the expression itself
    if len(found) == 1 and value == f"${{{found[0]}}}":
        return []
    return [
        Problem(
            field, f"this gives text, where {what} is wanted: something stands around the expression",
            "write all of it within one ${ and }, with nothing around it, no end of a line either",
        )
    ]  # fmt: skip


def _awaits(config: Mapping[str, Any], error: Any) -> bool:
    """Whether this is no error, because nobody knows yet what an expression will give."""
    return error["type"] != "extra_forbidden" and _is_expression(config, error["loc"])


def _is_expression(value: Any, parts: Sequence[str | int]) -> bool:
    """Whether what stands there, or what it stands in, is made by an expression."""
    for part in (*parts, None):
        if isinstance(value, str):
            return "${" in value
        of_list = isinstance(value, list) and isinstance(part, int) and part < len(value)
        if of_list or (isinstance(value, Mapping) and part in value):  # pydantic names alternatives of a union, too
            value = value[part]
    return False


@dataclass(frozen=True, slots=True)
class Scene:
    """What a flow node works with.

    Attributes:
        name: the node. It is also the key it records under; further keys begin with it and `/`.
        node: as it stands in the definition.
        definition: what it is a node of.
        replay: the run's history and journal.
        render: renders anything with what the node may see, and with more names if given.
        request: asks for a child task of that name, with the node's queue, priority, retries and time-out.
        run: runs a verb of the engine, for what is done in a step; it may be done again after a crash.
    """

    name: str
    node: Node
    definition: Definition
    replay: Replay
    render: Callable[..., Any]
    request: Callable[[str, Mapping[str, Any]], Request]
    run: Callable[[Call[Any]], Awaitable[Any]]


def at_once(make: Callable[[], Any]) -> Operation:
    """What takes no time and asks for nothing."""
    yield from ()
    return make()


class Flow(NodeType[C]):
    """A node that the run does itself."""

    @abstractmethod
    def operation(self, scene: Scene, config: C) -> Operation:
        """Do it: a generator as those in `pgflow.sdk.operations`, which returns what the node gives."""


class Tell(Protocol):
    """Shows how far an attempt is."""

    async def __call__(self, progress: float | None = None, note: str | None = None) -> None:
        """Show this to whoever looks at the task.

        Args:
            progress: from 0 to 1.
            note: a text for people; secrets are taken out.
        """


@dataclass(frozen=True, slots=True)
class Desk:
    """What a work node works with.

    Attributes:
        settings: the settings in force.
        key: the same in every attempt, for what is called.
        attempt: 1 for the first.
        outbound: gives the client for calls to servers of others, which the operator guards.
        connections: gives the databases that the operator has named.
        client: the engine's verbs.
        vault: secrets in clear by name, for what is not named in the config.
        tell: shows how far the attempt is.
    """

    settings: Settings
    key: str
    attempt: int
    outbound: Callable[[], Outbound]
    connections: Callable[[], Connections]
    client: AsyncClient
    vault: Vault
    tell: Tell


class Work(NodeType[C]):
    """A node that a worker does as a task."""

    group: ClassVar[str] = "Work"
    takes_secrets: ClassVar[bool] = True
    retry: ClassVar[Retry] = Retry()
    """How often it is tried unless the node says otherwise."""
    timeout: ClassVar[float] = 300.0
    """Seconds that an attempt may take unless the node says otherwise."""

    @property
    def task(self) -> str:
        """The name of the task that does it: in a space of its own, because other packages name their types freely."""
        return f"pgflow.node.{self.name}"

    @abstractmethod
    async def work(self, desk: Desk, config: C) -> Any:
        """Do it. Returns what the node gives, as JSON."""


class Durable(Work[C]):
    """A node that a worker does as a workflow of its own: what is asked of the context is recorded, so that a worker's
    death repeats nothing that was, and it holds no worker while it waits."""

    @abstractmethod
    async def conduct(self, ctx: Context, desk: Desk, given: Given) -> Any:
        """Do it. Returns what the node gives, as JSON.

        Args:
            ctx: the workflow's own.
            desk: what else there is to work with.
            given: the config, with its secrets still sealed: a step opens them where it uses them.
        """

    async def work(self, desk: Desk, config: C) -> Any:
        """Not done in this way."""
        raise NotImplementedError
