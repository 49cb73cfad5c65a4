"""The enums of the code and those of the database have the same words in the same order."""

from __future__ import annotations

from enum import StrEnum

import psycopg
import pytest

from pgflow.model import FINAL_STATES, EventType, Priority, State
from tests.fixtures.database import Engine


@pytest.mark.parametrize(("kind", "type_name"), [(State, "pgflow.state"), (EventType, "pgflow.event_type")])
def test_an_enum_has_the_words_of_its_sql_type(engine: Engine, kind: type[StrEnum], type_name: str) -> None:
    ((words,),) = engine.query(f"select enum_range(null::{type_name})::text[]")
    assert words == [member.value for member in kind]


def test_outcomes_take_the_final_states_and_no_other(engine: Engine) -> None:
    (task_id,) = engine.enqueue()
    accepted = set()
    for state in State:
        with engine.connection.transaction(force_rollback=True):
            engine.connection.execute("delete from pgflow.ready")
            error = '{"type": "X"}' if state is State.FAILED else None
            try:
                engine.connection.execute(
                    "insert into pgflow.outcome (root_id, task_id, state, attempt, error, finished_at)"
                    " values (%s, %s, %s, 1, %s, now())",
                    (task_id, task_id, state.value, error),
                )
            except psycopg.errors.CheckViolation:
                continue
            accepted.add(state)
    assert accepted == FINAL_STATES


def test_the_view_names_priorities_as_the_code_does(engine: Engine) -> None:
    for priority in Priority:
        engine.enqueue(priority=priority)
    shown = engine.query("select priority from pgflow.task_state order by id")
    assert [name for (name,) in shown] == [priority.name.lower() for priority in Priority]
