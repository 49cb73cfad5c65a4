"""What starts a workflow by itself: `triggers:` of a definition."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from pgflow import cron, duration
from pgflow.cron import CronError
from pgflow.errors import ArgumentError, PgflowError
from pgflow.expression import Expression, ExpressionError, Known, Template
from pgflow.graph.document import Problem, Seconds
from pgflow.graph.inputs import filled, input_problems
from pgflow.graph.shapes import kind_of, misshapen, nearest

SCHEDULE_NAMES = Known(["trigger.schedule", "trigger.kind", "trigger.fire_at", "trigger.fire_date", "trigger.timezone"])
WEBHOOK_NAMES = Known(["body", "headers", "delivery", "trigger", "received_at"])
EVENT_NAMES = Known(["event.name", "event.payload", "event.key", "event.id", "event.at"])
_DEFAULTS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "webhook": ("${body}", {"body": "${body}", "headers": "${headers}"}),
    "event": ("${event.payload}", {"event": "${event}"}),
}
"""What a run is given that takes something, and one that takes anything."""
MOST_CAUGHT_UP = 100


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


def _may_be_zero(value: object) -> object:
    try:
        return duration.parse(value)  # type: ignore[arg-type]
    except ArgumentError as error:
        raise ValueError(error.message) from None


Span = Annotated[float, BeforeValidator(_may_be_zero), Field(ge=0, json_schema_extra={"format": "duration"})]
Whole = dict[str, Any] | Annotated[str, Field(pattern=r"^\$\{[\s\S]*\}$")]
"""An object whose texts may hold expressions, or an expression that gives one."""
OwnName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_-]{0,49}$")]


class _Trigger(_Model):
    name: OwnName | None = Field(
        default=None, description="Its own; schedule, webhook or event unless given, with a number from the second on."
    )
    tags: dict[str, str] = Field(
        default_factory=dict, description="Words to find its runs by, beside the definition's."
    )


class ScheduleTrigger(_Trigger):
    """Started by the clock."""

    input: dict[str, Any] | None = Field(default=None, description="What the run is given; may hold ${...}.")
    cron: str | None = Field(default=None, description="Minute, hour, day of month, month, day of week; or @daily.")
    every: Seconds | None = Field(default=None, description="An interval, in the place of cron.")
    at: str | None = Field(default=None, description="One instant, in the place of cron.")
    timezone: str = Field(default="UTC", description="Where clocks are read.")
    starts_at: AwareDatetime | None = Field(default=None, description="Nothing before it.")
    ends_at: AwareDatetime | None = Field(default=None, description="Nothing from it on.")
    jitter: Span = Field(default=0.0, description="Each run may start later by up to this.")
    overlap: Literal["allow", "skip", "queue", "cancel"] = Field(
        default="allow", description="What becomes of it while the run before goes on."
    )
    catch_up: int = Field(default=1, ge=0, le=MOST_CAUGHT_UP, description="How many missed instants are made up for.")


class Header(_Model):
    """A signature in a header of one's own."""

    header: str = Field(description="The header's name.")
    form: Literal["token", "hex", "base64"] = Field(default="hex", description="What it holds.")
    prefix: str = Field(default="", description="What stands before that.")
    tolerance: Seconds = Field(default=300.0, description="By how much a signed time may differ from now.")


class Hook(_Model):
    """How a webhook takes requests."""

    path: str | None = Field(
        default=None, description="Where it listens, below /hooks/; the workflow's name unless given."
    )
    signature: Literal["standard", "hmac-sha256", "github", "stripe", "none"] | Header = Field(
        default="standard", description="How requests are signed; hmac-sha256 is another word for standard."
    )
    secrets: list[str] | None = Field(
        default=None, description="Names of the secrets that may have signed; <NAME>_WEBHOOK_SECRET unless given."
    )
    headers: list[str] = Field(default_factory=list, description="Headers that are kept for expressions.")
    delivery: str | list[str] | None = Field(default=None, description="Where a delivery's id is.")
    keep: Seconds | None = Field(default=None, description="How long a delivery's id is remembered.")
    limit: int | None = Field(default=None, ge=0, description="The largest body, in bytes.")


class WebhookTrigger(_Trigger):
    """Started by an HTTP request."""

    input: Whole | None = Field(
        default=None,
        description="What the run is given; unless given the body, if the workflow's input says what it takes,"
        " else body and headers.",
    )
    webhook: Hook = Field(description="How it takes requests.")
    filter: str | None = Field(default=None, description="An expression; what it does not hold for starts nothing.")


class EventTrigger(_Trigger):
    """Started by an application event."""

    input: Whole | None = Field(
        default=None,
        description="What the run is given; unless given the event's payload, if the workflow's input says what it"
        " takes, else the event.",
    )
    event: str = Field(min_length=1, max_length=200, description="The event's name, or the beginning of names and *.")
    filter: str | None = Field(default=None, description="An expression; what it does not hold for starts nothing.")


Trigger = ScheduleTrigger | WebhookTrigger | EventTrigger
MODELS: Mapping[str, type[ScheduleTrigger] | type[WebhookTrigger] | type[EventTrigger]] = {
    "schedule": ScheduleTrigger, "webhook": WebhookTrigger, "event": EventTrigger,
}  # fmt: skip
WORDS = {"cron": "schedule", "every": "schedule", "at": "schedule", "webhook": "webhook", "event": "event"}
"""By which field a trigger is known for what it is."""
HINT = "one of cron, every, at (by the clock), webhook (by HTTP), event (by an application event)"


