"""The workflows that tests' workers run."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta
from typing import Any

from pydantic import BaseModel

from pgflow import App, Context, RetryPolicy, StepFailed, SyncContext, step

app = App()
QUICK = RetryPolicy(3, backoff="fixed", base=0.01, jitter=False)
CALLS: list[Any] = []
"""What steps did, in this process; tests clear it."""


class Confirmation(BaseModel):
    by: str


@app.task(name="double")
async def double(number: int) -> int:
    return number * 2


@app.task(name="broken", retry=1)
async def broken() -> None:
    raise ValueError("broken for good")


async def note(what: str) -> str:
    CALLS.append(what)
    return what


def note_plainly(what: str) -> str:
    CALLS.append(what)
    return what


@app.workflow(name="steps")
async def steps(ctx: Context, count: int) -> list[str]:
    return [await ctx.step(note, f"{number}") for number in range(count)]


@app.workflow(name="plain_steps")
def plain_steps(ctx: SyncContext, count: int) -> list[str]:
    return [ctx.step(note_plainly, f"{number}") for number in range(count)]


@app.workflow(name="nap")
async def nap(ctx: Context, seconds: float) -> str:
    await ctx.step(note, "before")
    await ctx.sleep(timedelta(seconds=seconds))
    await ctx.step(note, "after")
    return "slept"


@app.workflow(name="family")
async def family(ctx: Context, numbers: list[int]) -> int:
    total = 0
    for number in numbers:
        total += await ctx.run(double, number)
    return total


@app.workflow(name="plain_family")
def plain_family(ctx: SyncContext, numbers: list[int]) -> int:
    first = ctx.start(double, 100)
    mapped = ctx.map(double, numbers)
    gathered = ctx.gather(ctx.op.run(double, 1), ctx.op.step(note_plainly, "beside"))
    return first.result() + sum(mapped) + int(gathered[0])


@app.workflow(name="spread")
async def spread(ctx: Context, numbers: list[int], concurrency: int | None = None) -> int:
    return sum(await ctx.map(double, numbers, concurrency=concurrency))


@app.workflow(name="confirm")
async def confirm(ctx: Context, timeout: float | None = None) -> str:
    answer = await ctx.signal("confirmed", Confirmation, timeout=timeout or "1h")
    return "expired" if answer is None else answer.by


class CardDeclined(Exception):
    pass


TROUBLE: dict[str, int] = {}
"""How often a step is yet to fail, by name; tests set it."""


async def flaky(name: str) -> str:
    CALLS.append(name)
    if TROUBLE.get(name, 0) > 0:
        TROUBLE[name] -= 1
        raise CardDeclined(f"{name} declined")
    return f"{name} done"


@app.workflow(name="stubborn", retry=QUICK)
async def stubborn(ctx: Context, name: str) -> str:
    return await ctx.step(flaky, name)


@app.workflow(name="careful", retry=QUICK)
async def careful(ctx: Context) -> str:
    try:
        return await ctx.step(flaky, "charge")
    except StepFailed as failed:
        if failed.is_a(KeyError) or not failed.is_a(CardDeclined):
            raise
        return await ctx.step(note, f"instead: {failed.error['message']}")


@app.workflow(name="saga", retry=1)
async def saga(ctx: Context, wait: bool = False) -> str:
    ctx.compensate(note, "undo first")
    await ctx.step(note, "first")
    ctx.on_cancel(note, "told of cancel")
    ctx.compensate(note, "undo second")
    await ctx.step(note, "second")
    if wait:
        await ctx.signal("go on")
    await ctx.step(flaky, "third")
    return "done"


@app.workflow(name="parent_of_broken")
async def parent_of_broken(ctx: Context, catch: bool) -> str:
    if catch:
        results = await ctx.gather(ctx.run(broken), ctx.run(double, 4), on_error="return")
        return f"{type(results[0]).__name__} {results[1]}"
    await ctx.run(broken)
    return "not reached"


@app.workflow(name="counting")
async def counting(ctx: Context, start: int, until: int) -> str:
    await ctx.step(note, f"at {start}")
    if start < until:
        ctx.continue_as_new(start + 1, until)
    answer = await ctx.signal("stop", timeout="1h")
    return f"{start} {answer}"


@app.workflow(name="draws")
async def draws(ctx: Context) -> list[str]:
    drawn = [ctx.now().isoformat(), str(ctx.uuid()), str(ctx.random().random()), str(ctx.random().randrange(10**9))]
    await ctx.step(note, "|".join(drawn))
    await ctx.sleep(0.01)
    await ctx.step(note, "|".join(drawn))
    return drawn


@app.workflow(name="telling")
async def telling(ctx: Context) -> None:
    ctx.set_state({"stage": "waiting"})
    ctx.heartbeat(0.5, "half")
    await ctx.signal("go on")
    ctx.set_state({"stage": "over"})


@app.workflow(name="pen_pal")
async def pen_pal(ctx: Context, other: int) -> None:
    await ctx.send_signal(other, "confirmed", {"by": "a friend"})
    await ctx.sleep(0.01)


async def insert(db: Any, text: str) -> int:
    await db.execute("insert into public.letters (text) values (%s)", (text,))
    return len(text)


@app.workflow(name="writing", retry=QUICK)
async def writing(ctx: Context, text: str) -> int:
    async def write(db: Any) -> int:
        size = await insert(db, text)
        await ctx.client.on(db).enqueue(double, size)
        CALLS.append("written")
        if TROUBLE.get("write", 0) > 0:
            TROUBLE["write"] -= 1
            raise ValueError("rolled back")
        return size

    return await ctx.tx(write)


@app.workflow(name="plain_writing")
def plain_writing(ctx: SyncContext, text: str) -> int:
    def write(db: Any) -> int:
        db.execute("insert into public.letters (text) values (%s)", (text,))
        return len(text)

    return ctx.tx(write)


# Wrong ones: each asks for what cannot be.


@app.workflow(name="nameless")
async def nameless(ctx: Context) -> None:
    await ctx.step(lambda: 1)


@app.workflow(name="twice")
async def twice(ctx: Context) -> None:
    await ctx.step(step(note, key="same"), "a")
    await ctx.step(step(note, key="same"), "b")


@app.workflow(name="raw_coroutine")
async def raw_coroutine(ctx: Context) -> None:
    await ctx.gather(ctx.step(note, "a"), note("b"))  # type: ignore[arg-type]


@app.workflow(name="foreign_gather")
async def foreign_gather(ctx: Context) -> None:
    await asyncio.gather(ctx.step(asyncio.sleep, 0.05), ctx.step(note, "b"))


@app.workflow(name="swallowing")
async def swallowing(ctx: Context) -> str:
    try:
        await ctx.sleep("1h")
    except BaseException:  # noqa: BLE001
        await ctx.step(note, "went on")
    return "swallowed"


@app.workflow(name="swallowing_to_the_end")
async def swallowing_to_the_end(ctx: Context) -> str:
    with contextlib.suppress(BaseException):
        await ctx.sleep("1h")
    return "swallowed"


def unstorable() -> object:
    return object()


@app.workflow(name="not_json")
async def not_json(ctx: Context) -> None:
    await ctx.step(unstorable)


@app.workflow(name="forgotten")
async def forgotten(ctx: Context) -> None:
    ctx.step(note, "never")


@app.workflow(name="too_long")
async def too_long(ctx: Context) -> None:
    for number in range(20):
        await ctx.step(note, str(number))


@app.workflow(name="no_child")
async def no_child(ctx: Context) -> None:
    await ctx.run("nowhere")


@app.task(name="narrow", queue="narrow", slot=lambda number: f"customer {number % 3}")
async def narrow(number: int) -> int:
    CALLS.append("in")
    await asyncio.sleep(0.002)
    CALLS.append("out")
    return number


@app.workflow(name="through_the_narrow")
async def through_the_narrow(ctx: Context, count: int) -> int:
    return sum(await ctx.map(narrow, range(count)))


@app.workflow(name="generations")
async def generations(ctx: Context, depth: int) -> int:
    if depth == 0:
        return 1
    return sum(await ctx.map(generations, [depth - 1, depth - 1]))


@app.workflow(name="starting_over")
async def starting_over(ctx: Context, rounds: int = 0) -> str:
    if rounds:
        ctx.continue_as_new()
    return await ctx.step(note, "over")
