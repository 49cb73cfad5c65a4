"""`pgflow.webhook`: decides what a delivery starts, and starts that once. See `pgflow.sdk.registry.receiving`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from pgflow.backoff import RetryPolicy
from pgflow.errors import Fatal, NotFound
from pgflow.sdk.app import App
from pgflow.sdk.attempt import current
from pgflow.sdk.registry.receiving import QUEUE, TASK
from pgflow.sdk.registry.triggers import get
from pgflow.sdk.registry.webhooks import Webhook, decide, start

if TYPE_CHECKING:
    from pgflow.tasks import OwnTasks


def register(app: App, own: OwnTasks) -> None:
    """Enter the task."""

    @app.task(name=TASK, queue=QUEUE, retry=RetryPolicy(20, base=0.5, cap=60), timeout=60)
    async def webhook(
        trigger: str, delivery: str | None, received_at: str, headers: dict[str, str], body: Any
    ) -> dict[str, Any]:
        task_id = current().task_id
        try:
            found = await own.client._drive(get(trigger, "webhook"))
        except NotFound as error:
            raise Fatal(error.message) from error
        names = {
            "trigger": trigger, "delivery": delivery, "received_at": received_at, "headers": headers, "body": body
        }  # fmt: skip
        # What expressions take is bounded, and still too much for the loop that everything else here runs on.
        decision = await asyncio.to_thread(decide, found, names)
        if decision.start is None:
            return {"filtered": True}
        keep = Webhook.from_json(found.settings).keep
        handle = await own.run(start(trigger, decision, task_id, limit=own.settings.payload_limit, keep=keep))
        return {"started": handle.id} | ({"duplicate": True} if handle.existed else {})
