"""Exceptions as JSON. What is here must not fail: a failure that cannot be stored would leave its task without an end.

So whatever an exception's own code raises while it is looked at is swallowed, and the rest of it stored.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from pathlib import Path
from types import CodeType, TracebackType
from typing import Any

import orjson

from pgflow.redaction import redact

ERROR_LIMIT = 64 * 1024
"""Bytes of JSON that an error may have unless told otherwise."""

_OWN = str(Path(__file__).resolve().parent.parent) + os.sep
_STANDARD = str(Path(os.__file__).resolve().parent) + os.sep
_MOST_NOTES = 16
_LAST_RESORT = {"type": "Exception", "module": "builtins", "message": "", "traceback": ""}


def sanitize(text: str) -> str:
    r"""The text with what Postgres cannot store replaced: the character `\u0000` by its picture, half characters by
    the replacement character. Two halves that belong together become the character they are.

    Example:
        >>> sanitize("a\x00b")
        'a␀b'
    """
    text = str.__str__(text).replace("\x00", "\u2400")
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def error_json(
    exception: BaseException, *, limit: int = ERROR_LIMIT, keep_frames_from: Callable[..., Any] | None = None
) -> bytes:
    """An exception as JSON: `type`, `module`, `message`, `traceback` and, if it has any, `notes`.

    Never raises and is always storable. Long texts keep their head and their tail. The traceback has its causes and
    sub-exceptions, no values of variables, and begins at the user's code. Secrets that were revealed are taken out.

    Args:
        exception: what was raised.
        limit: bytes the JSON may have; below 100 or so it is merely as short as can be.
        keep_frames_from: the handler: frames before the first of its own are left out. Without it, or if it is not in
            the traceback, leading frames of pgflow and of the standard library are.
    """
    try:
        return _error_json(exception, limit, getattr(keep_frames_from, "__code__", None))
    except BaseException:  # noqa: BLE001 - see the head of the module
        return orjson.dumps(_LAST_RESORT)


def _error_json(exception: BaseException, limit: int, code: CodeType | None) -> bytes:
    kind = type(exception)
    message = _text(exception)
    trace = redact(_traceback(exception, code))  # before it is clipped: half a secret is not found
    notes = _notes(exception)
    room = max(limit, 64)  # characters; JSON has up to six bytes for one
    while True:
        error: dict[str, Any] = {
            "type": _clip(_name(kind, "__qualname__"), room // 16),
            "module": _clip(_name(kind, "__module__"), room // 16),
            "message": _clip(message, room // 4),
            "traceback": _clip(trace, room // 2),
        }
        if notes:
            error["notes"] = [_clip(note, room // 64) for note in notes]
        data = orjson.dumps(error)
        if len(data) <= limit:
            return data
        room //= 2
        if room < 32:
            return orjson.dumps(_LAST_RESORT)


def _text(value: object) -> str:
    try:
        return redact(str(value))
    except BaseException:  # noqa: BLE001 - a text that raises is no reason to lose the rest
        return f"<a {_name(type(value), '__qualname__')} whose text cannot be had>"


def _name(kind: type, attribute: str) -> str:
    try:
        return redact(str(getattr(kind, attribute)))
    except Exception:  # noqa: BLE001 - a metaclass may raise anything
        return "?"


def _notes(exception: BaseException) -> list[str]:
    try:
        notes: Any = getattr(exception, "__notes__", None)
    except Exception:  # noqa: BLE001 - a property may raise anything
        return []
    return [_text(note) for note in notes[:_MOST_NOTES]] if isinstance(notes, list) else []


def _traceback(exception: BaseException, code: CodeType | None) -> str:
    start = _trimmed(exception.__traceback__, code)
    try:
        lines = traceback.TracebackException(type(exception), exception, start, compact=True).format()
        return "".join(lines)
    except BaseException:  # noqa: BLE001 - attributes of the exception that raise, or are not what they should be
        return "".join(traceback.format_tb(start))


def _trimmed(start: TracebackType | None, code: CodeType | None) -> TracebackType | None:
    handler = start
    while handler is not None and handler.tb_frame.f_code is not code:
        handler = handler.tb_next
    if handler is not None:
        return handler
    user = start
    while user is not None and _is_machinery(user.tb_frame.f_code.co_filename):
        user = user.tb_next
    return user or start


def _is_machinery(filename: str) -> bool:
    return filename.startswith(_OWN) or (filename.startswith(_STANDARD) and "site-packages" not in filename)


def _clip(text: str, room: int) -> str:
    text = str.__str__(text)
    if len(text) > room:
        half = room // 2
        text = f"{text[:half]}\n... {len(text) - 2 * half:,} characters left out ...\n{text[len(text) - half :]}"
    return sanitize(text)
