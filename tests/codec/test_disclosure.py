"""What is stored never holds a secret: refused with its name and place, or taken out where people read it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgflow import redaction
from pgflow.codec import Signature, encode, error_json
from pgflow.errors import PayloadError
from pgflow.sdk.app import App

SECRET = 'hunt"er\\22 é'


@pytest.fixture(autouse=True)
def _revealed() -> Iterator[None]:
    redaction.forget()
    redaction.reveal("API_TOKEN", SECRET)
    yield
    redaction.forget()


@dataclass
class Call:
    url: str
    headers: dict[str, str]


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (SECRET, "$"),
        ({"headers": {"authorization": f"Bearer {SECRET}"}}, "$.headers.authorization"),
        ([1, {"two words": [SECRET]}], '$[1]["two words"][0]'),
        ({"a": {f"key {SECRET}": 1}}, "$.a"),
        (Call("https://example.com", {"x": SECRET}), "$.headers.x"),
        ({"shown": repr(SECRET)}, "$.shown"),
        ({"nested": orjson.dumps({"token": SECRET}).decode()}, "$.nested"),
        ({"bytes": SECRET.encode()}, "$.bytes"),
        ((None, f"{SECRET!a}"), "$[1]"),
    ],
)
def test_a_value_that_holds_a_secret_is_refused_with_its_place(value: Any, path: str) -> None:
    with pytest.raises(PayloadError, match="holds the secret API_TOKEN") as caught:
        encode(value)
    assert caught.value.path == path
    assert redaction.found(str(caught.value)) is None


def test_arguments_and_results_are_refused_too() -> None:
    def send(to: str, call: Call | None = None) -> Call:
        raise NotImplementedError

    signature = Signature(send)
    with pytest.raises(PayloadError) as caught:
        signature.encode_arguments((SECRET,), {})
    assert caught.value.path == "$.to"
    with pytest.raises(PayloadError) as caught:
        signature.encode_arguments(("ann",), {"call": Call(SECRET, {})})
    assert caught.value.path == "$.call.url"
    with pytest.raises(PayloadError) as caught:
        signature.encode_result(Call("", {"a": SECRET}))
    assert caught.value.path == "$.headers.a"


def test_keys_and_slots_are_refused() -> None:
    app = App()

    @app.task(name="plain", slot="".join)
    def plain(parts: list[str]) -> None: ...

    with pytest.raises(PayloadError, match="the key of plain: holds the secret API_TOKEN"):
        plain.options(key=f"k {SECRET}").request(["x"])
    with pytest.raises(PayloadError, match="the slot of plain: holds the secret API_TOKEN"):
        plain.request([SECRET[:5], SECRET[5:]])


@given(st.recursive(st.none() | st.integers(-(2**40), 2**40) | st.text(), st.lists, max_leaves=10))
def test_what_holds_none_is_written_as_ever(value: Any) -> None:
    redaction.forget()
    try:
        plain = encode(value)
    except PayloadError:
        return
    redaction.reveal("API_TOKEN", SECRET)
    assert encode(value) == plain


class _Telling(Exception):
    def __init__(self) -> None:
        super().__init__("told")
        self.add_note(f"a note with {SECRET}\nand {SECRET!r}")


def test_errors_are_stored_without_it() -> None:
    try:
        try:
            raise KeyError(SECRET)
        except KeyError as error:
            raise ExceptionGroup(f"several: {SECRET}", [_Telling(), ValueError(f"{SECRET!a}")]) from error
    except ExceptionGroup as group:
        stored = error_json(group).decode()
    assert redaction.found(stored) is None
    assert redaction.found(stored.encode()) is None
    assert stored.count("***API_TOKEN***") >= 6


def test_a_long_error_is_cut_after_the_secret_was_taken_out() -> None:
    """Cut before, half of it would be left."""
    for length in range(900, 1100):
        error = ValueError("x" * length + SECRET + "x" * 5000)
        assert SECRET[:5] not in orjson.loads(error_json(error, limit=8192))["message"]


def test_names_of_types_are_looked_at() -> None:
    kind = type(SECRET, (Exception,), {"__module__": SECRET})
    assert redaction.found(error_json(kind())) is None
