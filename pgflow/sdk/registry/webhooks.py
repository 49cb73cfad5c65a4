"""How a webhook takes requests, and what a delivery starts: worked out in workers, by `pgflow.webhook`, and by whoever
tries a trigger out. How a request gets there: `pgflow.sdk.registry.receiving`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from pgflow.codec import encode
from pgflow.db.call import Call, Rows
from pgflow.engine.enqueue import Request, Spec, enqueue
from pgflow.engine.triggers import Trigger
from pgflow.errors import ArgumentError, IdempotencyConflict
from pgflow.expression import Expression, ExpressionError, Template
from pgflow.model import Priority
from pgflow.sdk.verbs import Handle
from pgflow.signature import TOLERANCE, Form, Kind, Scheme, check_header

NAMES = frozenset({"body", "headers", "delivery", "trigger", "received_at"})
"""What a webhook's expressions may refer to."""
WHOLE: Mapping[str, Any] = {"body": "${body}", "headers": "${headers}"}
"""The input of a target that is given the whole request."""
HEADERS = ("content-type", "user-agent")
PRIVATE = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie"})
KEEP = 3 * 86400.0
"""Seconds for which a delivery's id is remembered."""
LONGEST_KEEP = 90 * 86400.0
START_KEEP = 86400.0
"""Seconds for which the key of a run that was started is held at least: longer than its task is retried."""
FIELD = re.compile(r"body((?:\.[A-Za-z_]\w*)+)")
"""An expression that is but a field of the body, which takes no evaluating."""

