"""What is encoded is what Postgres takes, and gives back equal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pgflow.codec import MAX_DEPTH, decode, encode, error_json
from tests.codec.test_values import json_values, nested


@pytest.fixture(scope="module")
def connection(server_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(server_url, autocommit=True) as connection:
        yield connection


def assert_same(found: Any, expected: Any) -> None:
    """Equal, of the same types; but jsonb, which has no exponents, makes large floats integers of as many digits."""
    if isinstance(expected, float) and abs(expected) >= 1e16:
        assert float(found) == expected
        return
    assert type(found) is type(expected)
    if isinstance(expected, list):
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    elif isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            assert_same(found[key], value)
    else:
        assert found == expected


def through_jsonb(connection: psycopg.Connection[Any], documents: list[bytes]) -> list[Any]:
    query = "select document::jsonb::text from unnest(%s::text[]) with ordinality as given (document, n) order by n"
    return [decode(text) for (text,) in connection.execute(query, [[data.decode() for data in documents]])]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(values=st.lists(json_values, max_size=20))
def test_every_value_that_is_encoded_comes_back_from_jsonb_equal(
    connection: psycopg.Connection[Any], values: list[Any]
) -> None:
    assert_same(through_jsonb(connection, [encode(value) for value in values]), values)


def test_the_extremes_come_back_from_jsonb_equal(connection: psycopg.Connection[Any]) -> None:
    values = [
        2**63 - 1,
        -(2**63),
        1.7976931348623157e308,
        5e-324,
        1.5e19,
        nested(MAX_DEPTH),
        "\x01\x7f\U0010ffff\ufffe",
    ]
    assert_same(through_jsonb(connection, [encode(value) for value in values]), values)


@settings(max_examples=30, deadline=None)
@given(text=st.text(st.characters(categories=["Cs", "Cc", "Lu", "Zl"])))
def test_any_error_is_taken_by_jsonb(connection: psycopg.Connection[Any], text: str) -> None:
    error = type("Odd", (Exception,), {"__module__": text})(text)
    error.add_note(text)
    data = error_json(error)
    assert through_jsonb(connection, [data]) == [decode(data)]
