"""`pgflow.bulk` changes many runs, page by page, and `pgflow.bulk_undo` takes that back: see `sdk.registry.bulk`.

A page is one transaction: what it changes, and the step that says so. What a step gives is the ids of a page, no more
than `PAGE`, because an undo reads them; what is below a cancelled run an undo finds by when it was cancelled.

A page that meets something that cannot be changed as things are goes on with the next one, and counts it as failed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from psycopg import AsyncConnection

from pgflow.engine import bulk, control, runs
from pgflow.engine.bulk import Filter, Found
from pgflow.errors import PgflowError
from pgflow.sdk import run_verbs, verbs
from pgflow.sdk.app import App
from pgflow.sdk.async_client import AsyncClient
from pgflow.sdk.context import Context
from pgflow.sdk.registry.bulk import BULK, UNDO, Asked, filter_of
from pgflow.sdk.step import step

if TYPE_CHECKING:
    from pgflow.tasks import OwnTasks

PAGE = 100
STEPS = 400
"""Pages after which the workflow starts over with a fresh history."""
MOST_ERRORS = 5
CHANGE = "change"
"""What a page is recorded under."""


def register(app: App, own: OwnTasks) -> None:
    """Enter the two workflows."""
    _register_bulk(app, own)
    _register_undo(app, own)


def _register_bulk(app: App, own: OwnTasks) -> None:
    async def change(
        db: AsyncConnection[Any], action: str, which: Filter, after: int, limit: int, actor: str | None
    ) -> Any:
        client = own.client.on(db)
        found = await client._run(bulk.match(which, after, limit))
        done, errors = await _change(client, action, found, actor)
        last = found[-1].id if len(found) == limit else None
        return {"met": len(found), "last": last, "done": done, "failed": len(errors), "errors": errors[:MOST_ERRORS]}

    @app.workflow(name=BULK, queue="pgflow")
    async def run_bulk(
        ctx: Context, action: str, which: dict[str, Any], upto: int, count: int, rate: int, actor: str | None = None,
        names: list[str] | None = None, queues: list[str] | None = None, after: int = 0, met: int = 0, done: int = 0,
        failed: int = 0, errors: list[str] | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        asked = Asked(action=action, which=which, actor=actor, names=names, queues=queues)
        wanted, size, said = filter_of(asked, upto), min(PAGE, rate), list(errors or ())
        for _ in range(STEPS):
            page = await ctx.tx(_page(change, action, wanted, after, size, actor))
            met, done, failed = met + page["met"], done + len(page["done"]), failed + page["failed"]
            said = [*said, *page["errors"]][:MOST_ERRORS]
            ctx.set_state({"met": met, "changed": done, "failed": failed, "errors": said})
            ctx.heartbeat(min(1.0, met / count) if count else 1.0, f"{done:,} changed, {failed:,} failed")
            if page["last"] is None:
                return {"met": met, "changed": done, "failed": failed, "errors": said}
            after = page["last"]
            await ctx.step(_rest, page["met"] / rate)
        return ctx.continue_as_new(
            action, which, upto, count, rate, actor, names, queues, after, met, done, failed, said
        )


def _register_undo(app: App, own: OwnTasks) -> None:
    async def take_back(db: AsyncConnection[Any], action: str, ids: list[int], since: str, actor: str | None) -> Any:
        client = own.client.on(db)
        match action:
            case "cancel":
                tasks = await client._run(bulk.cancelled(ids, datetime.fromisoformat(since)))
                back = await client._run(control.redrive(tasks, actor=actor))
            case "pause":
                back = await client._drive(run_verbs.resume(tuple(ids), actor=actor))
            case _:
                back = await client._drive(run_verbs.pause(tuple(ids), actor=actor))
        left = [id for id in ids if id not in set(back)]
        return {"done": len(ids) - len(left), "errors": await _left(client, action, left[:MOST_ERRORS])}

    async def changed(run: int, after: int) -> Any:
        pages = await own.run(bulk.changed(run, f"%{CHANGE}%", after, 1))
        return {"at": pages[0].id, "ids": pages[0].data["result"]["done"]} if pages else None

    @app.workflow(name=UNDO, queue="pgflow")
    async def undo_bulk(
        ctx: Context, bulk: int, action: str, since: str, count: int, rate: int, actor: str | None = None,
        names: list[str] | None = None, queues: list[str] | None = None, after: int = 0, met: int = 0, done: int = 0,
        errors: list[str] | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        said = list(errors or ())
        for _ in range(STEPS):
            page = await ctx.step(changed, bulk, after)
            if page is None:
                return {"met": met, "changed": done, "failed": met - done, "errors": said}
            if page["ids"]:
                back = await ctx.tx(_page(take_back, action, page["ids"], since, actor))
                met, done, said = met + len(page["ids"]), done + back["done"], [*said, *back["errors"]][:MOST_ERRORS]
                ctx.set_state({"met": met, "changed": done, "failed": met - done, "errors": said})
                ctx.heartbeat(min(1.0, met / count) if count else 1.0, f"{done:,} taken back")
                await ctx.step(_rest, len(page["ids"]) / rate)
            after = page["at"]
        return ctx.continue_as_new(bulk, action, since, count, rate, actor, names, queues, after, met, done, said)


async def _left(client: AsyncClient, action: str, left: Sequence[int]) -> list[str]:
    """Why these are as the bulk left them, or as somebody has changed them since."""
    graphs = await client._run(runs.of_graphs([(id, id) for id in left])) if action == "cancel" and left else {}
    return [
        f"{id}: a run of a graph stays cancelled; re-run it" if id in graphs else f"{id}: it is not as the bulk left it"
        for id in left
    ]


async def _rest(seconds: float) -> None:
    await asyncio.sleep(seconds)


def _page(work: Any, *args: Any) -> Any:
    async def page(db: AsyncConnection[Any]) -> Any:
        return await work(db, *args)

    return step(page, name=CHANGE)


async def _change(
    client: AsyncClient, action: str, found: Sequence[Found], actor: str | None
) -> tuple[list[int], list[str]]:
    """Change these. Returns those that were, and what was wrong with others."""
    ids = [one.id for one in found]
    if action == "redrive":
        located = [control.Located(one.id, one.root_id, True) for one in found]
        call = control.redrive(located, actor=actor)
        revived = await client._run(call)
        left = [id for id in ids if id not in revived]
        return sorted(revived), [f"{id}: it cannot be revived; a graph's run is re-run instead" for id in left]
    done: list[int] = []
    errors: list[str] = []
    for id in ids:
        try:
            if await _change_one(client, action, id, actor):
                done.append(id)
        except PgflowError as error:
            errors.append(f"{id}: {error.message}"[:300])
    return done, errors


async def _change_one(client: AsyncClient, action: str, id: int, actor: str | None) -> bool:
    match action:
        case "cancel":
            await client._drive(verbs.cancel([id], actor=actor))
            return True  # also one that has something to undo, and ends by itself
        case "pause":
            return bool(await client._drive(run_verbs.pause((id,), actor=actor)))
        case "resume":
            return bool(await client._drive(run_verbs.resume((id,), actor=actor)))
        case _:
            await client._drive(run_verbs.fork(id, run_verbs.Asked(), {}, actor=actor))
            return True
