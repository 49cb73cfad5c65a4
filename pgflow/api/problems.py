"""Errors as RFC 9457 problem documents: one code for each kind, which never changes, and never a traceback."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import falcon
from pydantic import ValidationError

from pgflow import errors
from pgflow.api.models import Fault, Problem
from pgflow.codec.faults import path as path_of
from pgflow.db.failures import translate

MEDIA_TYPE = "application/problem+json"

CODES: dict[str, tuple[int, str]] = {
    "bad_request": (400, "The request makes no sense"),
    "bad_json": (400, "The body is no JSON that can be taken"),
    "unauthenticated": (401, "Who asks is not known"),
    "forbidden": (403, "Who asks may not do this"),
    "cross_site": (403, "The request came from another site"),
    "not_found": (404, "There is no such thing"),
    "method_not_allowed": (405, "This cannot be done here"),
    "not_acceptable": (406, "No answer can be given in that form"),
    "conflict": (409, "It is not as it would have to be"),
    "key_reused": (409, "The key was used with something else"),
    "name_taken": (409, "There is one of that name already"),
    "precondition_failed": (412, "It was changed meanwhile"),
    "too_large": (413, "The body is too large"),
    "unsupported_media_type": (415, "The body is in a form that is not taken"),
    "invalid": (422, "Something in the request is not as it has to be"),
    "precondition_required": (428, "It has to be said which version is meant"),
    "too_many_requests": (429, "Too many requests"),
    "headers_too_large": (431, "The headers are too large"),
    "internal": (500, "Something went wrong here"),
    "too_many_streams": (503, "Too many streams are open"),
    "unavailable": (503, "The engine cannot be reached"),
}
"""Every code there is, with its status and its title."""

_OF: tuple[tuple[type[errors.PgflowError], str], ...] = (
    (errors.NotFound, "not_found"),
    (errors.UnknownTask, "not_found"),
    (errors.IdempotencyConflict, "key_reused"),
    (errors.NameTaken, "name_taken"),
    (errors.ResultTimeout, "conflict"),
    (errors.TaskFailed, "conflict"),
    (errors.TaskCancelled, "conflict"),
    (errors.DatabaseUnavailable, "unavailable"),
    (errors.SchemaError, "unavailable"),
    (errors.PermissionDenied, "unavailable"),
    (errors.ConfigError, "unavailable"),
    (errors.SealBroken, "unavailable"),
    (errors.ArgumentError, "invalid"),
    (errors.RegistrationError, "invalid"),
    (errors.PayloadError, "invalid"),
)


class ProblemError(Exception):
    """Raised to answer with a problem document.

    Args:
        code: one of `CODES`.
        detail: what is wrong, for people.
        hint: what to do about it.
        errors: what is wrong with the parts of the request.
        headers: more headers of the answer.
    """

    def __init__(
        self, code: str, detail: str, *, hint: str | None = None, errors: Sequence[Fault] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(detail)
        self.code, self.detail, self.hint = code, detail, hint
        self.errors, self.headers = list(errors), dict(headers or {})
        self.status, self.title = CODES[code]

    def document(self, request_id: str | None) -> Problem:
        """As it is sent."""
        return Problem(
            type=f"urn:pgflow:problem:{self.code}", title=self.title, status=self.status, code=self.code,
            detail=self.detail, hint=self.hint, errors=self.errors or None, request_id=request_id,
        )  # fmt: skip


def problem_of(error: BaseException) -> ProblemError:
    """The problem that an exception is to whoever asked; `internal` when it is none of ours."""
    if isinstance(error, ProblemError):
        return error
    if isinstance(error, falcon.HTTPError):
        return _of_falcon(error)
    ours = error if isinstance(error, errors.PgflowError) else translate(error)
    if ours is None:
        return ProblemError("internal", "something went wrong here; the log has it under the request's id")
    return _of_ours(ours)


def _of_ours(error: errors.PgflowError) -> ProblemError:
    code = next((code for kind, code in _OF if isinstance(error, kind)), None)
    if code is None:
        # What has no kind of its own is told as a conflict: something was not as it had to be.
        code = "conflict" if type(error) is errors.PgflowError else "invalid"
    if type(error).__name__ == "Conflict":
        code = "conflict"
    if code == "unavailable":
        return ProblemError(code, _harmless(error), hint=None, headers={"Retry-After": "1"})
    if isinstance(error, errors.PayloadError):
        return ProblemError(
            code, error.message, hint=error.hint, errors=[Fault(path=error.path, message=error.message)]
        )
    problems = getattr(error, "problems", None)
    faults = [_fault(problem) for problem in problems] if isinstance(problems, list) else []
    return ProblemError(code, error.message, hint=error.hint, errors=faults)


def _harmless(error: errors.PgflowError) -> str:
    """What is said of an outage: hosts, roles and names of settings are for the log."""
    match error:
        case errors.DatabaseUnavailable():
            return "the database cannot be reached at the moment"
        case errors.SchemaError():
            return "the database's schema does not fit this version"
        case _:
            return "the engine is not set up for this; the log has it under the request's id"


def _fault(problem: Any) -> Fault:
    return Fault(
        path=str(getattr(problem, "path", None) or "$"), message=str(getattr(problem, "message", problem)),
        hint=getattr(problem, "hint", None),
    )  # fmt: skip


_STATUSES = {status: code for code, (status, _) in reversed(CODES.items())}


def _of_falcon(error: falcon.HTTPError) -> ProblemError:
    code = _STATUSES.get(error.status_code, "bad_request" if error.status_code < 500 else "internal")
    headers = dict(error.headers or {}) if not isinstance(error.headers, list) else dict(error.headers)
    detail = error.description or CODES[code][1]
    return ProblemError(code, str(detail).rstrip("."), headers=headers)


def invalid(error: ValidationError, where: str) -> ProblemError:
    """What pydantic found wrong.

    Args:
        error: what it said.
        where: `body`, `query` or `path`.
    """
    faults = []
    for one in error.errors(include_url=False, include_context=False, include_input=False):
        trail: Any = None
        for step in one["loc"]:
            trail = (trail, step)
        path = path_of(trail)
        faults.append(
            Fault(
                path=path if where == "body" else f"{where}{path.removeprefix('$')}",
                message=one["msg"].removeprefix("Value error, "),
            )
        )
    first = faults[0]
    more = f", and {len(faults) - 1} more" if len(faults) > 1 else ""
    return ProblemError("invalid", f"{first.path}: {first.message}{more}", errors=faults[:50])
