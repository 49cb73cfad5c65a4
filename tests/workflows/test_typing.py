"""Types reach through a workflow's context: mypy accepts every method used rightly, and rejects each used wrongly."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from pgflow import Context, SyncContext
from tests.fixtures.typing import Mypy

USED = Path(__file__).with_name("every_method.py")

WRONG = {
    "a wrong argument of a step": "await ctx.step(charge, 'five')",
    "a missing argument of a step": "await ctx.step(charge)",
    "an unknown argument of a step": "await ctx.step(charge, 5, curency='EUR')",
    "a wrong argument of a registered step": "await ctx.step(rate, 5)",
    "a wrong use of a step's result": "number: int = await ctx.step(charge, 5)",
    "a step that is not awaited": "text: str = ctx.step(charge, 5)",
    "a wrong argument of a child": "await ctx.run(resize, 5)",
    "a plain function as a child": "await ctx.run(charge, 5)",
    "a wrong use of a child's result": "number: int = await (await ctx.start(resize, 'a')).result()",
    "a map over wrong items": "await ctx.map(resize, [1, 2])",
    "a wrong use of a map": "texts: list[str] = await ctx.map(size_of, ['a'])",
    "a coroutine in gather": "await ctx.gather(charge(5))",
    "a signal that may not come": "answer: Answer = await ctx.signal('s', Answer, timeout=5)",
    "a signal of another type": "answer: int = await ctx.signal('s', Answer)",
    "an event that may not come": "answer: Answer = await ctx.event('e', Answer, timeout=5)",
    "an event of another type": "answer: int = await ctx.event('e', Answer)",
    "a wrong key of an event": "await ctx.event('e', key=[1])",
    "an unknown option of an event": "await ctx.event('e', matches='true')",
    "no duration": "await ctx.sleep([])",
    "no instant": "await ctx.sleep_until(5)",
    "a transaction of the other colour": "await ctx.tx(insert_plainly)",
    "an unknown option of a step": "await ctx.step(step(charge, tries=3), 5)",
    "a wrong argument of a compensation": "ctx.compensate(charge, 'five')",
    "an unknown method": "await ctx.slumber(5)",
    "awaiting what takes no time": "await ctx.now()",
    "a wrong argument of a workflow": "client.start(every, 5)",
    "a wrong use of a workflow's result": "number: int = client.result(client.start(every, Order(item='a')))",
    "a workflow without a context": "app.workflow(charge_nothing)",
}


@pytest.mark.xdist_group("mypy")
def test_every_method_used_rightly_passes(mypy: Mypy) -> None:
    assert mypy(USED.read_text()) == ""


@pytest.mark.parametrize(("name", "context"), [("every", Context), ("every_plainly", SyncContext)])
def test_the_example_uses_every_method(name: str, context: type) -> None:
    functions = {
        node.name: node
        for node in ast.walk(ast.parse(USED.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    used = {
        node.attr
        for node in ast.walk(functions[name])
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "ctx"
    }
    public = {name for name in dir(context) if not name.startswith("_")} | {"log"}
    assert used == public | ({"op"} if context is SyncContext else set())


@pytest.mark.xdist_group("mypy")
def test_every_wrong_use_is_rejected(mypy: Mypy) -> None:
    text = USED.read_text()
    first = text.count("\n") + 1
    lines = {first + 3 * number + 1: what for number, what in enumerate(WRONG)}
    body = "".join(
        f"async def wrong{number}(ctx: Context) -> None:\n    {WRONG[what]}\n\n" for number, what in enumerate(WRONG)
    )
    output = mypy(text + body)
    rejected = {int(line.split(":")[1]) for line in output.splitlines() if ": error:" in line}
    assert {what for line, what in lines.items() if line not in rejected} == set()
    assert rejected <= set(lines), output
