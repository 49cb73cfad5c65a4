"""Code that is kept where it stopped goes on without a replay; unless somebody else went on with the run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pgflow import App, Context
from pgflow.config import Settings
from pgflow.sdk.async_client import AsyncClient
from tests.fixtures.database import Engine
from tests.fixtures.workers import eventually
from tests.workflows.conftest import only, working

WAITING = "select 1 from pgflow.inbox where needed > arrived"


def conversation(app: App, passages: list[str], left: list[str]) -> Any:
    """A workflow that hears three signals, and notes each time its code begins and is left."""

    @app.workflow(name="conversation")
    async def conversation(ctx: Context) -> list[str]:
        passages.append("begun")
        heard = []
        try:
            for _ in range(3):
                heard.append(await ctx.signal("say"))  # noqa: PERF401
        except BaseException as error:
            left.append(type(error).__name__)
            raise
        return heard

    return conversation


async def say(client: AsyncClient, engine: Engine, run: Any, words: str) -> None:
    for word in words:
        await eventually(lambda: engine.query(WAITING))
        await client.signal(run, "say", word)


async def test_kept_code_goes_on_where_it_stands(database: Settings, engine: Engine) -> None:
    app, passages, left = App(), list[str](), list[str]()
    flow = conversation(app, passages, left)
    async with AsyncClient(database, app.tasks) as client, working(database, app.tasks) as worker:
        run = await client.start(flow)
        await say(client, engine, run, "abc")
        assert await client.result(run, timeout=60) == ["a", "b", "c"]
        assert worker.workflows.resumed == 3
    assert (passages, left) == (["begun"], [])


async def test_code_that_is_not_kept_is_replayed(database: Settings, engine: Engine) -> None:
    app, passages, left = App(), list[str](), list[str]()
    flow = conversation(app, passages, left)
    async with AsyncClient(database, app.tasks) as client, working(database, app.tasks) as worker:
        worker.workflows.keep = 0
        run = await client.start(flow)
        await say(client, engine, run, "abc")
        assert await client.result(run, timeout=60) == ["a", "b", "c"]
        assert worker.workflows.resumed == 0
    assert passages == ["begun"] * 4
    assert left == ["Suspended"] * 3


async def test_what_somebody_else_went_on_with_is_dropped(database: Settings, engine: Engine) -> None:
    app, passages, left = App(), list[str](), list[str]()
    flow = conversation(app, passages, left)

    async with (
        AsyncClient(database, app.tasks) as client,
        working(database, app.tasks) as one,
        working(database, app.tasks) as other,
    ):
        await only(one, other)
        run = await client.start(flow)
        await say(client, engine, run, "a")
        await eventually(lambda: one.workflows.resumed == 1)
        await eventually(lambda: engine.query(WAITING))
        await only(other, one)
        await say(client, engine, run, "b")
        await eventually(lambda: other.workflows.replayed == 1)
        await eventually(lambda: engine.query(WAITING))
        await only(one, other)
        await say(client, engine, run, "c")
        assert await client.result(run, timeout=60) == ["a", "b", "c"]
        assert (one.workflows.resumed, one.workflows.replayed) == (1, 2)
    assert passages == ["begun"] * 3
    assert left == ["Suspended"] * 2


async def test_what_is_kept_is_bounded_and_the_oldest_goes_first(database: Settings, engine: Engine) -> None:
    app, passages, left = App(), list[str](), list[str]()
    flow = conversation(app, passages, left)
    count: Callable[[], int] = lambda: engine.query(WAITING.replace("1", "count(*)", 1))[0][0]  # noqa: E731
    async with AsyncClient(database, app.tasks) as client, working(database, app.tasks) as worker:
        worker.workflows.keep = 2
        for _ in range(4):
            await client.start(flow)
        await eventually(lambda: count() == 4)
        await eventually(lambda: left == ["Suspended"] * 2)
    await eventually(lambda: left == ["Suspended"] * 4)
