"""idle: what a worker with nothing to do costs, together with its server."""

from __future__ import annotations

import time

from bench import cpu
from bench.cpu import Meter
from bench.ground import Ground
from bench.lanes import Options
from bench.result import NO_CPU, Result
from bench.worker import Worker

SECONDS, SETTLE = 40.0, 8.0
_BACKENDS = b"""select pid from pg_stat_activity
                where application_name like 'pgflow %' and datname = current_database() and pid <> pg_backend_pid()"""
_COUNT = """select sum(calls)::bigint from pg_stat_statements
             where dbid = (select oid from pg_database where datname = current_database())
               and query not like '%%pg_stat_statements%%' and query not like '%%pg_current_wal_insert_lsn%%'"""


_TOP = """select round((calls / %(seconds)s::float8)::numeric, 2)::float8,
                 round((total_exec_time / %(seconds)s::float8)::numeric, 3)::float8,
                 left(regexp_replace(query, '\\s+', ' ', 'g'), 60)
            from pg_stat_statements
           where dbid = (select oid from pg_database where datname = current_database()) and calls > 1
             and query not like '%%pg_stat_statements%%' and query not like '%%pg_current_wal_insert_lsn%%'
           order by total_exec_time desc limit 8"""


def run(ground: Ground, options: Options) -> Result:
    """The server alone, then with an idle worker."""
    seconds, settle = (0.3, 0.2) if options.quick else (SECONDS, SETTLE)
    counting = bool(ground.value("select current_setting('shared_preload_libraries') like '%%pg_stat_statements%%'"))
    if counting:
        ground.connection.execute("create extension if not exists pg_stat_statements")
    ground.clear()
    ground.connection.execute("vacuum (analyze)")  # so that autovacuum finds nothing to do meanwhile
    time.sleep(settle)
    alone = Meter(ground.connection, [])
    time.sleep(seconds)
    base = alone.spent().postgres / seconds * 1e3
    with Worker(ground.settings) as worker:
        worker.wait_registered(ground.connection)
        time.sleep(settle)
        if counting:
            ground.connection.execute("select pg_stat_statements_reset()")
        ours = [pid for (pid,) in ground.connection.execute(_BACKENDS)]
        used = sum(map(cpu.of_process, ours))
        meter = Meter(ground.connection, [worker.pid])
        time.sleep(seconds)
        spent = meter.spent()
        used = sum(map(cpu.of_process, ours)) - used
        statements = ground.value(_COUNT) if counting else None
    top = ground.connection.execute(_TOP, {"seconds": seconds}).fetchall() if counting else []
    own, server = spent.worker / seconds * 1e3, spent.postgres / seconds * 1e3
    return Result(
        "idle", round(own + server, 3), "ms of CPU a second", round(base, 3), None, NO_CPU, None,
        {"seconds": seconds, "settled_for_s": settle, "floor": "the server alone, with no worker"}, {},
        {"worker_ms_per_s": round(own, 3), "postgres_ms_per_s": round(server, 3),
         "backends_ms_per_s": round(used / seconds * 1e3, 3), "wal_bytes_per_s": round(spent.wal / seconds, 1),
         "statements_per_s": None if statements is None else round(statements / seconds, 2),
         "statements": [{"per_s": calls, "ms_per_s": spent, "text": text} for calls, spent, text in top]},
    )  # fmt: skip
