"""The tasks that tests' workers run."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from contextvars import ContextVar
from pathlib import Path

import pgflow
from pgflow import App, Fatal, RetryLater, RetryPolicy

app = App()
QUICK = RetryPolicy(3, backoff="fixed", base=0.05, jitter=False)


@app.task(name="noop")
async def noop() -> None: ...


@app.task(name="add")
def add(a: int, b: int) -> int:
    return a + b


@app.task(name="nap")
async def nap(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "slept"


@app.task(name="thread_nap")
def thread_nap(seconds: float) -> str:
    time.sleep(seconds)
    return "slept"


@app.task(name="brief", timeout=0.2, retry=1)
async def brief() -> None:
    await asyncio.sleep(60)


@app.task(name="brief_thread", timeout=0.2, retry=1)
def brief_thread(seconds: float = 1.0) -> None:
    time.sleep(seconds)


RELEASED = threading.Event()
"""What `held_thread` waits for; tests set and clear it."""


@app.task(name="held_thread", timeout=0.2, retry=1)
def held_thread() -> None:
    RELEASED.wait(60)


def is_there(path: str) -> bool:
    return Path(path).exists()


@app.task(name="until_file")
async def until_file(path: str) -> None:
    while not is_there(path):
        await asyncio.sleep(0.01)


@app.task(name="hog_until_file")
async def hog_until_file(path: str) -> None:
    hog_until(path)


def hog_until(path: str) -> None:
    Path(f"{path}.begun").touch()
    while not is_there(path):
        time.sleep(0.01)


@app.task(name="hog")
async def hog(seconds: float) -> str:
    time.sleep(seconds)  # noqa: ASYNC251 (that is the point)
    return "hogged"


@app.task(name="boom", retry=QUICK)
def boom(text: str) -> None:
    raise ValueError(f"{text}: \ud800 and \x00")


@app.task(name="fatal", retry=QUICK)
async def fatal() -> None:
    raise Fatal("no such customer")


@app.task(name="third_time", retry=QUICK)
async def third_time() -> int:
    if pgflow.current().attempt < 3:
        raise RetryLater(after=0.01)
    return pgflow.current().attempt


@app.task(name="die", retry=QUICK)
def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@app.task(name="bad_result", retry=QUICK)
async def bad_result() -> float:
    return float("nan")


@app.task(name="big")
async def big(text: str) -> int:
    return len(text)


@app.task(name="whoami")
async def whoami() -> dict[str, object]:
    attempt = pgflow.current()
    return {"task_id": attempt.task_id, "attempt": attempt.attempt, "key": attempt.idempotency_key}


LEAK: ContextVar[str] = ContextVar("LEAK", default="clean")


@app.task(name="leak")
async def leak() -> str:
    before = LEAK.get()
    LEAK.set("dirty")
    return before


@app.task(name="on_mail", queue="mail")
async def on_mail() -> None: ...


BATCHES: list[int] = []


@app.batch(name="squares", size=10, wait="50ms", retry=QUICK)
async def squares(numbers: list[int]) -> list[int | BaseException]:
    BATCHES.append(len(numbers))
    return [ValueError("unlucky") if number == 13 else number * number for number in numbers]


@app.batch(name="store", size=4, wait=0.01)
def store(texts: list[str]) -> None:
    BATCHES.append(len(texts))


@app.batch(name="short", size=3, wait=0.01)
async def short(numbers: list[int]) -> list[int]:
    return numbers[1:]
