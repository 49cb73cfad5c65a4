from __future__ import annotations

from pgflow.errors import PgflowError


class CronError(PgflowError):
    """A timetable makes no sense: its cron text, interval, instant, time zone or bounds. The text names the part."""
