"""Table triggers: runs that start in the commit that changes a row. The statements; the catalog keeps all there is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from pgflow.db.call import Call, Rows


@dataclass(frozen=True, slots=True)
class TableTrigger:
    """A table trigger as the catalog has it.

    Attributes:
        name: its own.
        table: whose rows, with the schema.
        on: which changes: `insert`, `update`, `delete`.
        columns: of updates: only those that change one of these; none: every update.
        when: an SQL condition on `new` and `old`.
        start: what it starts, as `pgflow.enqueue` takes it.
        input: the target's arguments, in which `${...}` stand for what the row has; None: table, op, at, old and new.
        key: of what the runs' keys are made.
        slot: of what their slots are made.
        direct: what other triggers change does not count.
        runs: which changes that runs make in `ctx.tx` count: `all`, `others` (all but of runs that it started), `none`.
        on_error: what follows when nothing can be started: `fail` the change, or `warn`.
        enabled: nobody has disabled it with ALTER TABLE.
        triggers: the names of the triggers that Postgres has for it.
    """

    name: str
    table: str
    on: Sequence[str]
    columns: Sequence[str]
    when: str | None
    start: Mapping[str, Any]
    input: Mapping[str, Any] | None
    key: str | None
    slot: str | None
    direct: bool
    runs: str
    on_error: str
    enabled: bool
    triggers: Sequence[str]


@dataclass(frozen=True, slots=True)
class Installed:
    """What became of an installation.

    Attributes:
        done: `created`, `changed` or `unchanged`; None: nothing was done.
        fault: why nothing was done.
        hint: what to do about it.
    """

    done: str | None = None
    fault: str | None = None
    hint: str | None = None


def install(config: Mapping[str, Any]) -> Call[Installed]:
    """Install a table trigger, in the place of the one of its name on the same table, if there is one."""
    params = {"config": orjson.dumps(config).decode()}
    return Call("table_trigger/install", params, lambda rows: Installed(**rows[0][0]))


def listed(names: Sequence[str] | None = None) -> Call[list[TableTrigger]]:
    """These table triggers, or all; by name."""
    return Call("table_trigger/list", {"names": None if names is None else list(names)}, _triggers)


def remove(names: Sequence[str]) -> Call[list[str]]:
    """Remove these. Returns those that there were."""
    return Call("table_trigger/remove", {"names": list(names)}, lambda rows: [row[0] for row in rows])


def _triggers(rows: Rows) -> list[TableTrigger]:
    return [_trigger(*row) for row in rows]


def _trigger(name: str, table: str, triggers: list[str], enabled: bool, config: dict[str, Any]) -> TableTrigger:
    given = config.get("given", {})
    return TableTrigger(
        name=name, table=table, on=config["on"], columns=config.get("columns", []), when=config.get("when"),
        start=config["start"], input=given.get("input"), key=given.get("key"), slot=given.get("slot"),
        direct=config.get("direct", False), runs=config.get("runs", "others"),
        on_error=config.get("on_error", "fail"), enabled=enabled, triggers=triggers,
    )  # fmt: skip
