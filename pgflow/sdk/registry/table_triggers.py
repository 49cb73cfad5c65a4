"""`client.table_triggers`: the verbs about what changes of tables start, once for both colours."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal, TypedDict, Unpack, get_args

import orjson

from pgflow import duration
from pgflow.codec import encode
from pgflow.engine import table_triggers as engine
from pgflow.engine.table_triggers import Installed, TableTrigger
from pgflow.errors import ArgumentError, NotFound
from pgflow.model import Priority
from pgflow.sdk.registry.row_templates import compiled, parts_of
from pgflow.sdk.registry.start import Start, queue_of, start_of
from pgflow.sdk.task import Duration, Task, check_priority, check_queue, is_name
from pgflow.sdk.verbs import Steps

Op = Literal["insert", "update", "delete"]
Runs = Literal["all", "others", "none"]
OnError = Literal["fail", "warn"]

OPS: tuple[str, ...] = get_args(Op)
LONGEST_NAME = 40
_GIVEN = {"table", "op", "at", "old", "new"}
"""What a target is given by default."""


class Change(TypedDict, total=False):
    """What starts a run: which changes of a table, and what else makes up the table trigger. See `config_of`."""

    table: str
    on: Sequence[Op]
    columns: Sequence[str]
    when: str
    input: Mapping[str, Any]
    key: str
    hold: Duration
    slot: str
    direct: bool
    runs: Runs
    on_error: OnError
    queue: str
    priority: Priority | int | str
    tags: Mapping[str, str]


def config_of(name: str, task: Task[..., Any] | str, **change: Unpack[Change]) -> dict[str, Any]:
    """The table trigger as it is kept in the catalog, checked as far as it can be without the database.

    Args:
        name: its own, one in the whole engine: at most 40 letters, digits and `_ . : -`.
        task: what it starts, with its `.options(...)`; or the name of one that only workers know.
        table: whose rows, as in `orders`, `shop.orders` or `shop."Orders"`.
        on: which changes count: `insert`, `update`, `delete`; all unless given.
        columns: an update counts only if one of these has another value than before.
        when: an SQL condition on `new` and `old`, without subqueries, such as `new.status = 'paid'`.
        input: the target's arguments by name. Strings may refer to the row: `${new.id}`, `${old.status}`, `${row.id}`
            (the new row, of a delete the old one), `${row["Odd name"]}`, whole rows `${new}` and `${old}`, and
            `${table}`, `${op}`, `${at}`. Unless given, the target gets `table`, `op`, `at`, `old` and `new`.
        key: a text that refers to the row, such as `order-${row.id}`: the key of what is started. While it is held, a
            change starts nothing more.
        hold: how long a key is held; unless given, until its run ends.
        slot: a text that refers to the row, such as `${row.customer}`: whose share of a limited queue a run takes.
        direct: do not count what other triggers change. (What a foreign key cascades counts in any case.)
        runs: which changes that runs make in `ctx.tx` count: `all`, `others` (unless given: not those of runs that this
            table trigger has started) or `none`.
        on_error: when a run cannot be started, `fail` the change (unless given), or `warn` and let it pass.
        queue, priority, tags: of a target that is given by its name; others have their `.options(...)`.

    Raises:
        ArgumentError: something makes no sense.
    """
    where = f"table trigger {name}"
    if not is_name(name) or len(name) > LONGEST_NAME:
        raise ArgumentError(
            f"{name!r} is no name for a table trigger", hint=f"letters, digits and _ . : -, at most {LONGEST_NAME}"
        )
    if not change.get("table"):
        raise ArgumentError(f"{where}: which table?", hint="give table='orders'")
    config: dict[str, Any] = {"name": name, "table": change["table"], "on": _ops(where, change)}
    start, given = _start(where, task, change), {}
    refers: set[str] = set()
    if "input" in change:
        input = orjson.loads(encode(dict(change["input"])))
        template = compiled(input, f"{where}: the input")
        config |= {"input": template.constant, "places": template.places}
        given["input"] = input
        refers |= template.columns
    for word in ("key", "slot"):
        if word in change:
            text = str(change[word])
            config[word], columns = parts_of(text, f"{where}: the {word}")
            given[word] = text
            refers |= columns
    if "hold" in change:
        if "key" not in change:
            raise ArgumentError(f"{where}: hold needs a key")
        start["hold"] = duration.parse(change["hold"])
    if "columns" in change:
        config["columns"] = sorted(set(change["columns"]))
    if "when" in change:
        config["when"] = change["when"]
    config |= {"start": start, "refers": sorted(refers), "given": given, "direct": bool(change.get("direct", False))}
    config["runs"] = _one_of(where, "runs", change.get("runs", "others"), get_args(Runs))
    config["on_error"] = _one_of(where, "on_error", change.get("on_error", "fail"), get_args(OnError))
    return config


def _ops(where: str, change: Change) -> list[str]:
    on = change.get("on", OPS)
    if isinstance(on, str) or not on or any(op not in OPS for op in on):
        raise ArgumentError(f"{where}: {on!r} are no kinds of changes", hint=f"some of: {', '.join(OPS)}")
    if change.get("columns") and "update" not in on:
        raise ArgumentError(f"{where}: columns are for updates", hint="add update to on=, or leave columns out")
    return [op for op in OPS if op in on]


def _one_of(where: str, what: str, value: str, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise ArgumentError(f"{where}: {what} cannot be {value!r}", hint=f"one of: {', '.join(choices)}")
    return value


def _start(where: str, task: Task[..., Any] | str, change: Change) -> Start:
    given: dict[str, Any] = {}
    if "queue" in change:
        given["queue"] = check_queue(change["queue"], where)
    if "priority" in change:
        given["priority"] = int(check_priority(change["priority"], where))
    if "tags" in change:
        given["tags"] = dict(change["tags"])
    if isinstance(task, str):
        start = start_of(task) | given
    else:
        if given:
            raise ArgumentError(
                f"{where}: {next(iter(given))} is the task's own", hint="give it to the task's .options()"
            )
        task.signature.check_names(dict(change["input"]) if "input" in change else dict.fromkeys(_GIVEN))
        start = start_of(task, dict.fromkeys(task.signature.required, "${row}"))
    del start["input"]
    return start


def install(config: Mapping[str, Any]) -> Steps[str]:
    """Install it. Returns `created`, `changed` or `unchanged`."""
    start = config["start"]
    if "queue" not in start:  # a workflow's own, as its stored definition names it; that of a task only its code knows
        queue = yield from queue_of(start["name"])
        config = {**config, "start": {**start, "queue": queue}}
    installed: Installed = yield engine.install(config)
    if installed.done is None:
        raise ArgumentError(f"table trigger {config['name']}: {installed.fault}", hint=installed.hint)
    return installed.done


def list_all() -> Steps[list[TableTrigger]]:
    """All of them."""
    return (yield engine.listed())  # type: ignore[no-any-return]


def get(name: str) -> Steps[TableTrigger]:
    """The one of that name, or NotFound."""
    (found,) = yield from _all([name])
    return found


def remove(names: Sequence[str]) -> Steps[list[str]]:
    """Remove these."""
    yield from _all(names)
    return (yield engine.remove(names))  # type: ignore[no-any-return]


def _all(names: Sequence[str]) -> Steps[list[TableTrigger]]:
    found: list[TableTrigger] = yield engine.listed(names)
    missing = sorted(set(names) - {trigger.name for trigger in found})
    if missing:
        raise NotFound(f"there is no table trigger {missing[0]}", hint="see `pgflow trigger table`")
    return found


class TableTriggers:
    """`client.table_triggers`: what changes of tables start, in the commit that changes the row.

    The database's role needs the right TRIGGER on the table, and has to own it to remove a table trigger again.

    Example:
        >>> client.table_triggers.install(                                   # doctest: +SKIP
        ...     "paid", handle_order, table="orders", on=["update"], columns=["status"], when="new.status = 'paid'",
        ...     input={"order_id": "${new.id}"},
        ... )
        'created'
    """

    def __init__(self, drive: Callable[[Steps[Any]], Any]) -> None:
        self._drive = drive

    def install(self, name: str, task: Task[..., Any] | str, /, **change: Unpack[Change]) -> str:
        """Install a table trigger, or change the one of that name. Returns `created`, `changed` or `unchanged`.

        Args:
            name: its own.
            task: what it starts, with its `.options(...)`; or the name of one that only workers know.
            **change: `table=`, and what else makes it up: see `config_of`.

        Raises:
            ArgumentError: something makes no sense, or there is no such table or column; nothing has changed.
            PermissionDenied: the role may make no triggers on the table.
        """
        return self._drive(install(config_of(name, task, **change)))  # type: ignore[no-any-return]

    def list(self) -> Sequence[TableTrigger]:
        """All of them, by name."""
        return self._drive(list_all())  # type: ignore[no-any-return]

    def get(self, name: str) -> TableTrigger:
        """One of them, or NotFound."""
        return self._drive(get(name))  # type: ignore[no-any-return]

    def remove(self, *names: str) -> Sequence[str]:
        """Remove these; what they have started goes on."""
        return self._drive(remove(names))  # type: ignore[no-any-return]


class AsyncTableTriggers:
    """`client.table_triggers` of an async client: the same verbs as `TableTriggers`, awaited."""

    def __init__(self, drive: Callable[[Steps[Any]], Awaitable[Any]]) -> None:
        self._drive = drive

    async def install(self, name: str, task: Task[..., Any] | str, /, **change: Unpack[Change]) -> str:
        """See `TableTriggers.install`."""
        return await self._drive(install(config_of(name, task, **change)))  # type: ignore[no-any-return]

    async def list(self) -> Sequence[TableTrigger]:
        """See `TableTriggers.list`."""
        return await self._drive(list_all())  # type: ignore[no-any-return]

    async def get(self, name: str) -> TableTrigger:
        """See `TableTriggers.get`."""
        return await self._drive(get(name))  # type: ignore[no-any-return]

    async def remove(self, *names: str) -> Sequence[str]:
        """See `TableTriggers.remove`."""
        return await self._drive(remove(names))  # type: ignore[no-any-return]
