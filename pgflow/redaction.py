"""Secrets that were revealed in this process, and what takes them out of whatever leaves it.

Two things leave a process. What people read (errors, logs, notes) is **redacted**: a secret's value, in any of the
forms that text usually takes it through, is replaced by `***NAME***`. What programs read (arguments, results, states)
is **refused**, because a value that was changed without a word would be wrong, and wrong again at every replay.

A value is known by its raw text and by its forms within JSON and `repr` (and one within the other), URLs, HTML,
hexadecimals and base64: the last at each of the three places in a group of bytes where it may begin, so that it is
found within `Basic dXNlcjpodW50ZXIy` too. Of a text of several lines each long line is known by itself, because whoever
prints it may indent it; of a URL its password. What code makes of a value beyond that, such as the first half of it or
its hash, is not known.

Values are known for as long as the process lives, also those that were replaced by others since. Until the first is
revealed all this costs one look at `known`. From then on, a text costs a search for each form of each value: some
microseconds a kilobyte. What is shorter than `SHORTEST` would be found everywhere, and is not looked for.
"""

from __future__ import annotations

import html
import json
import threading
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, quote_plus, unquote, urlsplit

SHORTEST = 6
"""Characters below which a value is not looked for."""
_LONG_LINE = 16
"""Characters from which on a line of a text is looked for by itself."""


class Known(NamedTuple):
    """One form of a secret's value."""

    name: str
    form: str
    data: bytes
    """The form as it stands in JSON text."""
    size: int


known: tuple[Known, ...] = ()
"""All forms of all revealed values, the longest first. Replaced as a whole, never changed."""

_lock = threading.Lock()
_revealed: set[tuple[str, str]] = set()


def reveal(name: str, value: str) -> None:
    """Look for this value from now on.

    Args:
        name: the secret's name, which takes the value's place.
        value: in clear.
    """
    global known  # noqa: PLW0603 (one look at a global is all that it may cost while nothing is revealed)
    if (name, value) in _revealed:
        return
    with _lock:
        forms = {one.form: one for one in known}
        for form in _forms(value):
            data = _in_json(form).encode("utf-8", "surrogatepass")
            forms.setdefault(form, Known(name, form, data, len(data)))
        known = tuple(sorted(forms.values(), key=lambda one: -len(one.form)))
        _revealed.add((name, value))


def forget() -> None:
    """Look for nothing any more: for tests."""
    global known  # noqa: PLW0603 (see above)
    with _lock:
        known = ()
        _revealed.clear()


def redact(text: str) -> str:
    """The text with every revealed value replaced by its name.

    Example:
        >>> reveal("API_TOKEN", "hunter22")
        >>> redact("401 for hunter22")
        '401 for ***API_TOKEN***'
        >>> forget()
    """
    for one in known:
        if one.form in text:
            text = text.replace(one.form, f"***{one.name}***")
    return text


def redacted(value: Any, depth: int = 20) -> Any:
    """Anything that is about to be shown, with every revealed value in it replaced. What is no plain data, or lies
    deeper than so many levels, becomes its text if it holds one, and else stays as it is."""
    if not known or value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping) and depth:
        return {redacted(key, depth - 1): redacted(part, depth - 1) for key, part in value.items()}
    if isinstance(value, list | tuple) and depth:
        parts = [redacted(part, depth - 1) for part in value]
        return parts if isinstance(value, list) else tuple(parts)
    text = _shown(value)
    clean = redact(text)
    return value if clean == text else clean


def found(data: bytes | str) -> str | None:
    """The name of a secret whose value a text holds, or JSON text (as bytes); None if it holds none."""
    if isinstance(data, str):
        for one in known:
            if one.form in data:
                return one.name
        return None
    size = len(data)
    for name, _, form, length in known:
        if length <= size and form in data:  # most payloads are shorter than most forms
            return name
    return None


def _shown(value: object) -> str:
    try:
        if isinstance(value, bytes | bytearray | memoryview):
            return bytes(value).decode("utf-8", "replace")
        return f"{value!r} {value}" if isinstance(value, BaseException) else repr(value)
    except Exception:  # noqa: BLE001 (a text that cannot be had shows nothing either)
        return ""


def _forms(value: str) -> Iterator[str]:
    """All that is looked for on account of a value."""
    for part in _parts(value):
        if len(part) >= SHORTEST:
            yield from _forms_of_one(part)


def _parts(value: str) -> Iterator[str]:
    yield value
    if value.strip() != value:
        yield value.strip()
    lines = value.splitlines()
    if len(lines) > 1:
        yield from (line.strip() for line in lines if len(line) >= _LONG_LINE and not line.startswith("-----"))
    if "://" in value:
        try:
            password = urlsplit(value).password
        except ValueError:
            return
        if password:
            yield password
            yield unquote(password)


def _in_json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


_ESCAPES: tuple[Callable[[str], str], ...] = (
    _in_json,
    lambda text: json.dumps(text)[1:-1],
    lambda text: repr(text)[1:-1],
    lambda text: ascii(text)[1:-1],
    lambda text: repr("'\"" + text)[4:-1],  # within a longer text that has quotes of both kinds
    lambda text: ascii("'\"" + text)[4:-1],
    lambda text: repr(text.encode("utf-8", "surrogatepass"))[2:-1],
    lambda text: repr(b"'\"" + text.encode("utf-8", "surrogatepass"))[5:-1],
)
"""How texts are written within others. Applied twice: the `repr` of a JSON document is common."""


def _forms_of_one(value: str) -> Iterator[str]:
    data = value.encode("utf-8", "surrogatepass")
    once = {escaped for escape in _ESCAPES for escaped in (value, escape(value))}
    yield from {escaped for form in once for escape in _ESCAPES for escaped in (form, escape(form))}
    yield html.escape(value)
    for quoted in (quote(data), quote(data, safe=""), quote_plus(data)):
        yield quoted
        yield _lower_escapes(quoted)
    yield data.hex()
    yield data.hex().upper()
    for offset in range(3):
        for encode in (b64encode, urlsafe_b64encode):
            yield _within_base64(encode(bytes(offset) + data).decode(), offset, len(data))


def _within_base64(text: str, offset: int, length: int) -> str:
    """The characters that tell of the value alone, not of what stands before or after it."""
    return text[-(-offset * 8 // 6) : (offset + length) * 8 // 6]


def _lower_escapes(quoted: str) -> str:
    first, *rest = quoted.split("%")
    return "%".join([first, *(part[:2].lower() + part[2:] for part in rest)])
