"""What is told in a process of the user's goes where its own logging goes, and never to its output."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import orjson
import pytest
import structlog

from pgflow import logs, redaction


@pytest.fixture(autouse=True)
def unconfigured() -> Iterator[None]:
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()
    redaction.forget()


def test_without_structlog_the_standard_library_is_told(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.tell(logging.WARNING, "trouble", node="a", error="gone")
    try:
        raise ValueError("why")
    except ValueError:
        logs.tell(logging.ERROR, "worse", exc_info=True)
    warning, error = caplog.records
    assert (warning.name, warning.levelname, warning.getMessage()) == (
        "pgflow",
        "WARNING",
        "trouble node='a' error='gone'",
    )
    assert error.exc_info is not None
    assert isinstance(error.exc_info[1], ValueError)
    assert capsys.readouterr() == ("", "")


def test_with_structlog_it_is_told_as_the_rest_is(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure("json")
    logs.tell(logging.WARNING, "trouble", node="a")
    told = orjson.loads(capsys.readouterr().err)
    assert told == {"level": "warning", "event": "trouble", "node": "a", "timestamp": told["timestamp"]}
    assert caplog.records == []


def test_a_secret_is_told_to_neither(caplog: pytest.LogCaptureFixture) -> None:
    redaction.reveal("TOKEN", "hunter2222")
    logs.tell(logging.WARNING, "trouble", error="password hunter2222")
    assert "hunter2222" not in caplog.text
