"""Workflows whose code asks for what cannot be: parked with an error that says what and where, and recoverable."""

from __future__ import annotations

import pytest

from pgflow import App, Context, SyncContext, step
from pgflow.errors import RegistrationError
from pgflow.sdk import replay
from pgflow.sdk.async_client import AsyncClient
from tests.fixtures.database import Engine
from tests.fixtures.workers import Workers, eventually
from tests.workflows import flows

FAULTS = {
    "nameless": ("NotRecordable", "a lambda has no name"),
    "twice": ("DuplicateStep", "two steps have the key 'same'"),
    "raw_coroutine": ("NotRecordable", "argument 2 of ctx.gather is a coroutine"),
    "foreign_gather": ("NotRecordable", "ctx.step is awaited while ctx.step is"),
    "swallowing": ("SwallowedSuspension", "the code went on to note"),
    "swallowing_to_the_end": ("SwallowedSuspension", "the code came to its end"),
    "not_json": ("NotRecordable", "the result of step unstorable cannot be stored"),
    "forgotten": ("NotAwaited", "ctx.step was never awaited"),
    "no_child": ("NotRecordable", "'nowhere' is no task or workflow of this app"),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_a_fault_parks_the_run_and_says_where(
    flow_workers: Workers, flow_client: AsyncClient, engine: Engine, name: str
) -> None:
    kind, problem = FAULTS[name]
    async with flow_workers():
        run = await flow_client.start(flows.app.tasks[name])
        await eventually(lambda: engine.query("select 1 from pgflow.parked"))
    ((reason, detail),) = engine.query("select reason::text, detail from pgflow.parked where task_id = %s", run.id)
    assert reason == "needs_attention"
    assert detail["type"] == kind
    assert problem in detail["message"]
    if name != "nameless":
        assert "flows.py:" in detail["message"] + detail["traceback"]
    assert engine.events(run.id)[-1] == "workflow.parked"


async def test_a_history_has_its_limit(
    flow_workers: Workers, flow_client: AsyncClient, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "MAX_STEPS", 5)
    async with flow_workers():
        await flow_client.start(flows.too_long)
        await eventually(lambda: engine.query("select 1 from pgflow.parked"))
    ((detail,),) = engine.query("select detail from pgflow.parked")
    assert (detail["type"], "continue_as_new" in detail["message"]) == ("HistoryLimit", True)
    assert flows.CALLS == ["0", "1", "2", "3", "4"]


async def test_a_workflow_without_code_waits_for_a_worker_that_has_it(
    flow_workers: Workers, flow_client: AsyncClient, engine: Engine
) -> None:
    (run,) = engine.enqueue(name="gone_after_a_deploy")
    async with flow_workers():
        await eventually(lambda: engine.state(run) == "scheduled")


def test_declarations_that_make_no_sense_are_refused() -> None:
    app = App()

    def no_context() -> None: ...
    async def wrong_colour(ctx: SyncContext) -> None: ...
    def other_colour(ctx: Context) -> None: ...
    def unstorable(ctx: SyncContext, what: object) -> None: ...

    with pytest.raises(RegistrationError, match="takes no context"):
        app.workflow(name="a")(no_context)  # type: ignore[arg-type]
    with pytest.raises(RegistrationError, match="is async and takes a SyncContext"):
        app.workflow(name="b")(wrong_colour)  # type: ignore[arg-type]
    with pytest.raises(RegistrationError, match="is plain and takes a Context"):
        app.workflow(name="c")(other_colour)  # type: ignore[arg-type]
    with pytest.raises(RegistrationError, match="is no key"):
        step(no_context, key="$mine")
    with pytest.raises(RegistrationError, match="is no name for a step"):
        step(no_context, name="a/b")
