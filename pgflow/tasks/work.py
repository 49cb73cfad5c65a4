"""`pgflow.node.http`, `pgflow.node.sql` and so on: what work nodes of graphs are done by, one task a node type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from pgflow.engine.facts import Progress, tell_progress
from pgflow.errors import ArgumentError, Fatal
from pgflow.nodes.base import Desk, Durable, Work
from pgflow.nodes.kit import node_types
from pgflow.nodes.running import problems
from pgflow.nodes.secrets import Given, revealed
from pgflow.sdk.app import App
from pgflow.sdk.attempt import CELL, current
from pgflow.sdk.context import Context

if TYPE_CHECKING:
    from pgflow.tasks import OwnTasks


def register(app: App, own: OwnTasks) -> None:
    """Enter a task for each work node type."""
    for kind in node_types().values():
        if isinstance(kind, Durable):
            _enter_durable(app, own, kind)
        elif isinstance(kind, Work):
            _enter(app, own, kind)


def _enter(app: App, own: OwnTasks, kind: Work[Any]) -> None:
    @app.task(name=kind.task, queue="default", timeout=kind.timeout, retry=kind.retry.policy())
    async def work(config: dict[str, Any], secrets: list[list[str | int]] | None = None) -> Any:
        if secrets:
            config = await revealed(config, secrets, own.vault.reveal)
        try:
            made = kind.config.model_validate(config)
        except ValidationError as error:
            raise Fatal(problems(error)) from None
        return await kind.work(_desk(own), made)


def _enter_durable(app: App, own: OwnTasks, kind: Durable[Any]) -> None:
    @app.workflow(name=kind.task, queue="default", timeout=kind.timeout, retry=kind.retry.policy())
    async def conduct(
        ctx: Context, config: dict[str, Any], secrets: list[list[str | int]] | None = None,
        more: dict[str, Any] | None = None,
    ) -> Any:  # fmt: skip
        ctx._replay.rehearse = (
            None  # what it asks for follows from its input and from what is recorded, beside each other
        )

        async def tell(progress: float | None = None, note: str | None = None) -> None:
            ctx.heartbeat(progress, note)

        desk = Desk(
            own.settings, ctx.idempotency_key, ctx.attempt, own.outbound, own.connections, own.client, own.vault, tell
        )
        return await kind.conduct(ctx, desk, Given(config, secrets or (), more or {}))


def _desk(own: OwnTasks) -> Desk:
    attempt = current()
    cell = CELL.get()
    assert cell is not None
    assert cell.claimed is not None
    task_id, epoch, worker_id = attempt.task_id, cell.claimed.epoch, attempt.worker_id

    async def tell(progress: float | None = None, note: str | None = None) -> None:
        if progress is not None and not 0 <= progress <= 1:
            raise ArgumentError(f"progress={progress} is not between 0 and 1")
        await own.run(tell_progress([Progress(task_id, epoch, b"null", progress, note)], worker_id))

    return Desk(
        own.settings, attempt.idempotency_key, attempt.attempt, own.outbound, own.connections, own.client, own.vault,
        tell,
    )  # fmt: skip