def kind_of_trigger(given: Mapping[str, Any]) -> str | None:
    """schedule, webhook or event; None: it says no such thing."""
    return next((kind for word, kind in WORDS.items() if word in given), None)


def made(given: Mapping[str, Any]) -> Trigger:
    """The trigger; it has to be one without problems."""
    return MODELS[kind_of_trigger(given) or "schedule"].model_validate(given)


def names(triggers: list[Mapping[str, Any]]) -> list[str]:
    """What each is called: its own name, or that of its kind, numbered from the second on."""
    counts: dict[str, int] = {}
    found = []
    for given in triggers:
        kind = kind_of_trigger(given) or "schedule"
        counts[kind] = counts.get(kind, 0) + 1
        found.append(given.get("name") or (kind if counts[kind] == 1 else f"{kind}-{counts[kind]}"))
    return found


def problems(given: Any, where: str, schema: Mapping[str, Any] | None) -> list[Problem]:
    """What is wrong with a trigger.

    Args:
        given: as it stands in a definition.
        where: its path.
        schema: what a run takes; None if that is not known.
    """
    if not isinstance(given, Mapping):
        return [Problem(where, f"a trigger is an object, not {kind_of(given)}", HINT)]
    words = [word for word in WORDS if word in given]
    if len(words) != 1:
        message = "nothing says what starts it" if not words else f"{' and '.join(words)} exclude each other"
        near = next(
            (hint for hint in (nearest(str(key), WORDS) for key in given) if (hint or "").startswith("did")), None
        )
        return [Problem(where, message, near if near and not words else HINT)]
    model = MODELS[WORDS[words[0]]]
    if wrong := misshapen(model, given, where):
        return wrong
    trigger = model.model_validate(given)
    return _of_its_time(trigger, where, words[0]) + _of_its_expressions(trigger, where, schema)


def _of_its_time(trigger: Trigger, where: str, word: str) -> list[Problem]:
    if not isinstance(trigger, ScheduleTrigger):
        return []
    try:
        cron.zone(trigger.timezone)
    except PgflowError as error:
        return [Problem(f"{where}.timezone", error.message, error.hint)]
    try:
        cron.timetable(
            cron=trigger.cron, every=trigger.every, at=instant(trigger), timezone=trigger.timezone,
            starts_at=trigger.starts_at, ends_at=trigger.ends_at, anchor=datetime(2000, 1, 1, tzinfo=UTC),
        )  # fmt: skip
    except (CronError, ArgumentError) as error:
        return [Problem(f"{where}.{word}", error.message, error.hint)]
    return []


def instant(trigger: ScheduleTrigger) -> datetime | None:
    """The one instant of a schedule; without an offset it is read in its zone."""
    return None if trigger.at is None else cron.instant(trigger.at, trigger.timezone)


def _of_its_expressions(trigger: Trigger, where: str, schema: Mapping[str, Any] | None) -> list[Problem]:
    known, macros = {
        ScheduleTrigger: (SCHEDULE_NAMES, 0), WebhookTrigger: (WEBHOOK_NAMES, 2), EventTrigger: (EVENT_NAMES, 2),
    }[type(trigger)]  # fmt: skip
    wrong = [
        Problem(
            f"{where}.input{(error.path or '$').removeprefix('$')}",
            f"{error.reason} (column {error.column})",
            error.hint,
        )
        for error in Template.problems(trigger.input, known, macros)
    ]
    condition = getattr(trigger, "filter", None)
    if condition is not None:
        try:
            errors = Expression(condition).check(known)
        except ExpressionError as error:
            errors = [error]
        wrong += [Problem(f"{where}.filter", f"{one.reason} (column {one.column})", one.hint) for one in errors]
    return wrong or _of_its_input(trigger, where, schema)


def input_of(trigger: Trigger, schema: Mapping[str, Any] | None) -> dict[str, Any] | str:
    """What its runs are given.

    Args:
        trigger: it.
        schema: what a run takes.
    """
    if trigger.input is not None:
        return trigger.input
    if isinstance(trigger, ScheduleTrigger):
        return {}
    part, whole = _DEFAULTS["webhook" if isinstance(trigger, WebhookTrigger) else "event"]
    takes = (schema or {}).get("properties") or {}
    return part if takes and not takes.keys() & whole.keys() else whole


def _of_its_input(trigger: Trigger, where: str, schema: Mapping[str, Any] | None) -> list[Problem]:
    """Whether its runs are given what they take, as far as that can be told before an expression has a value."""
    given = input_of(trigger, schema)
    if not schema or isinstance(given, str):
        return []
    input = filled(schema, given)
    place = f"{where}.input"
    return [
        one._replace(hint=one.hint or ("the workflow's `input` asks for it" if "missing" in one.message else None))
        for one in input_problems(schema, input, place)
        if one.message == "there is no such field" or not _is_open(input, one.path.removeprefix(place))
    ]


def _is_open(input: Any, path: str) -> bool:
    """Whether what stands at a path is made by an expression."""
    value = input
    for part in filter(None, path.replace("[", ".").replace("]", "").split(".")):
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        if isinstance(value, str) and "${" in value:
            return True
    return False
