"""A fortnight of runs that have ended, as they would lie there: for what is asked of them.

A partition a day, as the leader turns them. Of a hundred runs ninety-nine are of one workflow, the others of twenty; of
one more there are fifty, as old as can be. 97 % completed, the others failed or were cancelled; some are not over:
asleep or waiting since long ago, queued and running now. Every twentieth has three children. All have an input, an
output, a tag, and the events of their start and end; one of all has a tag of its own; a tenth has a key of its own, and
a thousandth one that comes again and again.
"""

from __future__ import annotations

import shutil
import tempfile
from datetime import UTC, datetime, timedelta

from bench.ground import Ground
from pgflow.db import partitions

DAYS, BATCH, WIDTH = 14, 50_000, 10_000_000
LIVE = 1_000
"""As many of the last runs are not over."""
BYTES_A_RUN, SPARE = 2_000, 12 * 2**30
"""Of disk, the log included; and what is left free: the log may take 8 GB before it is cut."""
_RUNS = """(select n, (n / {day} * {width} + 1 + n %% {day} + n %% {day} / 20 * 3)::bigint as id,
                   now() - make_interval(secs => (%(runs)s - n) * {apart}) as at
              from generate_series(%(first)s::bigint, %(end)s::bigint) n) r"""
_FAMILY = "cross join lateral generate_series(0, case when r.n %% 20 = 19 then 3 else 0 end) c"
_OPEN = "r.n %% 10000 in (55, 56)"
_TASKS = f"""
    insert into pgflow.task (id, root_id, parent_id, name, queue, priority, input, created_at, key, tags, step)
    select r.id + c, r.id, case when c > 0 then r.id end,
           case when r.n < 50 then 'bench.rare' when r.n %% 100 = 0 then 'bench.w' || r.n / 100 %% 20
                else 'bench.busy' end,
           case when r.n %% 100 = 0 then 'rare' else 'bench' end, 2,
           jsonb_build_object('order', r.n, 'address', repeat('street and number ', 6)), r.at,
           case when c > 0 then null when r.n %% 1000 = 0 then 'nightly' when r.n %% 10 = 0 then 'k' || r.n end,
           case when c = 0 then jsonb_build_object('customer', (r.n %% 5000)::text)
                || case when r.n = 7 then '{{{{"order": "17"}}}}' else '{{{{}}}}' end::jsonb end,
           case when c > 0 then 'step' || c end
      from {_RUNS} {_FAMILY} order by r.id, c"""
_OUTCOMES = f"""
    insert into pgflow.outcome (root_id, task_id, parent_id, state, attempt, output, error, finished_at)
    select r.id, r.id + c, case when c > 0 then r.id end, s.state::pgflow.state, 1,
           case when s.state = 'completed' then jsonb_build_object('parcel', r.n, 'sent', true) end,
           case when s.state = 'failed' then '{{{{"type": "ValueError", "message": "no such address"}}}}'::jsonb end,
           least(now(), r.at + make_interval(secs => 1 + r.n * 7919 %% 60
                                                     + case when r.n %% 500 = 3 then 86400 else 0 end))
      from {_RUNS} {_FAMILY}
     cross join lateral (
           select case when r.n * 31 %% 1000 < 15 then 'failed' when r.n * 31 %% 1000 < 30 then 'cancelled'
                       else 'completed' end as state) s
     where not {_OPEN} and r.n < %(runs)s - {LIVE} order by 8, 2"""
_EVENTS = """
    insert into pgflow.event (root_id, task_id, type, attempt, at, worker_id)
    select o.root_id, o.task_id, e.type::pgflow.event_type, 1, o.finished_at - e.before, 1
      from pgflow.outcome o
     cross join lateral (values (interval '1 s', 'task.started'), (interval '0', 'task.' || o.state)) e(before, type)
     where o.root_id between %(least)s and %(most)s order by 5"""
_ASLEEP = f"""
    insert into pgflow.delayed (task_id, root_id, due_at, reason, attempt, crashes)
    select r.id, r.id, now() + interval '9 days', 'sleeping', 1, 0 from {_RUNS} where r.n %% 10000 = 55"""
_WAITING = f"""
    insert into pgflow.inbox (task_id, root_id, arrived, needed, attempt, crashes)
    select r.id, r.id, 0, 1, 1, 0 from {_RUNS} where r.n %% 10000 = 56"""
_RUNNING = f"""
    insert into pgflow.lease (task_id, root_id, epoch, attempt, crashes, worker_id, claimed_at)
    select r.id, r.id, 1, 1, 1, 1, now() from {_RUNS}
     where r.n >= %(runs)s - {LIVE} and r.n < %(runs)s - {LIVE} * 4 / 5 and not {_OPEN}"""
_QUEUED = f"""
    insert into pgflow.ready (queue, priority, task_id, root_id, attempt, crashes)
    select case when r.n %% 100 = 0 then 'rare' else 'bench' end, 2, r.id, r.id, 1, 0 from {_RUNS}
     where r.n >= %(runs)s - {LIVE} * 4 / 5 and not {_OPEN}"""


def room_for(runs: int) -> int:
    """So many of them as the disk has room for."""
    free = shutil.disk_usage(tempfile.gettempdir()).free - SPARE
    return max(0, min(runs, free // BYTES_A_RUN))


def _a_day(runs: int) -> int:
    day = -(-runs // DAYS)
    return day + -day % 20  # children follow their run: no day ends between them


def id_of(number: int, runs: int) -> int:
    """The id of a run, by its number; 0 is the oldest."""
    day, rest = divmod(number, _a_day(runs))
    return day * WIDTH + 1 + rest + rest // 20 * 3


def time_of(number: int, runs: int) -> datetime:
    """When it was asked for, about."""
    return datetime.now(UTC) - timedelta(days=DAYS) * ((runs - number) / runs)


def fill(ground: Ground, runs: int, *, analyzed: bool = True) -> None:
    """So many runs, spread evenly over the days, the last one of this instant.

    Args:
        ground: where to.
        runs: how many.
        analyzed: with statistics, and vacuumed, as autovacuum leaves what rests.
    """
    day, connection = _a_day(runs), ground.connection
    texts = [
        text.format(day=day, width=WIDTH, apart=f"{DAYS * 86400 / runs:.9f}").encode()
        for text in (_TASKS, _OUTCOMES, _ASLEEP, _WAITING, _RUNNING, _QUEUED)
    ]
    connection.execute("set synchronous_commit = off")
    for begin in range(0, runs, day):
        connection.execute("select setval('pgflow.task_id_seq', %s)", [max(1, begin // day * WIDTH)])
        ground.session.run(partitions.make())
        for first in range(begin, min(runs, begin + day), BATCH):
            end = min(runs, begin + day, first + BATCH) - 1
            for text in texts:
                connection.execute(text, {"first": first, "end": end, "runs": runs})
            connection.execute(_EVENTS, {"least": id_of(first, runs), "most": id_of(end, runs)})
        connection.execute("checkpoint")
    connection.execute("select setval('pgflow.task_id_seq', %s)", [id_of(runs - 1, runs) + 3])
    connection.execute("reset synchronous_commit")
    ground.session.run(partitions.make())
    if analyzed:
        connection.execute("vacuum analyze pgflow.task, pgflow.outcome, pgflow.event, pgflow.delayed, pgflow.ready")
    connection.execute("checkpoint")
