"""`RemoteClient`: the verbs of `Client` over HTTP. `AsyncRemoteClient` has the same; a test holds the two together."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, ParamSpec, TypeVar

import httpx

from pgflow.backoff import RetryPolicy
from pgflow.config import Settings
from pgflow.engine.enqueue import Request
from pgflow.engine.events import Cursor, Event
from pgflow.engine.limits import Limit
from pgflow.engine.runs import Standing
from pgflow.model import State
from pgflow.sdk.event_verbs import EventKey
from pgflow.sdk.remote import control_verbs, run_verbs, starting
from pgflow.sdk.remote.bulks import RemoteBulks
from pgflow.sdk.remote.connection import Place, answered, lost, options, streamed
from pgflow.sdk.remote.exchange import Answer, Ask, Exchange, Lost, performed
from pgflow.sdk.remote.registry import RemoteSchedules, RemoteTableTriggers, RemoteTriggers
from pgflow.sdk.remote.registry_people import RemoteApprovals, RemoteSecrets, RemoteSubscriptions
from pgflow.sdk.remote.run_verbs import RunPage
from pgflow.sdk.remote.stream import Following
from pgflow.sdk.run_verbs import Version, id_of
from pgflow.sdk.task import Duration, Key, Task
from pgflow.sdk.verbs import Handle, Rest

P = ParamSpec("P")
R = TypeVar("R")


class RemoteClient:
    """Talks to the engine over its REST API, from sync code. Thread-safe; one a process is enough.

    What is started is started with a key, so an answer that gets lost on the way is asked for again and starts nothing
    twice. Everything else is sent again only where that is safe. `Retry-After` is honoured.

    Args:
        url: where the API is, as in `https://flows.example.com`; `PGFLOW_API_URL` unless given.
        token: an API token; `PGFLOW_TOKEN` unless given.
        tasks: those whose code is at hand, by name, to decode their results.
        timeout: seconds that an answer may take.
        retries: how often the same is asked again.
        settings: in the place of those of the environment.

    Raises:
        ConfigError: where the API is, is not known.

    Example:
        >>> with RemoteClient("https://flows.example.com", token) as client:        # doctest: +SKIP
        ...     run = client.start(signup, "ann@example.com")
        ...     client.signal(run, "confirmed", {"by": "mail"})
        ...     client.result(run, timeout=60)
    """

    def __init__(
        self, url: str | None = None, token: str | None = None, *, tasks: Mapping[str, Task[..., Any]] | None = None,
        timeout: float = 30.0, retries: int = 4, settings: Settings | None = None,
    ) -> None:  # fmt: skip
        self._place = Place(url, token, timeout, retries, settings)
        self._tasks = tasks or {}
        self._http = httpx.Client()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._place.url!r})"

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> RemoteClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _send(self, ask: Ask) -> Answer | Lost:
        try:
            return answered(self._http.request(**options(self._place, ask)))
        except httpx.TransportError as error:
            return lost(self._place, error)

    def _drive(self, verb: Exchange[R]) -> R:
        attempts = performed(verb, self._place.retries, self._place.rng)
        answer: Answer | Lost | None = None
        while True:
            try:
                step = attempts.send(answer)
            except StopIteration as stop:
                return stop.value  # type: ignore[no-any-return]
            if isinstance(step, Rest):
                time.sleep(step.seconds)
                answer = None
            else:
                answer = self._send(step)

    def enqueue(self, task: Task[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Handle[R]:
        """Ask for one task. Other options go on the task: `client.enqueue(task.options(delay="1h"), ...)`.

        Raises:
            ArgumentError: the arguments do not fit, or the API does not take one of its options.
            IdempotencyConflict: its key was used with other arguments.
            ApiUnavailable: nothing came back, however often it was asked.
        """
        return self._drive(starting.start(starting.document(task.request(*args, **kwargs))))

    def start(self, workflow: Task[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Handle[R]:
        """Start a run of a workflow: `enqueue` by its name for workflows."""
        return self.enqueue(workflow, *args, **kwargs)

    def start_named(
        self, name: str, input: Mapping[str, Any] | None = None, *, key: str | None = None, queue: str | None = None,
        priority: str | None = None, delay: Duration | None = None, at: datetime | None = None,
        tags: Mapping[str, str] | None = None, hold: Duration | None = None, debounce: Duration | None = None,
        throttle: Duration | None = None, timeout: Duration | None = None, retry: RetryPolicy | None = None,
        slot: str | None = None,
    ) -> Handle[Any]:  # fmt: skip
        """Start a workflow or task whose code is not at hand, such as a graph.

        Args:
            name: its name.
            input: the arguments, by name.
            key: starts at most one.
            queue: another than its own.
            priority: `critical`, `high`, `normal` or `low`.
            delay: start no sooner than this from now: seconds, or as in `1h30m`.
            at: start no sooner than this.
            tags: words to find it by.
            hold: how long the key stays taken; by default until the run has ended.
            debounce, throttle: as of `Task.options`.
            timeout: of a task: how long an attempt may take.
            retry: of a task: a retry policy of its own.
            slot: of a task: whose share of a limited queue it takes.
        """
        options = starting.Options(
            key=key, queue=queue, priority=priority, delay=delay, at=at, tags=tags, hold=hold, debounce=debounce,
            throttle=throttle, timeout=timeout, retry=retry, slot=slot,
        )  # fmt: skip
        return self._drive(starting.start(starting.named(name, input, options)))

    def enqueue_many(self, requests: Iterable[Request], *, wake: bool = True) -> list[Handle[Any]]:
        """Ask for many tasks, a thousand a request, or half a megabyte: of those all or none.

        Args:
            requests: any number.
            wake: False leaves idle workers to their safety poll.
        """
        return self._drive(starting.start_many(requests, wake))

    def emit(
        self, name: str, payload: Any = None, *, key: EventKey | None = None, id: str | None = None
    ) -> Handle[Any]:
        """Emit an application event. One without an id gets one, so that it is emitted once."""
        return self._drive(starting.emit(name, payload, key, id))

    def signal(self, run: Handle[Any] | int | Key, name: str, payload: Any = None) -> None:
        """Send a signal to a run."""
        self._drive(run_verbs.signal(run, name, payload))

    def result(self, handle: Handle[R] | int, *, timeout: float | None = None) -> R:
        """Wait for the outcome and return the task's result. The API is asked by long polls.

        Raises:
            TaskFailed: it failed for good. TaskCancelled: it was cancelled. ResultTimeout: not done in time.
        """
        task_id = id_of(handle)
        found = self._drive(run_verbs.result(task_id, timeout, time.monotonic))
        known = self._tasks.get(self.show(task_id)["name"]) if self._tasks else None
        return found if known is None else known.signature.decode_result(found)  # type: ignore[no-any-return]

    def cancel(self, *task_ids: int, force: bool = False) -> list[int]:
        """Cancel tasks and, of runs, all that is in them. Returns those that this cancelled."""
        return self._drive(run_verbs.cancel(task_ids, force))

    def pause(self, *runs: Handle[Any] | int) -> list[int]:
        """Pause runs. Returns those that were not paused before."""
        return self._drive(run_verbs.steer(runs, "pause"))

    def resume(self, *runs: Handle[Any] | int) -> list[int]:
        """Let runs go on. Returns those for which there was something to resume."""
        return self._drive(run_verbs.steer(runs, "resume"))

    def redrive(self, *task_ids: int) -> list[int]:
        """Revive failed and cancelled tasks. Returns those revived."""
        return self._drive(run_verbs.redrive(task_ids))

    def redrive_where(self, *, name: str | None = None, queue: str | None = None, limit: int = 1000) -> list[int]:
        """Revive failed tasks by filter, newest first."""
        return self._drive(run_verbs.redrive_where(name, queue, limit))

    def rerun(
        self,
        run: Handle[Any] | int,
        *,
        from_node: str | Sequence[str] | None = None,
        whole: bool = False,
        version: Version | None = None,
        set: Mapping[str, Any] | None = None,  # noqa: A002 (as on the command line)
        input: Mapping[str, Any] | None = None,
    ) -> Handle[Any]:
        """Start a new run like this one. See `Client.rerun`."""
        nodes = [from_node] if isinstance(from_node, str) else None if from_node is None else list(from_node)
        asked = {"from_node": nodes, "whole": whole, "version": version, "set": set, "input": input}
        return self._drive(starting.again(id_of(run), "rerun", asked))

    def fork(
        self,
        run: Handle[Any] | int,
        *,
        from_step: str,
        version: Version | None = None,
        set: Mapping[str, Any] | None = None,  # noqa: A002 (as on the command line)
        input: Mapping[str, Any] | None = None,
    ) -> Handle[Any]:
        """Start a new run that takes over what this one had recorded before a step. See `Client.fork`."""
        asked = {"from_step": from_step, "version": version, "set": set, "input": input}
        return self._drive(starting.again(id_of(run), "fork", asked))

    def state(self, run: Handle[Any] | int) -> dict[str, Any] | None:
        """What a run last told of itself."""
        return self._drive(run_verbs.state(run))

    def standing(self, run: Handle[Any] | int) -> list[Standing]:
        """What keeps a run, or a task."""
        return self._drive(run_verbs.stands(run))

    def graph(self, run: Handle[Any] | int) -> dict[str, Any]:
        """How far a run of a graph is, as the API tells it."""
        return self._drive(run_verbs.get(f"/runs/{id_of(run)}/graph"))

    def compare(self, old: Handle[Any] | int, new: Handle[Any] | int) -> dict[str, Any]:
        """What differs between two runs, as the API tells it."""
        return self._drive(run_verbs.get(f"/runs/{id_of(old)}/diff", **{"with": id_of(new)}))

    def show(self, task_id: int) -> Mapping[str, Any]:
        """Everything about one task."""
        return self._drive(run_verbs.show(task_id))

    def history(self, task_id: int, *, task: int | None = None, limit: int | None = None) -> list[dict[str, Any]]:
        """What happened to a task, or in a run, in order; the last 10,000 events at most."""
        return self._drive(run_verbs.history(task_id, task, limit))

    def runs(
        self, *, workflow: str | None = None, state: State | str | None = None, queue: str | None = None,
        key: str | None = None, tags: Mapping[str, str] | None = None, since: datetime | None = None,
        until: datetime | None = None, order: str = "newest", after: str | None = None, limit: int = 50,
    ) -> RunPage:  # fmt: skip
        """A page of runs by filter.

        Args:
            workflow: of this name.
            state: in this state.
            queue: of this queue.
            key: started with this key.
            tags: with all of these.
            since: asked for then or later; in the order `finished`: ended.
            until: asked for before then; in the order `finished`: ended.
            order: `newest`, or `finished`: the last to end first.
            after: `next` of the page before.
            limit: how many at most.
        """
        return self._drive(
            run_verbs.runs(workflow, state, queue, key, tags, since, until, order, after, limit)
        )  # fmt: skip

    def tasks(
        self, *, roots_only: bool = False, state: State | str | None = None, name: str | None = None,
        queue: str | None = None, run_id: int | None = None, before: int | None = None, limit: int = 50,
    ) -> list[dict[str, Any]]:  # fmt: skip
        """Tasks by filter, newest first; `before` takes the last id of the previous page."""
        return self._drive(
            run_verbs.tasks(run_id, before, limit, state=state, name=name, queue=queue, roots_only=roots_only or None)
        )

    def events(
        self, *, run: Handle[Any] | int | None = None, types: Sequence[str] | None = None,
        workflows: Sequence[str] | None = None, after: Cursor | str | None = None,
    ) -> Iterator[Event]:  # fmt: skip
        """What happens, as it happens, until you stop. A connection that is lost is made again, and none is missed.

        Args:
            run: only in this run.
            types: only these types; `workflow.*` for all that begin so.
            workflows: only runs of these.
            after: from this cursor on, such as that of the last event seen; `0-0`: from the first kept; from now on
                unless given.
        """
        following = Following(None if run is None else id_of(run), types, workflows, after)
        while True:
            ended: Lost | Answer | None = None
            with streamed(self._http, self._place, following.headers, following.params) as response:
                if isinstance(response, (Lost, Answer)):
                    ended = response
                else:
                    with suppress(httpx.TransportError):
                        for line in response.iter_lines():
                            event = following.line(line)
                            if event is not None:
                                yield event
            time.sleep(following.lost(ended))

    def queues(self) -> list[dict[str, Any]]:
        """Every queue with its depth."""
        return self._drive(control_verbs.listed("/queues"))

    def workers(self) -> list[dict[str, Any]]:
        """Every worker of the last day."""
        return self._drive(control_verbs.listed("/workers", ended=True))

    def pause_queue(self, name: str) -> None:
        """Claim nothing more from this queue until it is resumed."""
        self._drive(control_verbs.queue(name, "pause"))

    def resume_queue(self, name: str) -> bool:
        """Claim from this queue again. Returns whether it was paused."""
        return self._drive(control_verbs.resume_queue(name))

    def limit_queue(self, name: str, limit: Limit) -> None:
        """Limit what a queue may have ready and running, or start a second."""
        self._drive(control_verbs.limit(name, limit))

    def lift_limit(self, name: str) -> bool:
        """Limit this queue no more. Returns whether it was limited."""
        return self._drive(control_verbs.lift_limit(name))

    def limits(self) -> list[dict[str, Any]]:
        """Every limit, with what it holds back."""
        return self._drive(control_verbs.listed("/limits"))

    def age_queue(self, name: str, every: float | None) -> None:
        """Make waiting tasks of a queue one priority more urgent each time this has passed."""
        self._drive(control_verbs.age(name, every))

    @property
    def schedules(self) -> RemoteSchedules:
        """What the clock starts."""
        return RemoteSchedules(self._drive)

    @property
    def triggers(self) -> RemoteTriggers:
        """What HTTP requests and application events start."""
        return RemoteTriggers(self._drive)

    @property
    def subscriptions(self) -> RemoteSubscriptions:
        """Who is told of events."""
        return RemoteSubscriptions(self._drive)

    @property
    def secrets(self) -> RemoteSecrets:
        """What only tasks may know."""
        return RemoteSecrets(self._drive)

    @property
    def approvals(self) -> RemoteApprovals:
        """What people are asked to decide."""
        return RemoteApprovals(self._drive)

    @property
    def table_triggers(self) -> RemoteTableTriggers:
        """What changes of tables start."""
        return RemoteTableTriggers(self._drive)

    @property
    def bulk(self) -> RemoteBulks:
        """Many runs changed at once."""
        return RemoteBulks(self._drive)
