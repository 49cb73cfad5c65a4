from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from pgflow.cli import checks
from pgflow.cli.checks import Check, Level
from pgflow.db.connect import PLANNER
from pgflow.db.migrations import Plan, Step
from pgflow.engine.diagnosis import Crew, Holder, Leader, Rights, Role, Server, Supply, Table

NOW = datetime(2026, 5, 1, tzinfo=UTC)
SERVER = Server("18.6", 1, "app", "ann", NOW, 0.0, False, False, True, True, "on", True, True, 100, 10, 1000)
LEADER = Leader(3, "h", 1, NOW, 1.0, True)
CREW = Crew(2, 0, 1, [], [])
SUPPLY = Supply(35_000_000, 3, 10_000_000, [])
TABLE = Table("ready", 10, 5, 8192, NOW, False)


def worst(*found: Check) -> Level:
    return max((check.level for check in found), key=[Level.OK, Level.WARN, Level.FAIL].index)


def server(version: int = 180006, **changed: Any) -> dict[str, Level]:
    return {check.name: check.level for check in checks.server(SERVER._replace(**changed), version)}


def test_a_healthy_server_is_all_well() -> None:
    assert set(server().values()) == {Level.OK}


@pytest.mark.parametrize(
    ("changed", "name", "level"),
    [
        ({"fsync": False}, "durability", Level.FAIL),
        ({"full_page_writes": False}, "durability", Level.WARN),
        ({"synchronous_commit": "off"}, "durability", Level.WARN),
        ({"synchronous_commit": "local"}, "durability", Level.OK),
        ({"autovacuum": False}, "autovacuum", Level.FAIL),
        ({"track_counts": False}, "autovacuum", Level.FAIL),
        ({"in_recovery": True}, "writable", Level.FAIL),
        ({"read_only": True}, "writable", Level.FAIL),
        ({"connections": 95}, "connections", Level.WARN),
        ({"frozen_age": 1_900_000_000}, "wraparound", Level.FAIL),
        ({"version": 140012}, "version", Level.FAIL),
        ({"version": 150000}, "version", Level.OK),
    ],
)
def test_a_server_setting_has_its_verdict(changed: dict[str, Any], name: str, level: Level) -> None:
    assert server(**changed)[name] is level


def test_a_schema_is_judged_by_its_version() -> None:
    stale = (Step(None, "functions/now", "", ""),)
    assert checks.schema(Plan(1, 1, ()), "pgflow").level is Level.OK
    assert checks.schema(Plan(1, 1, stale), "pgflow").level is Level.WARN
    assert checks.schema(Plan(1, 2, stale), "pgflow").level is Level.FAIL
    assert "'tenant'" in checks.schema(Plan(0, 2, stale), "tenant").found


def test_roles_and_rights_say_what_the_user_lacks() -> None:
    assert checks.roles([Role("a", True, True), Role("b", True, False)]).level is Level.OK
    assert "b" in checks.roles([Role("a", True, True), Role("b", False, False)]).found
    verdicts = [
        checks.rights(rights, "ann").level
        for rights in (
            Rights(True, True, True, True, True),
            Rights(False, False, True, True, False),
            Rights(False, False, True, False, False),
            Rights(False, False, False, False, False),
            None,
        )
    ]
    assert verdicts == [Level.OK, Level.OK, Level.WARN, Level.FAIL, Level.FAIL]


def test_clocks_may_differ_by_what_the_round_trip_hides() -> None:
    assert checks.clock(0.4, 0.001).level is Level.OK
    assert checks.clock(-5.0, 0.001).level is Level.WARN
    assert "behind" in checks.clock(-5.0, 0.001).found
    assert checks.clock(5.0, 10.0).level is Level.OK, "a slow network is no wrong clock"


def test_a_test_clock_left_on_fails() -> None:
    assert checks.clock_offset([]).level is Level.OK
    assert "database app: 3 days" in checks.clock_offset([("database app", "3 days")]).found


def test_planner_settings_must_be_in_force() -> None:
    assert checks.planner(PLANNER, pooled=True).level is Level.OK
    lost = checks.planner({**PLANNER, "jit": "on"}, pooled=True)
    assert (lost.level, "jit=on" in lost.found, "alter role" in str(lost.do)) == (Level.FAIL, True, True)


@pytest.mark.parametrize(
    ("found", "pooled", "direct_found", "level"),
    [
        (False, False, False, Level.OK),
        (True, True, False, Level.OK),
        (True, False, False, Level.FAIL),
        (False, True, False, Level.WARN),
        (True, True, True, Level.FAIL),
    ],
)
def test_a_pooler_must_be_known_of_and_gone_round(found: bool, pooled: bool, direct_found: bool, level: Level) -> None:
    check = checks.pooler(found=found, pooled=pooled, has_direct=direct_found, direct_found=direct_found)
    assert check.level is level


def test_notifications_must_be_heard_soon() -> None:
    levels = [checks.notify(seconds).level for seconds in (0.001, 0.4, None)]
    assert levels == [Level.OK, Level.WARN, Level.FAIL]


def test_a_missing_leader_is_worse_when_there_are_workers() -> None:
    assert checks.leader(LEADER, 1).level is Level.OK
    assert [checks.leader(None, alive).level for alive in (0, 2)] == [Level.WARN, Level.FAIL]
    silent = LEADER._replace(silence=300.0)
    assert [checks.leader(silent, alive).level for alive in (0, 2)] == [Level.WARN, Level.FAIL]
    assert "5m" in checks.leader(silent, 0).found


def test_what_is_ready_must_be_served() -> None:
    assert worst(*checks.crew(CREW)) is Level.OK
    assert worst(*checks.crew(CREW._replace(silent=1))) is Level.WARN
    assert worst(*checks.crew(CREW._replace(alive=0))) is Level.WARN
    assert worst(*checks.crew(CREW._replace(paused=["mail"]))) is Level.WARN
    assert worst(*checks.crew(CREW._replace(unserved=list("abcdefg")))) is Level.FAIL


def test_partitions_must_lie_ahead() -> None:
    assert checks.supply(SUPPLY).level is Level.OK
    assert checks.supply(SUPPLY._replace(whole_ahead=0, ids_ahead=5_000_000)).level is Level.WARN
    assert checks.supply(SUPPLY._replace(whole_ahead=0, ids_ahead=500_000)).level is Level.FAIL
    assert checks.supply(SUPPLY._replace(broken=[0])).level is Level.FAIL


def test_who_holds_vacuum_back_is_named() -> None:
    young = Holder("session", 7, "ann psql", "active", 3.0, 10, "select 1")
    old = young._replace(seconds=900.0)
    slot = Holder("replication slot", None, "standby", "inactive", None, 9, "physical")
    assert checks.snapshots([young], may_monitor=True).level is Level.OK
    assert checks.snapshots([young], may_monitor=False).level is Level.WARN
    assert "session 7 ann psql for 15m, active: select 1" in checks.snapshots([old], may_monitor=False).found
    assert "replication slot standby" in checks.snapshots([slot], may_monitor=True).found


def test_dead_rows_are_judged_against_the_living() -> None:
    assert checks.tables([TABLE]).level is Level.OK
    assert checks.tables([TABLE._replace(dead=300_000)]).level is Level.WARN
    assert checks.tables([TABLE._replace(dead=300_000, live=1_000_000)]).level is Level.OK
    assert checks.tables([TABLE._replace(autovacuum_off=True)]).level is Level.FAIL
