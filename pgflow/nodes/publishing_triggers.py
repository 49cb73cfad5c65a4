"""A definition's `triggers:` as schedules, webhooks and event triggers, kept as its newest version has them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pgflow.db.call import Call
from pgflow.engine import schedules as schedule_engine
from pgflow.engine import triggers as trigger_engine
from pgflow.engine.schedules import Schedule
from pgflow.engine.triggers import Trigger
from pgflow.errors import ArgumentError, PgflowError
from pgflow.graph import triggers as declared
from pgflow.graph.document import Definition, Problem
from pgflow.graph.triggers import EventTrigger, Header, Hook, ScheduleTrigger
from pgflow.model import Priority
from pgflow.sdk.registry import schedules, triggers
from pgflow.sdk.registry.schedules import schedule_of
from pgflow.sdk.registry.triggers import When, trigger_of
from pgflow.sdk.verbs import Steps
from pgflow.signature import Form, Kind, Scheme

Made = Schedule | Trigger

_LONGEST = 140
"""Characters that a workflow's name may have whose triggers have names of their own beside it."""


def source_of(workflow: str) -> str:
    """Who keeps its triggers up to date."""
    return f"definition:{workflow}"


def made(definition: Definition) -> list[Made]:
    """What its triggers are, outside of it."""
    given = definition.triggers
    return [_made(definition, one, name) for one, name in zip(given, declared.names(list(given)), strict=True)]


def judge(document: Mapping[str, Any]) -> Any:
    """Looks at a trigger as whoever keeps it will."""
    bare = {"name": "x", "nodes": {"x": {"type": "noop"}}}
    name = document.get("name")
    try:
        definition = Definition.model_validate(bare | {"name": name})
    except ValueError:
        definition = Definition.model_validate(bare)

    def problems(trigger: Mapping[str, Any], where: str) -> list[Problem]:
        try:
            _made(definition, trigger, trigger.get("name") or "webhook-1")
        except PgflowError as error:
            field = "webhook" if "webhook" in trigger else next(word for word in declared.WORDS if word in trigger)
            message = re.sub(r"^(schedule|trigger) \S+: ", "", error.message)
            return [Problem(f"{where}.{field}", message, error.hint)]
        return []

    return problems


def _made(definition: Definition, given: Mapping[str, Any], own: str) -> Made:
    trigger = declared.made(given)
    if len(definition.name) > _LONGEST:
        raise ArgumentError(
            f"the workflow's name has {len(definition.name)} characters; with triggers it has {_LONGEST} at most"
        )
    name, source = f"{definition.name}:{own}", source_of(definition.name)
    queue, priority = definition.queue, Priority[definition.priority.upper()]
    tags = {**definition.tags, **trigger.tags}
    input = declared.input_of(trigger, definition.input)
    if isinstance(trigger, ScheduleTrigger):
        assert isinstance(input, dict)
        return schedule_of(
            name, definition.name, source=source, input=input, cron=trigger.cron, every=trigger.every,
            at=declared.instant(trigger), timezone=trigger.timezone, starts_at=trigger.starts_at,
            ends_at=trigger.ends_at, jitter=trigger.jitter, overlap=trigger.overlap, catch_up=trigger.catch_up,
            queue=queue, priority=priority, tags=tags,
        )  # fmt: skip
    when: When = {"input": input if isinstance(input, dict) else {}, "queue": queue, "priority": priority, "tags": tags}
    if trigger.filter is not None:
        when["filter"] = trigger.filter
    if isinstance(trigger, EventTrigger):
        when["event"] = trigger.event
    else:
        _add_webhook(when, definition.name, trigger.webhook)
    found = trigger_of(name, definition.name, source=source, **when)
    return found if isinstance(input, dict) else replace(found, start={**found.start, "input": input})


def _add_webhook(when: When, workflow: str, hook: Hook) -> None:
    when["path"] = hook.path or workflow.replace(":", "/")
    when["headers"], when["secrets"] = hook.headers, _secrets(workflow, hook)
    match hook.signature:
        case Header(header=header, form=form, prefix=prefix, tolerance=tolerance):
            when["signature"] = Scheme(Kind.HEADER, header, Form(form), prefix, tolerance)
        case "hmac-sha256":
            when["signature"] = "standard"
        case signature:
            when["signature"] = signature
    if hook.delivery is not None:
        when["delivery"] = hook.delivery
    if hook.keep is not None:
        when["keep"] = hook.keep
    if hook.limit is not None:
        when["limit"] = hook.limit


def _secrets(workflow: str, hook: Hook) -> Sequence[str]:
    if hook.secrets is not None or hook.signature == "none":
        return hook.secrets or ()
    return [f"{re.sub(r'[^A-Z0-9]+', '_', workflow.upper()).strip('_')}_WEBHOOK_SECRET"]


def keep(definition: Definition, *, actor: str | None) -> Steps[dict[str, str]]:
    """Make what starts a workflow what its definition says. Returns what was done to each, by name.

    A schedule that it has no more is paused, with the record of what it fired; a webhook is gone, and answers 404.

    Raises:
        ArgumentError: one of that name, or with that path, belongs to somebody else.
    """
    wanted, source = made(definition), source_of(definition.name)
    names = [one.name for one in wanted]
    done: dict[str, str] = {}
    there: list[Schedule] = yield schedule_engine.schedules(names)
    others: list[Trigger] = yield trigger_engine.triggers()
    same: list[Made] = [*there, *(one for one in others if one.name in names)]
    for found in same:
        if found.source != source:
            raise ArgumentError(
                f"{found.name} is there already, kept up to date by {found.source}",
                hint="give the trigger a name of its own: `name: ...`",
            )
    gone = [one.name for one in others if one.source == source and one.name not in names]
    if gone:
        yield trigger_engine.remove(gone)
        done |= dict.fromkeys(gone, "removed")
    retired: Call[list[str]] = schedule_engine.retire([source], names)
    done |= dict.fromkeys((yield retired), "paused")
    for one in wanted:
        verb = schedules.put(one, actor=actor) if isinstance(one, Schedule) else triggers.put(one, actor=actor)
        done[one.name] = yield from verb
    return done
