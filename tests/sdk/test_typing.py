"""Types reach from the declaration to the result: mypy accepts right use and rejects wrong use."""

from __future__ import annotations

import re

import pytest

from tests.fixtures.typing import Mypy

RIGHT = """
from pgflow import App, RetryPolicy
app = App()

@app.task
def add(a: int, b: int = 1) -> int:
    return a + b

@app.task(name="greet", retry=RetryPolicy(3), timeout="5s")
async def greet(name: str) -> str:
    return name

@app.batch(size=10)
async def double(numbers: list[int]) -> list[int]:
    return [2 * number for number in numbers]

@app.batch(size=10)
def keep(texts: list[str]) -> None: ...

def use() -> None:
    with app.client() as client:
        total: int = client.result(client.enqueue(add, 1, b=2))
        text: str = client.result(client.enqueue(greet.options(delay="1h", key="k"), "Ann"), timeout=3)
        client.enqueue_many(add.request(n) for n in range(3))
        doubled: int = client.result(client.enqueue(double, 21))
        client.enqueue(keep, "text")
        print(doubled)
        print(total, text)

async def use_async() -> None:
    async with app.async_client() as client:
        handle = await client.enqueue(greet, name="Ann")
        text: str = await client.result(handle)
        print(text)
"""

WRONG = {
    "a wrong argument": "client.enqueue(add, 'one')",
    "an unknown argument": "client.enqueue(add, 1, c=2)",
    "a missing argument": "client.enqueue(greet)",
    "a wrong argument of many": "client.enqueue_many([add.request('one')])",
    "a wrong argument past options": "client.enqueue(greet.options(delay=1), 5)",
    "a wrong use of the result": "text: str = client.result(client.enqueue(add, 1))",
    "a wrong argument of a batch": "client.enqueue(double, 'one')",
    "an unknown option": "add.options(dealy=1)",
}


@pytest.mark.xdist_group("mypy")
def test_right_use_passes_and_each_wrong_use_is_found(mypy: Mypy) -> None:
    lines = "\n".join(f"        {line}  # {what}" for what, line in WRONG.items())
    bad = RIGHT + f"\ndef misuse() -> None:\n    with app.client() as client:\n{lines}\n"
    output = mypy(bad)
    found = {int(number) for number in re.findall(r"use\.py:(\d+): error", output)}
    first = bad.splitlines().index("def misuse() -> None:") + 3
    wanted = {what: first + place for place, what in enumerate(WRONG)}
    assert found == set(wanted.values()), output