_ID_OF: Mapping[Kind, str | tuple[str, ...]] = {
    Kind.STANDARD: ("webhook-id",),
    Kind.GITHUB: ("x-github-delivery",),
    Kind.STRIPE: "body.id",
    Kind.HEADER: ("idempotency-key",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """How a webhook trigger takes requests: its `settings`.

    Args:
        scheme: how they are signed; None: not at all, whoever knows the path may start it.
        secrets: names of the secrets that may have signed, the newest first.
        headers: names of headers that are kept, in lower case.
        delivery: where a delivery's id is: names of headers, the first that is there counts; or an expression.
        keep: seconds for which it is remembered.
        limit: the largest body, in bytes; None: what the engine takes.
    """

    scheme: Scheme | None
    secrets: tuple[str, ...] = ()
    headers: tuple[str, ...] = HEADERS
    delivery: str | tuple[str, ...] = ("idempotency-key",)
    keep: float = KEEP
    limit: int | None = None

    def __post_init__(self) -> None:
        if (self.scheme is None) == bool(self.secrets):
            raise ArgumentError(
                "a webhook that is signed needs a secret" if self.scheme else "what is not signed needs no secret",
                hint="give names of secrets, or the signature `none`",
            )
        hidden = PRIVATE | set(() if self.scheme is None else self.scheme.headers)
        if found := hidden & set(self.headers):
            raise ArgumentError(
                f"the header {min(found)} is not kept: it holds a signature or what somebody signs in with"
            )
        # Within the tolerance, on either side of now, a request that somebody has seen is believed again.
        shortest = 2 * (self.scheme.tolerance if self.scheme else TOLERANCE)
        if not shortest <= self.keep <= LONGEST_KEEP:
            raise ArgumentError(
                f"ids cannot be remembered for {self.keep:g} s",
                hint=f"{shortest:g} s, twice the tolerance, to {LONGEST_KEEP / 86400:g} days",
            )
        if self.limit is not None and self.limit < 0:
            raise ArgumentError(f"a body of at most {self.limit} bytes")
        if not self.delivery:
            raise ArgumentError("there is no header, and no expression, for a delivery's id")
        for name in (*self.headers, *(() if isinstance(self.delivery, str) else self.delivery)):
            check_header(name)
        if isinstance(self.delivery, str):
            check_expression(self.delivery, "the delivery's id", NAMES - {"delivery"})

    @property
    def expression(self) -> str | None:
        """What only a worker can make the delivery's id of."""
        return self.delivery if isinstance(self.delivery, str) and not FIELD.fullmatch(self.delivery) else None

    def to_json(self) -> dict[str, Any]:
        """As it is stored."""
        scheme = self.scheme
        signature = scheme and {
            "kind": scheme.kind, "header": scheme.header, "form": scheme.form, "prefix": scheme.prefix,
            "tolerance": scheme.tolerance,
        }  # fmt: skip
        return {
            "signature": signature, "secrets": list(self.secrets), "headers": list(self.headers),
            "delivery": self.delivery if isinstance(self.delivery, str) else list(self.delivery),
            "keep": self.keep, "limit": self.limit,
        }  # fmt: skip

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Webhook:
        """As it was stored."""
        signature, delivery = stored["signature"], stored["delivery"]
        scheme = signature and Scheme(
            Kind(signature["kind"]), signature["header"], Form(signature["form"]), signature["prefix"],
            signature["tolerance"],
        )  # fmt: skip
        return cls(
            scheme=scheme, secrets=tuple(stored["secrets"]), headers=tuple(stored["headers"]),
            delivery=delivery if isinstance(delivery, str) else tuple(delivery), keep=stored["keep"],
            limit=stored["limit"],
        )  # fmt: skip


def id_of(scheme: Scheme | None) -> str | tuple[str, ...]:
    """Where senders who sign so put the id of a delivery."""
    return ("idempotency-key",) if scheme is None else _ID_OF[scheme.kind]


def check_expression(text: str, what: str, names: frozenset[str]) -> None:
    """See that an expression can be read and refers to nothing but these names, or an ArgumentError."""
    try:
        problems = Expression(text).check(names)
    except ExpressionError as error:
        problems = [error]
    _none_of(problems, what)


def check_template(value: Any, what: str, names: frozenset[str]) -> None:
    """The same for all expressions in the texts of a JSON value."""
    _none_of(Template.problems(value, names), what)


def _none_of(problems: Sequence[ExpressionError], what: str) -> None:
    if problems:
        raise ArgumentError(f"{what}: {problems[0].message}", hint=problems[0].hint)


def text_of(id: Any) -> str | None:
    """A delivery's id as text; None when it is none."""
    return str(id) if isinstance(id, str | int) and not isinstance(id, bool) and id != "" else None


def delivery_of(hook: Webhook, headers: Mapping[str, str], content: Any) -> str | None:
    """The delivery's id, as far as it can be told here."""
    if isinstance(hook.delivery, tuple):
        return next((headers[name].strip() for name in hook.delivery if headers.get(name, "").strip()), None)
    field = FIELD.fullmatch(hook.delivery)
    if field is None:
        return None
    for name in field[1].split(".")[1:]:
        content = content.get(name) if isinstance(content, dict) else None
    return text_of(content)


def key_of(trigger: str, id: str) -> str:
    """The key that a delivery holds. No trigger has a slash in its name, so none can take another's."""
    key = f"hook:{trigger}/{id}"
    if len(key) <= 500 and key.isprintable():
        return key
    return f"hook:{trigger}/sha256:{hashlib.sha256(id.encode('utf-8', 'surrogatepass')).hexdigest()}"


def once(start: Mapping[str, Any], payload: bytes, key: str | None, hold: float, trigger: str) -> Call[Handle[Any]]:
    """Start this, or find what was started with the key; whatever was given to that one."""
    retry = b"null" if start.get("retry") is None else orjson.dumps(start["retry"])
    spec = Spec(
        start["name"], start.get("queue") or "default", start.get("priority", Priority.NORMAL), start.get("timeout"),
        retry, hold if key is not None else None,
    )  # fmt: skip
    tags = encode({**(start.get("tags") or {}), "trigger": trigger})
    call = enqueue([Request(spec, payload, key, start.get("delay"), tags=tags)], actor="trigger")

    def parse(rows: Rows) -> Handle[Any]:
        try:
            done = call.parse(rows)
        except IdempotencyConflict as conflict:
            return Handle(conflict.task_id, True)
        return Handle(done.ids[0], bool(done.existing))

    return Call(call.name, call.params, parse)


@dataclass(frozen=True, slots=True)
class Decision:
    """What a delivery starts.

    Attributes:
        start: that, with its input worked out; None: the filter does not let it through.
        delivery: the delivery's id, if there is one.
    """

    start: Mapping[str, Any] | None
    delivery: str | None


def decide(trigger: Trigger, names: Mapping[str, Any]) -> Decision:
    """Work out what a delivery, or an event, starts.

    Args:
        trigger: the trigger.
        names: what `NAMES` are for this request; of an event, `event`. When that came is what `now()` is.

    Raises:
        ArgumentError: an expression fails, or what comes of it is of no use.
    """
    at = datetime.fromisoformat(names["received_at"] if trigger.kind == "webhook" else names["event"]["at"])

    def work(what: str, out: Callable[[Mapping[str, Any]], Any]) -> Any:
        try:
            return out(names)
        except ExpressionError as error:
            raise ArgumentError(f"trigger {trigger.name}: {what}: {error.message}", hint=error.hint) from error

    def clock() -> datetime:
        return at

    id = names.get("delivery")
    expression = Webhook.from_json(trigger.settings).expression if trigger.kind == "webhook" else None
    if expression is not None:
        id = text_of(work("the delivery's id", lambda names: Expression(expression).evaluate(names, clock=clock)))
        if id is None:
            raise ArgumentError(f"trigger {trigger.name}: the delivery's id is neither text nor a whole number")
        names = {**names, "delivery": id}
    condition = trigger.filter
    if condition is not None and not work("the filter", lambda names: Expression(condition).holds(names, clock=clock)):
        return Decision(None, id)
    input = work("the input", lambda names: Template(trigger.start["input"]).render(names, clock=clock))
    return Decision({**trigger.start, "input": input}, id)


def start(name: str, decision: Decision, task_id: int, *, limit: int, keep: float) -> Call[Handle[Any]]:
    """Start what was decided, once.

    Args:
        name: the trigger.
        decision: what `decide` gave, with something to start.
        task_id: the task that decided; its id stands in for that of a delivery without one.
        limit: how many bytes the input may have.
        keep: seconds for which the delivery's id is remembered.

    Raises:
        PayloadError: the input cannot be stored.
    """
    assert decision.start is not None
    payload = encode(decision.start["input"], limit=limit)
    key = f"hook:{name}#{task_id}" if decision.delivery is None else key_of(name, decision.delivery)
    return once(decision.start, payload, key, max(keep, START_KEEP), name)
