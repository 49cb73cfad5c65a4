"""`@operation`: a responder's parameters say what the request holds, its answer's type what is sent.

    @operation("Cancel a run", changes="run.cancel")
    async def on_post_cancel(self, change: Change, id: Id, body: CancelRun) -> Cancelled: ...

The first parameter is an `Asked`, or of an operation that `changes` something a `Change`: then all of it is one
transaction, with an entry in the audit. `body` is read as JSON, `query` from what follows the question mark, every
other parameter from the path. What does not fit is answered before the responder is called, with the path of each
fault. From the same annotations the OpenAPI document is made.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import wraps
from inspect import signature
from typing import Any, Generic, Literal, TypeVar, get_args, get_origin, get_type_hints

import falcon
import falcon.asgi
from pydantic import BaseModel, TypeAdapter, ValidationError

from pgflow.api import body as bodies
from pgflow.api import revisions
from pgflow.api.asked import Asked, Change, change
from pgflow.api.problems import invalid

T = TypeVar("T")
Responder = Callable[..., Awaitable[Any]]
Tagged = Literal["revision", "content"]


@dataclass(frozen=True, slots=True)
class Reply(Generic[T]):
    """An answer with more than a value: another status, headers."""

    value: T
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Operation:
    """What is known of a responder.

    Args:
        summary: what it does, in a few words.
        description: more, from its docstring.
        status: of the answer when all is well.
        statuses: other ones it may have, with what they mean.
        changes: what it does, as the audit calls it; None: it changes nothing.
        unaudited: why it changes nothing that is to be audited, though its method is unsafe.
        problems: the codes that are its own, beside those that all have.
        headers: names of request headers that it looks at, with what they mean.
        path: its parameters in the path.
        query: the model of its query.
        body: the model of its body.
        optional_body: it may be left out.
        answer: what it answers; None: nothing.
        media_type: of the answer.
        tagged: what its ETag is made of, and so whether it can be asked for on condition.
    """

    summary: str
    description: str
    status: int
    statuses: Mapping[int, str]
    changes: str | None
    unaudited: str | None
    problems: Sequence[str]
    headers: Mapping[str, str]
    path: Mapping[str, TypeAdapter[Any]]
    query: type[BaseModel] | None
    body: Any
    optional_body: bool
    answer: TypeAdapter[Any] | None
    media_type: str
    tagged: Tagged | None = None


def operation(
    summary: str, *, status: int | None = None, statuses: Mapping[int, str] | None = None, changes: str | None = None,
    unaudited: str | None = None, problems: Sequence[str] = (), headers: Mapping[str, str] | None = None,
    optional_body: bool = False, media_type: str = "application/json", quick: str | None = None,
    tagged: Tagged | None = None, held: str | None = None, itself: bool = False,
) -> Callable[[Responder], Responder]:  # fmt: skip
    """Make a method a responder. See the module.

    `quick` names a method of the resource that is tried before: with the same, but for an `Asked` in the place of the
    `Change`. It answers in a single statement, the audit's entry included, or says None and has done nothing.

    `held` names a method that gives what is held meanwhile, with the parameters of `quick`'s: around the transaction.

    `itself`: of an operation that changes something: it is given an `Asked`, and begins the transaction itself, with
    `change` and the same word: after what takes long and needs none, such as the hash of a password.

    `tagged`: the answer is the thing itself, and has an ETag. Where nothing but the `revision` ever changes in it, the
    responder sets it to that; else it is completed by, or made of, the `content`.
    """

    def decorate(function: Responder) -> Responder:
        hints = get_type_hints(function, include_extras=True)
        returned = hints.pop("return")
        if get_origin(returned) is Reply:
            (returned,) = get_args(returned)
        answer = None if returned in {None, type(None)} or media_type != "application/json" else TypeAdapter(returned)
        _, first, *others = signature(function).parameters
        within = changes is not None and not itself
        assert issubclass(hints[first], Change) == within, f"{function.__qualname__}: Asked or Change?"
        described = Operation(
            summary, (function.__doc__ or "").strip(), status or (204 if returned in {None, type(None)} else 200),
            statuses or {}, changes, unaudited, problems, headers or {},
            {name: TypeAdapter(hints[name]) for name in others if name not in {"query", "body"}},
            hints.get("query"), hints.get("body"), optional_body, answer, media_type, tagged,
        )  # fmt: skip
        body = TypeAdapter(hints["body"]) if "body" in hints else None

        @wraps(function)
        async def responder(self: Any, req: falcon.asgi.Request, resp: falcon.asgi.Response, **params: Any) -> None:
            asked: Asked = req.context.asked
            given = _path(described, params)
            if described.query is not None:
                given["query"] = _query(described.query, req)
            elif req.params:
                given |= _query_of_none(req)
            if body is not None:
                given["body"] = await _body(body, req, described.optional_body, asked)
            quickly = None if quick is None else await getattr(self, quick)(asked, **given)
            if quickly is not None:
                result = quickly
            elif changes is None or itself:
                result = await function(self, asked, **given)
            else:
                async with nullcontext() if held is None else getattr(self, held)(asked, **given):
                    result = await change(asked, changes, lambda made: function(self, made, **given))
            _send(described, resp, result)

        responder.operation = described  # type: ignore[attr-defined]
        return responder

    return decorate


def _path(described: Operation, params: Mapping[str, Any]) -> dict[str, Any]:
    given = {}
    for name, adapter in described.path.items():
        try:
            given[name] = adapter.validate_python(params[name])
        except ValidationError as error:
            raise _renamed(error, "path", name) from None
    return given


def _renamed(error: ValidationError, where: str, name: str) -> Exception:
    problem = invalid(error, where)
    faults = [fault.model_copy(update={"path": f"{where}.{name}"}) for fault in problem.errors]
    return type(problem)("invalid", f"{where}.{name}: {faults[0].message}", errors=faults)


def _query(model: type[BaseModel], req: falcon.asgi.Request) -> BaseModel:
    try:
        return model.model_validate(req.params)
    except ValidationError as error:
        raise invalid(error, "query") from None


class _Nothing(BaseModel):
    model_config = {"extra": "forbid"}


def _query_of_none(req: falcon.asgi.Request) -> dict[str, Any]:
    _query(_Nothing, req)
    return {}


async def _body(adapter: TypeAdapter[Any], req: falcon.asgi.Request, optional: bool, asked: Asked) -> Any:
    data = await bodies.read(req, asked.body_limit)
    if not data and optional:
        data = b"{}"
    else:
        bodies.check_media_type(req)
    bodies.parse(data)
    try:
        return adapter.validate_json(data, strict=True)
    except ValidationError as error:
        raise invalid(error, "body") from None


def _send(described: Operation, resp: falcon.asgi.Response, result: Any) -> None:
    status = described.status
    if isinstance(result, Reply):
        status = result.status or status
        for name, value in result.headers.items():
            (resp.append_header if name == "Set-Cookie" else resp.set_header)(name, value)
        result = result.value
    resp.status = falcon.code_to_http_status(status)
    if described.answer is not None:
        resp.content_type = described.media_type
        resp.data = described.answer.dump_json(result, by_alias=True)
    elif result is not None:
        resp.content_type = described.media_type
        resp.data = result if isinstance(result, bytes) else str(result).encode()
    if described.tagged == "content" and resp.data is not None:
        resp.set_header("ETag", revisions.completed(resp.get_header("ETag"), resp.data))
