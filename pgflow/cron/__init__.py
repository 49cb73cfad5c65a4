"""When schedules fire: timetables, with nothing known of databases and nothing of the present.

A timetable is asked for the instants around an instant, in either direction, and how many lie between two; so whoever
asks needs no state but the last instant looked at, and may have slept for a year. `docs/cron.md` says what it answers.

Three layers. A `Pattern` knows what a wall clock reads when a cron expression matches. `zones` cuts time into stretches
in which a zone's clock is not set. A `Cron` goes through the stretches and searches each with the pattern; all that is
hard about daylight saving is one number, the reading from which on a stretch counts (`Cron._floor`).
"""

from __future__ import annotations

from pgflow.cron.error import CronError
from pgflow.cron.kinds import Cron, Interval, Once
from pgflow.cron.making import instant, timetable
from pgflow.cron.timetable import Missed, Timetable, Within, missed
from pgflow.cron.zones import zone

__all__ = [
    "Cron",
    "CronError",
    "Interval",
    "Missed",
    "Once",
    "Timetable",
    "Within",
    "instant",
    "missed",
    "timetable",
    "zone",
]
