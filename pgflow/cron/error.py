from __future__ import annotations

from pgflow.errors import ArgumentError


class CronError(ArgumentError):
    """A timetable makes no sense: its cron text, interval, instant, time zone or bounds. The text names the part."""
