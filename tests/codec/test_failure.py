"""Whatever is raised, its stored form is JSON that Postgres takes."""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
import re
from typing import Any, NoReturn

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pgflow.codec
from pgflow.codec import Signature, decode, encode, error_json, sanitize
from pgflow.errors import PayloadError


def caught(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as raised:  # noqa: BLE001 - the very point
        return raised


def stored(error: BaseException, **options: Any) -> dict[str, Any]:
    data = error_json(error, **options)
    value = decode(data)
    assert encode(value) == data  # so it has nothing that is refused at the door
    assert value.keys() - {"notes"} == {"type", "module", "message", "traceback"}
    return value  # type: ignore[no-any-return]


def test_an_exception_keeps_its_type_its_message_and_its_traceback() -> None:
    error = stored(caught(ValueError("no such customer")))
    assert (error["type"], error["module"], error["message"]) == ("ValueError", "builtins", "no such customer")
    assert error["traceback"].startswith("Traceback (most recent call last):")
    assert error["traceback"].endswith("ValueError: no such customer\n")
    assert "notes" not in error


def test_an_exception_that_was_never_raised_has_a_form_too() -> None:
    assert stored(ValueError("x"))["traceback"] == "ValueError: x\n"


def test_notes_causes_and_groups_are_in_it() -> None:
    try:
        try:
            raise KeyError("inner")
        except KeyError as cause:
            raise ExceptionGroup("several", [OSError("disk"), ValueError("text")]) from cause
    except ExceptionGroup as group:
        group.add_note("while at it")
        error = stored(group)
    assert error["notes"] == ["while at it"]
    for text in ("KeyError: 'inner'", "OSError: disk", "ValueError: text", "direct cause", "while at it"):
        assert text in error["traceback"]


def test_values_of_variables_are_not_in_it() -> None:
    def pay(password: str) -> None:
        raise ValueError(f"refused after {len(password)} characters")

    with pytest.raises(ValueError, match="refused") as raised:
        pay("hunter" + "2")
    assert "hunter2" not in json.dumps(stored(raised.value))


@given(st.text() | st.text(st.characters(categories=["Cs", "Cc", "Lu"])))
def test_any_text_can_be_stored_once_sanitized(text: str) -> None:
    clean = sanitize(text)
    assert decode(encode(clean)) == clean
    assert sanitize(clean) == clean


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")))
def test_sound_text_is_left_alone(text: str) -> None:
    assert sanitize(text) == text


def test_halves_that_belong_together_become_their_character() -> None:
    assert sanitize("a\x00b") == "a\u2400b"
    assert sanitize("\ud83d\ude00 \ud83d! \ude00") == "\U0001f600 \ufffd! \ufffd"


@given(st.text(st.characters(categories=["Cs", "Cc", "L", "So"]), max_size=300), st.integers(200, 3_000))
def test_any_message_fits_any_sensible_limit(text: str, limit: int) -> None:
    error = caught(RuntimeError(text * 20))
    error.add_note(text)
    data = error_json(error, limit=limit)
    assert len(data) <= limit
    assert encode(decode(data)) == data
    assert decode(data)["type"]


def test_huge_texts_keep_their_head_and_their_tail() -> None:
    error = stored(caught(ValueError("begin " + "x" * 5_000_000 + " end")))
    assert len(orjson.dumps(error)) <= 64 * 1024
    assert re.fullmatch(r"begin x+\n\.\.\. 4,\d+,\d+ characters left out \.\.\.\nx+ end", error["message"])
    assert error["traceback"].startswith("Traceback")
    assert error["traceback"].endswith(" end\n")
    assert len(error["message"]) > 10_000


def test_even_a_limit_too_small_for_anything_yields_json() -> None:
    assert decode(error_json(ValueError("x" * 1000), limit=1))["type"] == "Exception"


class TextRaises(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text for you")

    __repr__ = __str__


class TextExits(Exception):
    def __str__(self) -> str:
        raise SystemExit(3)


class TextIsNone(Exception):
    def __str__(self) -> str:
        return None  # type: ignore[return-value] # noqa: PLE0307


class StickyText(str):
    __slots__ = ()

    def replace(self, *_: Any, **__: Any) -> NoReturn:
        raise RuntimeError("not to be replaced")

    isascii = encode = __len__ = __getitem__ = replace  # type: ignore[assignment]


class TextIsSticky(Exception):
    def __str__(self) -> str:
        return StickyText("sticky\x00")


class NotesRaise(Exception):
    @property
    def __notes__(self) -> list[str]:
        raise RuntimeError("no notes")


class NotesAreOdd(Exception):
    __notes__ = 5  # type: ignore[assignment]


class NotesHoldOdd(Exception):
    __notes__ = [None, b"x", TextRaises(), "\x00\ud800"]  # type: ignore[list-item] # noqa: RUF012


class MetaRaises(type):
    @property
    def __module__(cls) -> str:  # type: ignore[override]
        raise RuntimeError("no module")


class ModuleRaises(Exception, metaclass=MetaRaises):
    pass


def odd_syntax_error() -> SyntaxError:
    error = SyntaxError("bad")
    error.text, error.lineno, error.offset, error.filename = 5, "x", [], b"\xff"  # type: ignore[assignment]
    return error


def deep_recursion(depth: int = 0) -> NoReturn:
    deep_recursion(depth + 1)


def long_chain(length: int) -> BaseException:
    error = BaseException("first")
    for i in range(length):
        later = ValueError(i)
        later.__cause__ = error
        error = later
    return error


def deep_group() -> BaseException:
    error: Exception = ValueError("\x00")
    for i in range(300):
        error = ExceptionGroup(f"level {i}", [error])
    return error


def circle() -> BaseException:
    one, two = ValueError("one"), ValueError("two")
    one.__cause__, two.__context__ = two, one
    return one


@pytest.mark.parametrize(
    "hostile",
    [
        TextRaises(), TextExits(), TextIsNone(), TextIsSticky(), NotesRaise("x"), NotesAreOdd("x"), NotesHoldOdd("x"),
        ModuleRaises("x"), odd_syntax_error(), long_chain(3_000), deep_group(), circle(), ValueError("\x00\ud800" * 9),
        type("Odd\u2028", (Exception,), {"__module__": "a\x00b"})("x"),
        type("NoModule", (Exception,), {"__module__": 5})("x"), type("N" * 100_000, (Exception,), {})("x"),
        UnicodeDecodeError("utf-8", b"\xff\x00", 0, 1, "bad\x00"), KeyboardInterrupt(), SystemExit({1: 2}),
        OSError(2, "no\x00", "/a\udcff"), ValueError(b"\x00", {"a": object()}), StopIteration(TextRaises()),
    ],
    ids=lambda error: type(error).__name__[:20].encode("ascii", "replace").decode(),
)  # fmt: skip
def test_a_hostile_exception_is_stored_all_the_same(hostile: BaseException) -> None:
    error = stored(caught(hostile))
    assert error["type"]
    assert "in caught" in error["traceback"] or "characters left out" in error["traceback"]
    assert len(orjson.dumps(error)) <= 64 * 1024


def test_only_the_text_that_raises_is_lost() -> None:
    error = stored(caught(TextRaises()))
    assert error["type"] == "TextRaises"
    assert error["message"] == "<a TextRaises whose text cannot be had>"
    assert "in caught" in error["traceback"]
    assert stored(caught(NotesHoldOdd("x")))["notes"][3] == "\u2400\ufffd"
    assert stored(caught(TextIsSticky()))["message"] == "sticky\u2400"
    assert stored(caught(ModuleRaises("x")))["message"] == "x"
    assert stored(caught(ModuleRaises("x")))["type"] == "ModuleRaises"


def test_an_endless_recursion_is_stored() -> None:
    with pytest.raises(RecursionError) as raised:
        deep_recursion()
    assert stored(raised.value)["type"] == "RecursionError"


def frames(error: dict[str, Any]) -> list[str]:
    return re.findall(r"^  File .*, in (\w+)$", error["traceback"], re.MULTILINE)


def failing_handler() -> None:
    raise ValueError("from the handler")


def through_a_thread(handler: Any) -> None:
    """A stand-in for the worker: asyncio, a thread, a context, then the handler."""

    async def main() -> None:
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            await asyncio.get_running_loop().run_in_executor(pool, handler)

    asyncio.run(main())


def test_the_traceback_begins_at_the_handler() -> None:
    with pytest.raises(ValueError, match="from the handler") as raised:
        through_a_thread(failing_handler)
    assert frames(stored(raised.value))[0] != "failing_handler"
    assert frames(stored(raised.value, keep_frames_from=failing_handler)) == ["failing_handler"]


def test_without_a_handler_the_machinery_at_the_top_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    # The test plays the engine: its own file counts as the package.
    monkeypatch.setattr(pgflow.codec.failure, "_OWN", __file__)
    with pytest.raises(PayloadError) as raised:
        through_a_thread(lambda: encode(object()))
    kept = frames(stored(raised.value))
    assert kept[0] == "encode"
    assert "through_a_thread" not in kept


def test_an_error_of_the_engine_itself_keeps_its_frames() -> None:
    def handler(a: int) -> None: ...

    with pytest.raises(Exception, match="missing") as raised:
        Signature(handler).decode_arguments({})
    start = raised.value.__traceback__
    assert start is not None
    raised.value.__traceback__ = start.tb_next
    assert "decode_arguments" in frames(stored(raised.value))


def test_a_handler_that_is_not_in_the_traceback_does_no_harm() -> None:
    assert "caught" in frames(stored(caught(ValueError()), keep_frames_from=failing_handler))
    assert "caught" in frames(stored(caught(ValueError()), keep_frames_from=len))
