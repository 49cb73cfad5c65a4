"""Signals to a run that is known by its key."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from pgflow.api.asked import Change
from pgflow.api.models import Id, Key, Model, Name
from pgflow.api.operation import operation
from pgflow.api.problems import ProblemError
from pgflow.api.visible import visible
from pgflow.engine import runs
from pgflow.sdk.environment import the_run
from pgflow.sdk.task import Key as RunKey


class SignalByKey(Model):
    """A signal, and to whom."""

    workflow: Name = Field(description="The workflow's name.")
    key: Key = Field(description="The key that the run was started with.")
    name: Name = Field(description="The signal's name.")
    payload: Any = None


class Signalled(Model):
    """Who was told."""

    run: Id


class Signals:
    """`/api/v1/signals`."""

    @operation("Send a signal by key", status=202, changes="run.signal", problems=("not_found",))
    async def on_post(self, change: Change, body: SignalByKey) -> Signalled:
        """To the newest unfinished run that has the key."""
        key = RunKey(body.workflow, body.key)
        id = the_run(await change.run(runs.by_key(body.workflow, body.key)), key)
        try:
            await visible(change, change, id)
        except ProblemError:
            the_run(None, key)  # a key of others is told like one that nobody has
        await change.client.signal(id, body.name, body.payload)
        change.tell(f"run:{id}", after={"signal": body.name, "workflow": body.workflow, "key": body.key})
        return Signalled(run=id)
