"""Logging: structlog, as text for a terminal or as JSON lines for a collector. Always to standard error."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog


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
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
