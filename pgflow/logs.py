"""Logging: structlog, as text for a terminal or as JSON lines for a collector. Always to standard error."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, MutableMapping
from typing import Any, TextIO, cast

import structlog

from pgflow import redaction


def configure(format: str = "auto", level: str = "info") -> None:
    """Set up logging for this process.

    Args:
        format: `console`, `json`, or `auto`: console on a terminal.
        level: the least level shown.
    """
    console = format == "console" or (format == "auto" and sys.stderr.isatty())
    renderer: Any = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()) if console else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=not console),
            structlog.processors.format_exc_info,
            _without_secrets,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def tell(level: int, what: str, *, exc_info: bool = False, **details: str) -> None:
    """Log what happens in code that runs in processes of the user's as well. Unlike a worker, such a process may not
    have set up structlog, which would then print to its output: it is told through the standard library's logging."""
    if structlog.is_configured():
        structlog.get_logger("pgflow").log(level, what, exc_info=exc_info, **details)
    else:
        shown = "".join(f" {name}={value!r}" for name, value in details.items())
        logging.getLogger("pgflow").log(level, "%s%s", what, redaction.redact(shown), exc_info=exc_info)


def _without_secrets(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return cast(MutableMapping[str, Any], redaction.redacted(event)) if redaction.known else event


def guard() -> None:
    """Take revealed secrets out of all that this process prints: for one that runs users' code, whose own loggers,
    prints and last words go there too. To be called before `configure`."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None:  # as one that was closed before the start is
            setattr(sys, name, _Guarded(stream))


class _Guarded:
    """A stream whose text is redacted. Each write is looked at by itself."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(redaction.redact(text) if redaction.known else text)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
