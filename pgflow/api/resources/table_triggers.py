"""Table triggers: runs that start in the commit that changes a row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import psycopg
from pydantic import Field, StringConstraints

from pgflow.api.asked import Asked, Change
from pgflow.api.backend import Backend
from pgflow.api.models import NO_NUL, Model, Name, Seconds, Text, row
from pgflow.api.operation import Reply, operation
from pgflow.api.problems import ProblemError
from pgflow.api.targets import PRIORITIES, PriorityWord, Target, chosen, require, shown
from pgflow.engine import table_triggers as engine
from pgflow.errors import NotFound
from pgflow.sdk.registry import table_triggers as verbs

Op = Literal["insert", "update", "delete"]
Column = Annotated[str, StringConstraints(min_length=1, max_length=63, pattern=NO_NUL)]
Condition = Annotated[str, StringConstraints(min_length=1, max_length=4000, pattern=NO_NUL)]


class PutTableTrigger(Target):
    """Which changes of a table start something."""

    table: Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=NO_NUL)]
    on: list[Op] = Field(default=["insert", "update", "delete"], min_length=1, max_length=3)
    columns: list[Column] | None = Field(default=None, max_length=1600, description="Of updates: those that change one")
    when: Condition | None = Field(default=None, description="An SQL condition on `new` and `old`.")
    input: dict[str, Any] | None = Field(default=None, description="The arguments; they may hold `${new.id}`.")
    key: Text | None = Field(default=None, max_length=500, description="While it is held, nothing more is started.")
    hold: Seconds | None = Field(default=None, description="How long a key is held: until its run ends.")
    slot: Text | None = Field(default=None, max_length=500)
    direct: bool = Field(default=False, description="What other triggers change does not count.")
    runs: Literal["all", "others", "none"] = Field(default="others", description="Which changes of runs count.")
    on_error: Literal["fail", "warn"] = "fail"


class TableTrigger(Model):
    """A table trigger."""

    name: str
    table: str
    on: list[Op]
    columns: list[str]
    when: str | None
    task: str
    queue: str | None
    priority: PriorityWord
    tags: dict[str, str] | None
    input: Any
    key: str | None
    hold: float | None
    slot: str | None
    direct: bool
    runs: Literal["all", "others", "none"]
    on_error: Literal["fail", "warn"]
    enabled: bool = Field(description="Nobody has disabled it with ALTER TABLE.")
    triggers: list[str] = Field(description="What Postgres calls its triggers.")


class TableTriggerList(Model):
    """Table triggers by name."""

    items: list[TableTrigger]


class TableTriggers:
    """`/api/v1/table-triggers`."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @operation("List the table triggers")
    async def on_get(self, asked: Asked) -> TableTriggerList:
        """By name."""
        return TableTriggerList(items=[_answer(one) for one in await self._backend.client.table_triggers.list()])

    @operation("Look at a table trigger", tagged="content")
    async def on_get_one(self, asked: Asked, name: Name) -> TableTrigger:
        """As the catalog of the database has it."""
        return _answer(await self._backend.client.table_triggers.get(name))

    @operation(
        "Install a table trigger", statuses={201: "It was installed."}, changes="table_trigger.put", tagged="content"
    )
    async def on_put_one(self, change: Change, name: Name, body: PutTableTrigger) -> Reply[TableTrigger]:
        """Or change the one of that name. The API's database role needs the right TRIGGER on the table."""
        require(change, body.task, body.queue)
        task, options = chosen(self._backend.tasks, body)
        words = verbs.Change.__annotations__.keys() - Target.model_fields.keys()
        given: dict[str, Any] = {word: value for word in words if (value := getattr(body, word)) is not None}
        before = await _found(change, name)
        try:
            done = await change.client.table_triggers.install(name, task, **given, **options)
        except psycopg.errors.InsufficientPrivilege:
            raise _no_right(body.table) from None
        made = await change.client.table_triggers.get(name)
        change.tell(f"table_trigger:{name}", before=before and _told(before), after=_told(made))
        if done == "unchanged":
            change.nothing_changed()
        return Reply(_answer(made), 201 if done == "created" else 200)

    @operation("Remove a table trigger", changes="table_trigger.remove")
    async def on_delete_one(self, change: Change, name: Name) -> None:
        """What it has started goes on."""
        before = await change.client.table_triggers.get(name)
        try:
            await change.client.table_triggers.remove(name)
        except psycopg.errors.InsufficientPrivilege:
            raise _no_right(before.table) from None
        change.tell(f"table_trigger:{name}", before=_told(before))


def _no_right(table: str) -> ProblemError:
    return ProblemError(
        "conflict", f"the API's database role may make no triggers on {table}",
        hint="grant it the right TRIGGER; to remove one it has to own the table",
    )  # fmt: skip


async def _found(change: Change, name: str) -> engine.TableTrigger | None:
    try:
        return await change.client.table_triggers.get(name)
    except NotFound:
        return None


def _answer(one: engine.TableTrigger) -> TableTrigger:
    fields: Sequence[str] = [word for word in TableTrigger.model_fields if hasattr(one, word)]
    start = shown(one.start) | {"priority": PRIORITIES[one.start.get("priority", 2)], "hold": one.start.get("hold")}
    return row(TableTrigger, {**start, **{word: getattr(one, word) for word in fields}})


def _told(one: engine.TableTrigger) -> dict[str, Any]:
    whole: dict[str, Any] = _answer(one).model_dump(mode="json")
    return whole
