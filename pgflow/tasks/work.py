"""`pgflow.http`, `pgflow.sql` and so on: what work nodes of graphs are done by, one task a node type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from pgflow.backoff import RetryPolicy
from pgflow.errors import Fatal
from pgflow.expression import Template
from pgflow.nodes.base import Desk, Work
from pgflow.nodes.kit import node_types
from pgflow.nodes.running import problems
from pgflow.sdk.app import App
from pgflow.sdk.attempt import current

if TYPE_CHECKING:
    from pgflow.tasks import OwnTasks


def register(app: App, own: OwnTasks) -> None:
    """Enter a task for each work node type."""
    for kind in node_types().values():
        if isinstance(kind, Work):
            _enter(app, own, kind)


def _enter(app: App, own: OwnTasks, kind: Work[Any]) -> None:
    @app.task(
        name=f"pgflow.{kind.name}", queue="default", timeout=kind.timeout, retry=RetryPolicy(**kind.retry.model_dump())
    )
    async def work(config: dict[str, Any]) -> Any:
        template = Template(config)
        if template.secrets:
            config = template.render({"secrets": await own.vault.reveal(template.secrets)})
        try:
            made = kind.config.model_validate(config)
        except ValidationError as error:
            raise Fatal(problems(error)) from None
        return await kind.work(Desk(own.settings, current().idempotency_key), made)
