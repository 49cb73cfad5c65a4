"""Functions that write values for others to read, and read what others wrote."""

from __future__ import annotations

import binascii
import hashlib
import json
from base64 import b64decode, b64encode
from typing import Any, NoReturn
from urllib.parse import quote

from pgflow.expression.bounds import Frame
from pgflow.expression.faults import Fault
from pgflow.expression.functions.declaring import ANY, TEXT, TEXT_OR_BYTES, Library
from pgflow.expression.values import json_text, too_deep

LIBRARY = Library()


@LIBRARY.takes("json(text)", TEXT)
def _json(frame: Frame, text: str) -> Any:
    frame.spend(20 + (len(text) >> 3) + 4 * (text.count("[") + text.count("{")))
    try:
        return json.loads(text, parse_constant=_no_number)
    except RecursionError:
        raise too_deep() from None
    except ValueError as error:
        where = f" at character {error.pos + 1}" if isinstance(error, json.JSONDecodeError) else ""
        raise Fault(f"this text is no JSON{where}") from None


def _no_number(_: str) -> NoReturn:
    raise ValueError


@LIBRARY.takes("to_json(value)", ANY)
def _to_json(frame: Frame, value: Any) -> str:
    return json_text(value, frame)


@LIBRARY.takes("base64_encode(text or bytes)", TEXT_OR_BYTES)
def _base64_encode(frame: Frame, value: Any) -> str:
    frame.spend_text(4 * len(value))
    return b64encode(_octets(value)).decode("ascii")


@LIBRARY.takes("base64_decode(text)", TEXT)
def _base64_decode(frame: Frame, text: str) -> bytes:
    frame.spend_text(4 * len(text))
    try:
        plain = text.translate({ord("-"): "+", ord("_"): "/"}).rstrip("=")
        return b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise Fault("this text is no base64") from None


@LIBRARY.takes("url_encode(text)", TEXT)
def _url_encode(frame: Frame, text: str) -> str:
    frame.spend_text(16 * len(text))
    return quote(_octets(text), safe="")


@LIBRARY.takes("sha256(text or bytes)", TEXT_OR_BYTES)
def _sha256(frame: Frame, value: Any) -> str:
    frame.spend_text(4 * len(value))
    return hashlib.sha256(_octets(value)).hexdigest()


def _octets(value: str | bytes) -> bytes:
    if isinstance(value, bytes):
        return value
    try:
        return value.encode()
    except UnicodeEncodeError:
        raise Fault("this text has half a character (a lone surrogate)") from None
