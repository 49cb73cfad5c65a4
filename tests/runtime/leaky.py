"""An app that does with a secret all that one should not."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import sys
import threading
import traceback
import urllib.parse
import warnings
from typing import Any

import structlog

import pgflow
from pgflow import App, Fatal, RetryLater, RetryPolicy

app = App()
ONCE = RetryPolicy(1)
TWICE = RetryPolicy(2, base=0.01, jitter=False)


def canary() -> str:
    return pgflow.secret("CANARY")


# Errors of tasks.


@app.task(name="message", retry=TWICE)
async def message() -> None:
    raise ValueError(f"401 for {canary()}")


@app.task(name="as_key", retry=ONCE)
def as_key() -> None:
    {}[canary()]


@app.task(name="noted", retry=ONCE)
def noted() -> None:
    error = ValueError("refused")
    error.add_note(f"the token was {canary()}")
    raise error


@app.task(name="caused", retry=ONCE)
def caused() -> None:
    try:
        raise OSError(canary())
    except OSError as error:
        raise ValueError("refused") from error


@app.task(name="grouped", retry=ONCE)
async def grouped() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(message.function())
        group.create_task(message.function())


@app.task(name="encoded", retry=ONCE)
def encoded() -> None:
    value = canary()
    basic = base64.b64encode(f"user:{value}".encode()).decode()
    raise ValueError(
        f"Authorization: Basic {basic}", urllib.parse.quote(value, safe=""), json.dumps({"token": value}),
        value.encode().hex(), value.encode(),
    )  # fmt: skip


@app.task(name="retried", retry=TWICE)
def retried() -> None:
    raise RetryLater(f"rate limited: {canary()}", after=0.01)


@app.task(name="fatal")
def fatal() -> None:
    raise Fatal(canary())


@app.task(name="exits", retry=ONCE)
def exits() -> None:
    sys.exit(canary())


@app.task(name="cancels_itself", retry=ONCE)
async def cancels_itself() -> None:
    raise asyncio.CancelledError(canary())


@app.task(name="own_type", retry=ONCE)
def own_type() -> None:
    raise type(f"E{canary()}", (Exception,), {"__module__": canary()})(canary())


# What would be stored.


@app.task(name="returned")
def returned() -> dict[str, Any]:
    return {"headers": {"authorization": f"Bearer {canary()}"}}


@app.task(name="returned_within")
def returned_within() -> list[Any]:
    return [{canary(): 1}]


@app.task(name="sink")
def sink(text: str = "") -> None: ...


@app.task(name="enqueues", retry=ONCE)
def enqueues() -> None:
    with app.client() as client:
        client.enqueue(sink, canary())


@app.task(name="enqueues_key", retry=ONCE)
async def enqueues_key() -> None:
    async with app.async_client() as client:
        await client.enqueue(sink.options(key=canary()), "x")


@app.task(name="enqueues_tag", retry=ONCE)
def enqueues_tag() -> None:
    with app.client() as client:
        client.enqueue(sink.options(tags={"token": canary()}), "x")


@app.task(name="signals", retry=ONCE)
def signals(run: int) -> None:
    with app.client() as client:
        client.signal(run, "go", {"token": canary()})


# What is printed.


@app.task(name="prints")
async def prints() -> None:
    value = canary()
    print("printed", value)  # noqa: T201
    print("printed", value, file=sys.stderr)  # noqa: T201
    sys.stderr.writelines([f"written {value}\n"])
    structlog.get_logger().error(f"structlog {value}", token=value, deep={"headers": [value, {"x": (value,)}]})
    structlog.get_logger().bind(token=value).error("structlog", error=ValueError(value))
    log = logging.getLogger("app")
    log.error("logging %s", value, extra={"token": value})
    warnings.warn(f"warned {value}", stacklevel=1)
    try:
        raise ValueError(value)
    except ValueError:
        log.exception("logging")
        structlog.get_logger().exception("structlog")
        traceback.print_exc()
    thread = threading.Thread(target=message_in_thread)
    thread.start()
    await asyncio.to_thread(thread.join)
    lost = asyncio.create_task(message.function())
    await asyncio.wait({lost})
    del lost  # never retrieved: the loop says so


def message_in_thread() -> None:
    raise ValueError(f"in a thread {canary()}")


# Workflows.


@app.workflow(name="step_result")
async def step_result(ctx: pgflow.Context) -> None:
    await ctx.step(canary)


@app.workflow(name="step_error")
async def step_error(ctx: pgflow.Context) -> None:
    await ctx.step(pgflow.step(message.function, retry=TWICE))


@app.workflow(name="step_fatal")
def step_fatal(ctx: pgflow.SyncContext) -> None:
    ctx.step(fatal.function)


@app.workflow(name="tx_result")
def tx_result(ctx: pgflow.SyncContext) -> None:
    ctx.tx(lambda _: canary())


@app.workflow(name="child_argument")
async def child_argument(ctx: pgflow.Context) -> None:
    await ctx.run(sink, canary())


@app.workflow(name="child_error")
async def child_error(ctx: pgflow.Context) -> None:
    await ctx.run(noted)


@app.workflow(name="state")
async def state(ctx: pgflow.Context) -> None:
    ctx.set_state({"token": canary()})


@app.workflow(name="note")
async def note(ctx: pgflow.Context) -> str:
    ctx.heartbeat(0.5, note=f"calling with {canary()}")
    return "done"


@app.workflow(name="sends")
async def sends(ctx: pgflow.Context) -> None:
    await ctx.send_signal(ctx.run_id, "go", canary())


@app.workflow(name="result")
async def result(ctx: pgflow.Context) -> str:
    return canary()


@app.workflow(name="raises", retry=ONCE)
def raises(ctx: pgflow.SyncContext) -> None:
    raise ValueError(canary())


@app.workflow(name="starts_over")
async def starts_over(ctx: pgflow.Context, token: str = "") -> None:
    ctx.continue_as_new(canary())


@app.workflow(name="logs")
async def logs(ctx: pgflow.Context) -> None:
    ctx.log.error("from a workflow", token=canary())


@app.workflow(name="undoes", retry=ONCE)
async def undoes(ctx: pgflow.Context) -> None:
    ctx.compensate(pgflow.step(message.function, retry=ONCE))
    raise ValueError("undo it")


@app.workflow(name="waits")
async def waits(ctx: pgflow.Context) -> None:
    await ctx.signal("go")
