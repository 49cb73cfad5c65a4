"""Workflows in unit tests, without a database."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import BaseModel

import pgflow
from pgflow import App, Context, Fatal, RetryPolicy, StepFailed, SyncContext, TaskCancelled, TaskFailed
from pgflow.errors import ArgumentError, HistoryMismatch, NotFound, NotRecordable, PayloadError, WorkflowError
from pgflow.testing import After, Inline, NotGiven, Sent, SyncInline, WaitsForEver
from tests.workflows import flows

app = App()
START = datetime(2026, 1, 31, 12, tzinfo=UTC)


class User(BaseModel):
    email: str
    card: str = "4242"


class Confirmation(BaseModel):
    by: str


@dataclass
class Receipt:
    number: int
    at: datetime


DONE: list[Any] = []


@pytest.fixture(autouse=True)
def nothing_done() -> None:
    DONE.clear()
    flows.CALLS.clear()


async def charge(card: str) -> Receipt:
    DONE.append(("charge", card))
    return Receipt(1, START)


async def refund(receipt: Receipt) -> None:
    DONE.append(("refund", receipt))


def refund_plainly(number: int) -> None:
    DONE.append(("refund", number))


@app.task(name="mail")
def mail(to: str, template: str) -> str:
    DONE.append(("mail", to, template))
    return f"{template} to {to}"


@app.task(name="flaky", retry=RetryPolicy(3, base=200, jitter=False))
async def flaky(times: int) -> int:
    DONE.append("flaky")
    if DONE.count("flaky") < times:
        raise ConnectionError("not yet")
    return pgflow.current().attempt


@app.workflow(name="signup")
async def signup(ctx: Context, user: User) -> str:
    receipt = await ctx.step(charge, user.card)
    ctx.compensate(refund, receipt)
    await ctx.run(mail, user.email, "welcome")
    await ctx.sleep("1h")
    answer = await ctx.signal("confirmed", Confirmation, timeout="3d")
    ctx.set_state({"answered": answer is not None})
    if answer is not None and answer.by == "mallory":
        raise PermissionError("not you")
    return "expired" if answer is None else f"confirmed by {answer.by}"


async def test_a_workflow_runs_whole() -> None:
    ctx = Inline(signals={"confirmed": [Confirmation(by="ann")]})
    assert await signup(ctx, User(email="ann@example.com")) == "confirmed by ann"
    assert DONE == [("charge", "4242"), ("mail", "ann@example.com", "welcome")]
    assert ctx.keys == ["charge", "$cleanup", "mail", "$sleep", "$signal:confirmed"]
    assert [(h.kind, h.result) for h in ctx.history if h.key in {"charge", "mail", "$signal:confirmed"}] == [
        ("step", {"at": "2026-01-31T12:00:00Z", "number": 1}),
        ("child", "welcome to ann@example.com"),
        ("signal", {"by": "ann"}),
    ]
    assert ctx.state == {"answered": True}
    assert ctx.slept == [timedelta(hours=1)]


async def test_a_time_out_fires_when_nothing_is_sent() -> None:
    ctx = Inline(now=START)
    assert await signup(ctx, User(email="ann@example.com")) == "expired"
    assert ctx.elapsed == timedelta(days=3, hours=1)


async def test_a_signal_may_come_later_and_too_late() -> None:
    in_time = Inline(signals={"confirmed": [After("3d", Confirmation(by="ann"))]})
    assert await signup(in_time, User(email="a@example.com")) == "confirmed by ann"
    assert in_time.elapsed == timedelta(days=3)
    too_late = Inline(signals={"confirmed": [After("4d", Confirmation(by="ann"))]})
    assert await signup(too_late, User(email="a@example.com")) == "expired"


async def test_what_was_done_is_undone_when_the_run_fails() -> None:
    ctx = Inline(signals={"confirmed": Confirmation(by="mallory")})
    with pytest.raises(PermissionError, match="not you"):
        await signup(ctx, User(email="ann@example.com"))
    assert DONE[-1] == ("refund", Receipt(1, START))
    assert ctx.keys[-1] == "$compensate:refund"


async def test_a_run_can_be_cancelled_while_it_sleeps() -> None:
    ctx = Inline(cancel_after="30m")
    with pytest.raises(TaskCancelled):
        await signup(ctx, User(email="ann@example.com"))
    assert DONE[-1] == ("refund", Receipt(1, START))
    assert ctx.elapsed == timedelta(minutes=30)


async def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ArgumentError):
        await signup(Inline(), "ann@example.com", "and more")  # type: ignore[call-arg]


async def test_a_context_is_good_for_one_run() -> None:
    ctx = Inline()
    await signup(ctx, User(email="ann@example.com"))
    with pytest.raises(WorkflowError, match="has had its run"):
        await signup(ctx, User(email="ann@example.com"))


@app.workflow(name="patient")
async def patient(ctx: Context) -> None:
    await ctx.signal("go")


async def test_a_wait_for_ever_is_an_error_that_says_for_what_and_where() -> None:
    with pytest.raises(WaitsForEver, match="patient waits for signal 'go'"):
        await patient(Inline())
    with pytest.raises(WaitsForEver, match="patient waits for signal 'go'"):
        await patient(Inline(signals={"stop": [1]}))


@app.workflow(name="parent_of_patient")
async def parent_of_patient(ctx: Context) -> None:
    await ctx.run(patient)


async def test_a_child_that_waits_for_ever_is_told_of() -> None:
    with pytest.raises(WaitsForEver, match="patient waits for signal 'go'"):
        await parent_of_patient(Inline())


@app.workflow(name="monthly")
async def monthly(ctx: Context) -> tuple[datetime, datetime]:
    before = ctx.now()
    await ctx.sleep("30d")
    return before, ctx.now()


async def test_a_month_of_sleep_passes_at_once_on_the_runs_own_clock() -> None:
    began = time.perf_counter()
    assert await monthly(Inline(now=START)) == (START, START + timedelta(days=30))
    assert time.perf_counter() - began < 60


@app.workflow(name="stubborn", retry=RetryPolicy(4, base=200, jitter=False))
async def stubborn(ctx: Context, times: int) -> int:
    async def knock() -> int:
        DONE.append("knock")
        if DONE.count("knock") < times:
            raise ConnectionError("nobody there")
        return len(DONE)

    return await ctx.step(knock)


async def test_a_step_is_retried_without_rests() -> None:
    ctx = Inline()
    assert await stubborn(ctx, 3) == 3
    assert [(h.key, h.kind) for h in ctx.history] == [("knock", "retry"), ("knock", "retry"), ("knock", "step")]
    assert ctx.history[0].result["message"] == "nobody there"


async def test_a_step_fails_when_its_tries_are_spent() -> None:
    with pytest.raises(StepFailed, match="nobody there") as failed:
        await stubborn(Inline(), 10)
    assert failed.value.is_a(ConnectionError)
    assert DONE == ["knock"] * 4


@app.workflow(name="careless")
async def careless(ctx: Context) -> Any:
    return await ctx.step(pgflow.step(object, name="made"))


@app.workflow(name="careless_end")
async def careless_end(ctx: Context) -> Any:
    return object()


@app.workflow(name="forgetful")
async def forgetful(ctx: Context) -> None:
    ctx.step(charge, "1")


async def test_what_cannot_be_stored_fails_in_the_unit_test_too() -> None:
    with pytest.raises(NotRecordable, match="step made cannot be stored"):
        await careless(Inline())
    with pytest.raises(PayloadError):
        await careless_end(Inline())
    with pytest.raises(WorkflowError, match="never awaited"):
        await forgetful(Inline())


@app.workflow(name="keys_in_order")
async def keys_in_order(ctx: Context) -> list[str]:
    async def made() -> dict[str, int]:
        return {"long": 1, "b": 2, "a": 3}

    return list(await ctx.step(made))


async def test_a_dictionary_comes_back_as_the_database_would_give_it() -> None:
    assert await keys_in_order(Inline()) == ["a", "b", "long"]


@app.workflow(name="caller")
async def caller(ctx: Context, times: int) -> int:
    return await ctx.run(flaky, times)


async def test_a_child_is_retried_by_its_own_policy() -> None:
    assert await caller(Inline(), 3) == 3
    DONE.clear()
    with pytest.raises(TaskFailed, match="not yet"):
        await caller(Inline(), 9)
    assert len(DONE) == 3


@app.workflow(name="inner")
async def inner(ctx: Context, days: int) -> str:
    await ctx.sleep(timedelta(days=days))
    DONE.append(days)
    ctx.set_state(days)
    return f"{days} days"


@app.workflow(name="outer")
async def outer(ctx: Context) -> list[Any]:
    first = await ctx.start(inner, 3)
    second = await ctx.start(inner.options(delay="1d"), 1)
    answer = await ctx.gather(ctx.signal("early", timeout="2d"), ctx.sleep("1h"))
    at = ctx.now()
    return [*answer, at, await second.result(), await first.result()]


async def test_children_and_their_parent_share_one_clock() -> None:
    ctx = Inline(now=START, signals={"early": [After("36h", "yes")]})
    assert await outer(ctx) == ["yes", None, (START + timedelta(hours=36)).isoformat(), "1 days", "3 days"]
    assert DONE == [1, 3]
    assert ctx.elapsed == timedelta(days=3)
    assert ctx.children["inner"].state == 3
    assert ctx.children["inner#2"].slept == [timedelta(days=1)]


@app.workflow(name="leaver")
async def leaver(ctx: Context) -> str:
    await ctx.start(inner, 5)
    return "gone"


async def test_children_that_nobody_waits_for_come_to_their_end() -> None:
    assert await leaver(Inline()) == "gone"
    assert DONE == [5]


@app.workflow(name="plain_inner")
def plain_inner(ctx: SyncContext, depth: int) -> int:
    ctx.sleep("1d")
    return 1 + (ctx.run(plain_inner, depth - 1) if depth else 0)


@app.workflow(name="mixed")
async def mixed(ctx: Context) -> int:
    return sum(await ctx.map(plain_inner, [20, 1]))


async def test_plain_children_of_any_depth() -> None:
    ctx = Inline()
    assert await mixed(ctx) == 21 + 2
    assert ctx.elapsed == timedelta(days=21)


@app.workflow(name="plain_signup")
def plain_signup(ctx: SyncContext, user: User) -> str:
    number = ctx.step(where, "first")
    ctx.compensate(refund_plainly, 7)
    ctx.run(signup, user)
    ctx.sleep("1h")
    both = ctx.gather(ctx.op.run(mail, user.email, "x"), ctx.op.step(where, "beside"))
    answer = ctx.signal("confirmed", Confirmation, timeout="3d")
    if answer is None:
        raise TimeoutError("nobody confirmed")
    return f"{number == threading.get_ident()} {both[0]} {answer.by} {pgflow.current().name}"


def where(name: str) -> int:
    DONE.append((name, pgflow.current().step))
    return threading.get_ident()


def test_a_plain_workflow_runs_in_the_tests_thread() -> None:
    ctx = SyncInline(signals={"confirmed": [Confirmation(by="ann"), Confirmation(by="bob")]})
    assert plain_signup(ctx, User(email="ann@example.com")) == "True x to ann@example.com bob plain_signup"
    assert DONE[0] == ("first", "where")
    assert ctx.keys == ["where", "$cleanup", "signup", "$sleep", "mail", "where#2", "$signal:confirmed"]
    assert ctx.children["signup"].keys[-1] == "$signal:confirmed"


def test_a_plain_workflow_that_fails_is_undone() -> None:
    ctx = SyncInline()
    with pytest.raises(TimeoutError, match="nobody confirmed"):
        plain_signup(ctx, User(email="ann@example.com"))
    assert DONE[-1] == ("refund", 7)


async def test_a_plain_workflow_within_a_running_loop() -> None:
    assert flows.plain_family(SyncInline(), [1, 2, 3]) == 200 + 12 + 2


async def test_the_workflows_of_the_other_tests() -> None:
    assert await flows.steps(Inline(), 3) == ["0", "1", "2"]
    assert flows.plain_steps(SyncInline(), 3) == ["0", "1", "2"]
    assert await flows.nap(Inline(), 1e6) == "slept"
    assert await flows.family(Inline(), [1, 2]) == 6
    assert await flows.spread(Inline(), list(range(100)), concurrency=7) == 9900
    assert await flows.confirm(Inline(signals={"confirmed": [{"by": "ann"}]})) == "ann"
    assert await flows.confirm(Inline()) == "expired"


@app.workflow(name="keeper")
async def keeper(ctx: Context) -> str:
    await ctx.tx(lambda db: db.save("row"))
    await ctx.send_signal(77, "told", {"by": "keeper"})
    ctx.heartbeat(0.5, "half way")
    return str(await ctx.client.ask())


class Database:
    def __init__(self) -> None:
        self.rows: list[str] = []

    async def save(self, row: str) -> None:
        self.rows.append(row)


class Someone:
    async def ask(self) -> str:
        return "answer"


async def test_a_connection_and_a_client_are_what_the_test_gives() -> None:
    database = Database()
    ctx = Inline(db=database, client=Someone())
    assert await keeper(ctx) == "answer"
    assert database.rows == ["row"]
    assert ctx.sent == [Sent(77, "told", {"by": "keeper"})]
    assert (ctx.progress, ctx.notes) == (0.5, ["half way"])


async def test_a_connection_or_a_client_that_was_not_given_is_asked_for_by_name() -> None:
    with pytest.raises(NotGiven, match=r"Inline\(db=connection\)"):
        await keeper(Inline())
    with pytest.raises(NotGiven, match=r"Inline\(client="):
        await keeper(Inline(db=Database()))


@app.workflow(name="answering")
async def answering(ctx: Context) -> None:
    await ctx.send_signal(ctx.run_id, "answer", "from the child")


@app.workflow(name="asking")
async def asking(ctx: Context) -> Any:
    child = await ctx.start(answering)
    answer = await ctx.signal("answer")
    await child.result()
    await ctx.send_signal(child.id, "too late")
    return answer


async def test_signals_between_a_run_and_its_children() -> None:
    ctx = Inline()
    with pytest.raises(StepFailed, match="nobody would hear") as failed:
        await asking(ctx)
    assert failed.value.is_a(NotFound)
    assert ctx.history[1].result == "from the child"


@app.workflow(name="endless")
async def endless(ctx: Context, left: int) -> str:
    await ctx.step(charge, str(left))
    if left:
        ctx.continue_as_new(left - 1)
    return f"{await ctx.signal('last')}"


async def test_continuing_as_new_starts_over_with_an_empty_history() -> None:
    ctx = Inline(signals={"last": ["kept"]})
    assert await endless(ctx, 2) == "kept"
    assert ctx.keys == ["charge", "2/charge", "3/charge", "3/$signal:last"]
    with pytest.raises(WorkflowError, match="continued as new 100 times"):
        await endless(Inline(), 1000)


async def test_a_part_of_a_workflow_can_be_tested_by_itself() -> None:
    async def part(ctx: Context, card: str) -> int:
        receipt = await ctx.step(charge, card)
        await ctx.sleep("1d")
        return receipt.number + await ctx.run(flaky, 1)

    ctx = Inline()
    assert await part(ctx, "1") == 2
    assert ctx.keys == ["charge", "$sleep", "flaky"]

    def plain_part(ctx: SyncContext) -> str:
        ctx.sleep("1d")
        return ctx.run(mail, "a", "b")

    assert plain_part(SyncInline()) == "b to a"


@app.workflow(name="by_name")
async def by_name(ctx: Context) -> Any:
    return await ctx.run("mail", "a", "b")


async def test_tasks_are_known_by_name_when_the_app_is_given() -> None:
    assert await by_name(Inline(app=app)) == "b to a"
    with pytest.raises(NotRecordable, match=r"Inline\(app=app\)"):
        await by_name(Inline())


@app.workflow(name="hopeless")
async def hopeless(ctx: Context) -> None:
    raise Fatal("no")


async def test_an_error_of_the_code_itself_is_raised_as_it_is_and_once() -> None:
    with pytest.raises(Fatal):
        await hopeless(Inline())


@app.workflow(name="branching")
async def branching(ctx: Context) -> list[Any]:
    return [ctx.version("fx", 3), ctx.random().random() < 1, str(ctx.uuid()) != str(ctx.uuid()), ctx.attempt]


async def test_what_takes_no_time() -> None:
    assert await branching(Inline()) == [3, True, True, 1]


@app.workflow(name="catching")
async def catching(ctx: Context) -> str:
    try:
        await ctx.step(asyncio.sleep, 0, result=5)
        await asyncio.gather(ctx.step(charge, "1"), ctx.step(charge, "2"))
    except HistoryMismatch:
        return "caught"
    return "went on"


async def test_what_a_worker_would_park_is_raised() -> None:
    with pytest.raises(NotRecordable, match="awaited while"):
        await catching(Inline())
