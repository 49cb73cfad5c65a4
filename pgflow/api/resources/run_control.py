"""What people do to runs: cancel, pause, resume, signal; run them again, from a node, from a step."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from pgflow.api.asked import Change
from pgflow.api.models import Id, Model, Name, Text
from pgflow.api.operation import Reply, operation
from pgflow.api.start_request import Started
from pgflow.api.targets import refuse_own
from pgflow.api.visible import visible
from pgflow.errors import ArgumentError


class CancelRun(Model):
    """How to cancel."""

    force: bool = Field(default=False, description="Also one that has something to undo, which is then not done.")


class Cancelled(Model):
    """What was cancelled."""

    cancelled: list[Id] = Field(description="The run and what is in it, but for what had ended, or cleans up first.")


class Steered(Model):
    """Whether it made a difference."""

    id: Id
    changed: bool = Field(description="false: it was so before.")


class Signal(Model):
    """A signal to be sent."""

    name: Name
    payload: Any = Field(default=None, description="What the workflow gets.")


class Sent(Model):
    """A signal that was sent."""

    id: Id
    name: str


class Rerun(Model):
    """How to run it again."""

    from_node: list[Text] | None = Field(
        default=None, min_length=1, max_length=1000,
        description="Of a graph: begin from these nodes and keep all others; the failed ones unless given.",
    )  # fmt: skip
    whole: bool = Field(default=False, description="Of a graph: keep nothing.")
    version: Literal["same", "newest"] | int | None = Field(
        default=None, description="Of a graph; the same if something is kept, else the newest."
    )
    set: dict[Text, Any] | None = Field(default=None, description='Changes of the input, by path: `{"input.a.b": 1}`.')
    input: dict[str, Any] | None = Field(default=None, description="Another input, whole.")


class Fork(Model):
    """Where to begin."""

    from_step: Text = Field(description="What the step is recorded under, as in `charge#2`; of a graph: a node.")
    version: Literal["same", "newest"] | int | None = Field(default=None, description="Of a graph, as of a re-run.")
    set: dict[Text, Any] | None = Field(default=None, description='Changes of the input, by path: `{"input.a.b": 1}`.')
    input: dict[str, Any] | None = Field(default=None, description="Another input, whole.")


class RunControl:
    """`/api/v1/runs/{id}/...`, what changes something."""

    @operation("Cancel a run", changes="run.cancel", optional_body=True)
    async def on_post_cancel(self, change: Change, id: Id, body: CancelRun) -> Cancelled:
        """And everything in it. One that has something to undo undoes it first, and ends by itself."""
        await visible(change, change, id)
        before = await change.client.show(id)
        done = await change.client.cancel(id, force=body.force)
        if not done and (await change.client.show(id))["state"] == before["state"]:
            change.nothing_changed()
        told = {"cancelled": len(done), "first": [str(one) for one in done[:20]], "force": body.force}
        change.tell(f"run:{id}", before={"state": before["state"]}, after=told)
        return Cancelled(cancelled=done)

    @operation("Pause a run", changes="run.pause")
    async def on_post_pause(self, change: Change, id: Id) -> Steered:
        """Nothing more of it begins; what runs goes on to its end or its next rest."""
        await visible(change, change, id)
        done = await change.client.pause(id)
        return self._steered(change, id, bool(done), {"paused": True})

    @operation("Resume a run", changes="run.resume")
    async def on_post_resume(self, change: Change, id: Id) -> Steered:
        """One that is paused, or that needs attention."""
        await visible(change, change, id)
        done = await change.client.resume(id)
        return self._steered(change, id, bool(done), {"paused": False})

    @operation("Send a signal to a run", status=202, changes="run.signal")
    async def on_post_signal(self, change: Change, id: Id, body: Signal) -> Sent:
        """It is kept for the run until it asks for it."""
        await visible(change, change, id)
        await change.client.signal(id, body.name, body.payload)
        change.tell(f"run:{id}", after={"signal": body.name})
        return Sent(id=id, name=body.name)

    @operation("Run it again", status=201, changes="run.rerun", optional_body=True)
    async def on_post_rerun(self, change: Change, id: Id, body: Rerun) -> Reply[Started]:
        """A new run like this one. A graph begins from the nodes that failed, unless told otherwise."""
        await visible(change, change, id)
        await _not_own(change, id)
        _either(body.set, body.input)
        handle = await change.client.rerun(
            id, from_node=body.from_node, whole=body.whole, version=body.version, set=body.set, input=body.input
        )
        asked = body.model_dump(exclude={"input"}, exclude_defaults=True)
        change.tell(f"run:{handle.id}", after={"from": str(id), **asked})
        return _begun(handle.id)

    @operation("Run it again from a step", status=201, changes="run.fork")
    async def on_post_fork(self, change: Change, id: Id, body: Fork) -> Reply[Started]:
        """A new run that takes over what this one had recorded before that step, and does the step anew."""
        await visible(change, change, id)
        await _not_own(change, id)
        _either(body.set, body.input)
        handle = await change.client.fork(
            id, from_step=body.from_step, version=body.version, set=body.set, input=body.input
        )
        asked = body.model_dump(exclude={"input"}, exclude_defaults=True)
        change.tell(f"run:{handle.id}", after={"from": str(id), **asked})
        return _begun(handle.id)

    def _steered(self, change: Change, id: int, changed: bool, after: dict[str, Any]) -> Steered:
        change.tell(f"run:{id}", after=after)
        if not changed:
            change.nothing_changed()
        return Steered(id=id, changed=changed)


async def _not_own(change: Change, id: int) -> None:
    """Raise `forbidden` for what the engine does itself, which believes its input: a new run of it could be given any,
    with the name of another in it, and without the preview that a bulk needs. What failed of it is redriven."""
    refuse_own((await change.client.show(id))["name"])


def _either(changes: object, input: object) -> None:
    if changes is not None and input is not None:
        raise ArgumentError("set and input exclude each other")


def _begun(id: int) -> Reply[Started]:
    return Reply(Started(id=id, existed=False), headers={"Location": f"/api/v1/runs/{id}"})
