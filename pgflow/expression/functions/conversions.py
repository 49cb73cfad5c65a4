"""Functions that make a value of one type from a value of another."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from pgflow.expression.bounds import Frame
from pgflow.expression.faults import Fault
from pgflow.expression.functions.declaring import ANY, TEXT_OR_BYTES, Library
from pgflow.expression.values import double, integer, text_of, type_name, word

LIBRARY = Library()

_INTEGER = re.compile(r"\s*([+-]?[0-9]{1,19})\s*")
_NUMBER = re.compile(r"\s*([+-]?(?:[0-9]{1,400}(?:\.[0-9]{0,400})?|\.[0-9]{1,400})(?:[eE][+-]?[0-9]{1,4})?)\s*")
_TRUTHS = {"true": True, "True": True, "TRUE": True, "t": True, "1": True} | {
    "false": False, "False": False, "FALSE": False, "f": False, "0": False
}  # fmt: skip


@LIBRARY.takes("string(value)", ANY)
def _string(frame: Frame, value: Any) -> str:
    return "null" if value is None else text_of(value, frame)


@LIBRARY.takes("int(value)", ANY)
def _int(_: Frame, value: Any) -> int:
    match value:
        case str():
            found = _INTEGER.fullmatch(value)
            if found is None:
                raise Fault("this text is no integer", hint="double(text) reads a number, which int() then cuts")
            return integer(int(found[1]))
        case int() if not isinstance(value, bool):
            return integer(value)
        case float():
            return integer(int(double(value)))
        case datetime():
            return int(value.timestamp() // 1)
    raise Fault(f"int() makes no integer of {word(value)}", hint=_instead(value))


@LIBRARY.takes("uint(value)", ANY)
def _uint(frame: Frame, value: Any) -> int:
    found: int = _int(frame, value)
    if found < 0:
        raise Fault("uint() makes no integer below zero")
    return found


@LIBRARY.takes("double(value)", ANY)
def _double(_: Frame, value: Any) -> float:
    match value:
        case str():
            found = _NUMBER.fullmatch(value)
            if found is None:
                raise Fault("this text is no number")
            return double(float(found[1]))
        case int() if not isinstance(value, bool):
            return float(integer(value))
        case float():
            return value
    raise Fault(f"double() makes no number of {word(value)}", hint=_instead(value))


def _instead(value: Any) -> str | None:
    if value is None:
        return "default(value, 0) answers for null"
    return "flag ? 1 : 0" if isinstance(value, bool) else None


@LIBRARY.takes("bool(value)", ANY)
def _bool(_: Frame, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value in _TRUTHS:
        return _TRUTHS[value]
    raise Fault(f"bool() reads true or false, not {'any other text' if isinstance(value, str) else word(value)}")


@LIBRARY.takes("bytes(text)", TEXT_OR_BYTES)
def _bytes(frame: Frame, value: Any) -> bytes:
    frame.spend_text(len(value))
    return value if isinstance(value, bytes) else str(value).encode()


@LIBRARY.takes("type(value)", ANY)
def _type(_: Frame, value: Any) -> str:
    return type_name(value)


@LIBRARY.takes("dyn(value)", ANY)
def _dyn(_: Frame, value: Any) -> Any:
    return value
