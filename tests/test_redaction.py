from __future__ import annotations

import html
import json
import urllib.parse
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgflow import redaction
from pgflow.redaction import found, redact, redacted, reveal

TOKEN = "hunter2+/='\"\\ é\n\tend"


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    redaction.forget()  # what other tests of this process revealed
    yield
    redaction.forget()


def test_nothing_is_looked_for_until_a_secret_is_revealed() -> None:
    assert redaction.known == ()
    text = "hunter22"
    assert redact(text) is text
    value = {"a": [text]}
    assert redacted(value) is value
    assert found(text) is None


FORMS = {
    "raw": lambda value: value,
    "repr": repr,
    "repr within quotes": lambda value: repr("it's \"" + value),
    "ascii": ascii,
    "json": json.dumps,
    "orjson": lambda value: orjson.dumps(value).decode(),
    "bytes": lambda value: repr(value.encode()),
    "bytes within quotes": lambda value: repr(b"it's \"" + value.encode()),
    "repr of json": lambda value: repr((json.dumps({"token": value}), 1)),
    "json of repr": lambda value: json.dumps({"error": repr([value])}),
    "json in json": lambda value: json.dumps({"body": json.dumps([value])}),
    "repr of repr": lambda value: repr([repr(value), "'\""]),
    "url": urllib.parse.quote,
    "url whole": lambda value: urllib.parse.quote(value, safe=""),
    "form": urllib.parse.quote_plus,
    "html": html.escape,
    "hex": lambda value: value.encode().hex(),
    "HEX": lambda value: value.encode().hex().upper(),
    "base64": lambda value: b64encode(value.encode()).decode(),
    "basic": lambda value: b64encode(b"user:" + value.encode()).decode(),
    "basic 2": lambda value: b64encode(b"ann:" + value.encode() + b"\r\n").decode(),
    "urlsafe": lambda value: urlsafe_b64encode(b"ab" + value.encode()).decode(),
}


@pytest.mark.parametrize("form", FORMS)
@given(value=st.text(min_size=redaction.SHORTEST, max_size=60))
def test_a_value_is_found_in_every_form(form: str, value: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        return
    redaction.forget()
    reveal("TOKEN", value)
    text = f"a {FORMS[form](value)} z"
    clean = redact(text)
    assert "***TOKEN***" in clean
    assert value not in clean.replace("***TOKEN***", "")
    assert found(orjson.dumps({"text": text})) == "TOKEN"


def test_the_name_takes_the_values_place() -> None:
    reveal("TOKEN", "hunter22")
    reveal("OTHER", "hunter22-longer")
    assert redact("with hunter22: 401") == "with ***TOKEN***: 401"
    assert redact("with hunter22-longer: 401") == "with ***OTHER***: 401"


def test_a_value_that_was_replaced_is_still_taken_out() -> None:
    reveal("TOKEN", "hunter22")
    reveal("TOKEN", "hunter33")
    assert redact("hunter22 hunter33") == "***TOKEN*** ***TOKEN***"


def test_what_is_too_short_would_be_found_everywhere_and_is_not_looked_for() -> None:
    reveal("PIN", "12345")
    assert redaction.known == ()
    reveal("PIN", "123456")
    assert redact("id 9123456") == "id 9***PIN***"


def test_each_long_line_of_a_text_is_known_by_itself_however_it_is_indented() -> None:
    reveal("KEY", "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQ\nZXhhbXBsZSBleGFtcGxlIGV4YW\n-----END KEY-----\n")
    shown = "  | -----BEGIN KEY-----\n  | MIIEvQIBADANBgkqhkiG9w0BAQ\n  | ZXhhbXBsZSBleGFtcGxlIGV4YW\n"
    assert redact(shown) == "  | -----BEGIN KEY-----\n  | ***KEY***\n  | ***KEY***\n"
    assert redact("-----BEGIN KEY-----") == "-----BEGIN KEY-----"


def test_of_a_url_the_password_is_known_by_itself_quoted_and_not() -> None:
    reveal("DSN", "postgresql://ann:p%40ssw0rd!@db.example.com/shop")
    assert redact("password p@ssw0rd! is wrong for ann") == "password ***DSN*** is wrong for ann"
    assert redact("p%40ssw0rd!") == "***DSN***"
    reveal("BAD", "http://[bad/password")  # no URL after all
    assert redact("http://[bad/password") == "***BAD***"


class _Odd:
    def __repr__(self) -> str:
        raise RuntimeError


def test_whatever_is_nested_in_a_value_is_redacted() -> None:
    reveal("TOKEN", "hunter22")
    odd = _Odd()
    value = {
        "hunter22": 1, "list": ["x", ("hunter22", None, True)], "bytes": b"a hunter22", "error": ValueError("hunter22"),
        "set": {"hunter22"}, "odd": odd, "number": 5,
    }  # fmt: skip
    clean = redacted(value)
    assert "hunter22" not in repr({key: part for key, part in clean.items() if key != "odd"})
    assert clean["***TOKEN***"] == 1
    assert clean["list"] == ["x", ("***TOKEN***", None, True)]
    assert clean["odd"] is odd
    assert clean["number"] == 5


def test_a_value_within_itself_ends() -> None:
    reveal("TOKEN", "hunter22")
    loop: list[object] = ["hunter22"]
    loop.append(loop)
    assert "hunter22" not in repr(redacted(loop))


@given(st.text(max_size=200))
def test_what_holds_no_secret_is_left_as_it_is(text: str) -> None:
    redaction.forget()
    reveal("TOKEN", "h7Kq-93jf-20fk-Zz")
    assert redact(text) == text
    assert redacted([text]) == [text]


def test_half_characters_are_no_reason_to_fail() -> None:
    reveal("TOKEN", "hunter\udc80 22")
    assert redact("hunter\udc80 22") == "***TOKEN***"
    assert redact("\ud800") == "\ud800"
