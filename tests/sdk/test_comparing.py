"""What differs between two runs."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pgflow import App, Context
from pgflow.cli.compare import lines
from pgflow.engine.runs import Differing
from pgflow.graph.differences import ABSENT, clipped
from pgflow.sdk import comparing
from pgflow.testing.plugin import Engines
from tests.graphs.test_forking import World, act, edges, world

__all__ = ["world"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


def same(one: Any, other: Any) -> bool:
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


@given(JSON, JSON)
def test_values_differ_somewhere_if_and_only_if_they_differ(one: Any, other: Any) -> None:
    found, more = comparing.changes(one, other, "output")
    assert bool(found) is not same(one, other)
    assert not more
    assert all(not same(change.old, change.new) or ABSENT in change[1:] for change in found)


class Counted(int):
    """A number that counts how often any of its kind was looked at."""

    looks = 0

    def __ne__(self, other: object) -> bool:
        Counted.looks += 1
        return int.__ne__(self, other)  # type: ignore[arg-type]

    __hash__ = int.__hash__


def test_no_more_is_looked_at_than_is_told_however_large_the_values_are() -> None:
    one, other = ({"a": [Counted(n + shift) for n in range(100_000)]} for shift in (0, 1))
    found, more = comparing.changes(one, other, "output")
    assert Counted.looks == comparing.MOST_CHANGES + 1
    assert (len(found), more) == (comparing.MOST_CHANGES, True)
    big = Differing("x", "completed", "completed", 1, 1, 0.1, 0.1, True, False, None, None, None, None)
    (part,) = comparing.steps([big])
    assert (part.output, part.more) == ([], True)
    assert clipped("x" * 10_000, comparing.MOST_TEXT) == '"' + "x" * 299 + "..."


async def test_two_runs_of_code_differ_by_step(pgflow_engine: Engines) -> None:
    app = App()
    prices = iter([5, 7])

    async def price(item: str) -> dict[str, Any]:
        return {"item": item, "price": next(prices)}

    @app.task(name="pay", retry=1)
    async def pay(amount: int) -> int:
        if amount > 6:
            raise ValueError("too much")
        return amount

    @app.workflow(name="order", retry=1)
    async def order(ctx: Context, item: str, note: str = "") -> int:
        await ctx.sleep("1h")
        found = await ctx.step(price, item)
        ctx.uuid()
        return await ctx.run(pay, found["price"])

    engine = pgflow_engine(app)
    old = await engine.start(order, "tea")
    await engine.outcome(old)
    new = await engine.start(order, "tea", note="please")
    await engine.outcome(new)
    found = await engine.client.compare(old, new)
    assert (found.old.state, found.new.state, found.new.error) == (
        "completed", "failed", {"type": "ValueError", "message": "too much"},
    )  # fmt: skip
    assert [change.path for change in found.input] == ["input.note"]
    parts = {part.name: part for part in found.parts}
    assert sorted(parts) == ["pay", "price"], "neither the time it was nor the sleep"
    assert [change.to_json() for change in parts["price"].output] == [{"path": "output.price", "old": 5, "new": 7}]
    assert (parts["pay"].old.state, parts["pay"].new.state) == ("completed", "failed")  # type: ignore[union-attr]
    said = "\n".join(lines(found))
    assert "~ pay: completed -> failed, error none -> ValueError: too much" in said
    assert not await engine.client.compare(old, old)
    assert list(lines(await engine.client.compare(old, old)))[-1] == "no difference"


async def test_two_runs_of_a_graph_differ_by_node(world: World) -> None:
    document: dict[str, Any] = {
        "nodes": {
            "big": {"type": "condition", "config": {"when": "${input.n > 5}"}},
            "large": act("large", {"rows": [1, 2, "${input.n}"]}), "small": act("small"),
            "each": {"type": "map", "config": {"over": [1, "${input.n}"], "task": "act",
                                               "input": {"name": "e", "value": "${item}"}}},
        },
        "edges": edges("big=true>large big=false>small"),
        "output": "${nodes.large.output}",
    }  # fmt: skip
    old = await world.run(document, n=7)
    document["nodes"]["large"]["timeout"] = 60
    await world.publish(document)
    new = await world.client.rerun(old, set={"input.n": 8}, whole=True)
    await world.engine.outcome(new)
    found = await world.client.compare(old, new)
    assert (found.old.version, found.new.version) == (1, 2)
    assert str(found.definition) == "~ node large\n    timeout: + 60.0"
    assert {part.name: [str(change.path) for change in part.output] for part in found.parts} == {
        "large": ["output.rows[2]"], "each": ["1"],
    }  # fmt: skip
    small = await world.client.rerun(old, set={"input.n": 1}, whole=True)
    await world.engine.outcome(small)
    found = await world.client.compare(old, small)
    said = "\n".join(lines(found))
    assert "~ big: branch true -> false" in said
    assert "~ large: completed -> skipped" in said
    assert "~ small: skipped -> completed" in said
    assert found.to_json()["parts"][0]["name"] == "big"
