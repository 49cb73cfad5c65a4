"""The clients that talk to the API, against a real server; and against one that loses its answers."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson
import pytest

from pgflow import AsyncRemoteClient, Key, RemoteClient
from pgflow.backoff import RetryPolicy
from pgflow.config import Settings
from pgflow.engine.enqueue import Request, Spec
from pgflow.engine.limits import Limit
from pgflow.errors import (
    ApiUnavailable,
    ArgumentError,
    ConfigError,
    IdempotencyConflict,
    NameTaken,
    NotFound,
    PermissionDenied,
    ResultTimeout,
    TaskCancelled,
    TaskFailed,
)
from pgflow.model import State
from pgflow.sdk.async_client import AsyncClient
from pgflow.sdk.client import Client
from pgflow.sdk.remote import bulks, registry, registry_people
from pgflow.sdk.remote.exchange import Answer, Ask, Lost
from pgflow.sealing import new_key
from pgflow.signature import Form, Kind, Scheme
from tests.api.conftest import Askers
from tests.api.test_server import ready, served
from tests.fixtures.database import Engine
from tests.fixtures.workers import eventually, executing, leading
from tests.runtime import apps
from tests.workflows import flows

TOKEN = "pgf_" + "s" * 43
OWN = {"start_named", "runs", "events"}
"""Verbs that `Client` has not: it has the code, and the views of the database."""
NOT_THERE = {
    "on": "a transaction does not reach over HTTP",
    "recorded": "a rehearsal reads the whole journal of a run, beside its code",
    "triggers.receive": "a webhook is sent to /hooks itself",
}
"""What `Client` has and the remote one has not, and why. All else has to be there, with every parameter."""


def public(*classes: type) -> dict[str, dict[str, str]]:
    return {
        name: {p.name: f"{p.kind}:{p.annotation}:{p.default}" for p in inspect.signature(method).parameters.values()}
        for one in classes
        for name, method in vars(one).items()
        if not name.startswith("_") and callable(method)
    }


def parameters(client: Any) -> dict[str, dict[str, str]]:
    """Every verb of a client, those of its registries included, with its parameters: name, kind and default."""
    found: dict[str, dict[str, str]] = {}
    for name in dir(client):
        if name.startswith("_") or name == "close":
            continue
        part = getattr(client, name)
        verbs = {name: part} if inspect.ismethod(part) else {
            f"{name}.{verb}": getattr(part, verb) for verb in dir(part) if not verb.startswith("_")
        }  # fmt: skip
        for verb, method in verbs.items():
            found[verb] = {p.name: f"{p.kind}={p.default}" for p in inspect.signature(method).parameters.values()}
    return found


@pytest.mark.parametrize(
    ("beside", "remote"), [(Client, RemoteClient), (AsyncClient, AsyncRemoteClient)], ids=["sync", "async"]
)
def test_the_verbs_and_their_parameters_are_those_of_the_client_beside_the_database(beside: Any, remote: Any) -> None:
    theirs = parameters(beside(Settings(database_url=None, _env_file=None)))
    ours = parameters(remote("https://flows.example.com", TOKEN))
    assert "bulk.preview" in theirs
    assert theirs.keys() - ours.keys() == NOT_THERE.keys()
    assert ours.keys() - theirs.keys() == OWN
    for verb in theirs.keys() & ours.keys():
        assert ours[verb] == theirs[verb], verb


def test_both_colours_have_the_same_verbs_and_signatures() -> None:
    pairs = [(RemoteClient, AsyncRemoteClient), (bulks.RemoteBulks, bulks.AsyncRemoteBulks)]
    for module in (registry, registry_people):
        pairs += [
            (one, getattr(module, f"Async{name}")) for name, one in vars(module).items() if name.startswith("Remote")
        ]
    assert len(pairs) == 8
    for one, other in pairs:
        assert public(one) == public(other)
        assert all(vars(other)[name].__doc__ for name in public(other))


@pytest.fixture
def server(database: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in ("PGFLOW_API_RATE", "PGFLOW_API_ADDRESS_RATE"):
        monkeypatch.setenv(name, "100000/second")
    monkeypatch.setenv("PGFLOW_SECRET_KEYS", new_key())
    with served(database) as (process, port):
        ready(process, port)
        yield f"http://127.0.0.1:{port}"


class Forgetful(AsyncRemoteClient):
    """Loses the first answer, and asks again only when what was started has ended."""

    engine: Engine
    lost = 0

    async def _send(self, ask: Ask) -> Answer | Lost:
        answer = await super()._send(ask)
        if self.lost or not isinstance(answer, Answer):
            return answer
        self.lost = answer.json()["id"]
        await eventually(lambda: self.engine.state(int(self.lost)) == "completed")
        return Lost("the answer was lost", unsent=False)


async def started_once(server: str, token: str, engine: Engine) -> None:
    """What has ended before its answer came is not started twice."""
    async with Forgetful(server, token, tasks=flows.app.tasks) as client:
        client.engine = engine
        run = await client.start(flows.double, 21)
        assert (run.id, run.existed) == (int(client.lost), True)
        assert await client.result(run, timeout=20) == 42
    assert engine.query("select count(*) from pgflow.task where name = 'double'") == [(1,)]


async def test_a_workflow_is_started_watched_signalled_and_answers(
    server: str, askers: Askers, database: Settings, engine: Engine
) -> None:
    tasks = flows.app.tasks
    async with AsyncRemoteClient(server, askers.token("operator"), tasks=tasks) as client, executing(database, tasks):
        run = await client.start(flows.confirm.options(key="confirm-1"), None)
        again = await client.start(flows.confirm.options(key="confirm-1"), None)
        assert (again.id, again.existed) == (run.id, True)
        with pytest.raises(IdempotencyConflict, match=str(run.id)):
            await client.start(flows.confirm.options(key="confirm-1"), 3600.0)
        with pytest.raises(ResultTimeout, match="goes on"):
            await client.result(run, timeout=0.2)
        waiting = asyncio.create_task(client.result(run, timeout=20))
        await client.signal(Key("confirm", "confirm-1"), "confirmed", {"by": "mail"})
        assert await waiting == "mail"
        seen = []
        async with asyncio.timeout(60):
            async for event in client.events(run=run, after="0-0"):
                seen.append(event.type)
                if event.type == "task.completed":
                    break
        assert "signal.received" in seen
        assert seen == [one["type"] for one in await client.history(run.id) if one["id"] is not None]
        shown = await client.show(run.id)
        assert (shown["id"], shown["state"], shown["key"]) == (run.id, "completed", "confirm-1")
        assert shown["finished_at"].tzinfo is not None
        found = await client.runs(workflow="confirm", order="finished")
        assert [one["id"] for one in found.runs] == [run.id]
        failing = await client.enqueue(flows.broken)
        with pytest.raises(TaskFailed, match="broken for good"):
            await client.result(failing, timeout=20)
        assert await client.redrive(failing.id) == [failing.id]
        again = await client.rerun(run, input={"timeout": 1.0})
        assert again.id not in {run.id, failing.id}
        await started_once(server, askers.token("operator"), engine)


def test_the_other_verbs_and_what_the_api_refuses(server: str, askers: Askers, engine: Engine) -> None:
    with RemoteClient(server, askers.token("operator")) as client:
        first, *many = client.enqueue_many(apps.add.request(n, b=n) for n in range(501))
        assert len({first.id, *(one.id for one in many)}) == 501
        assert client.tasks(limit=2)[0]["id"] == many[-1].id
        assert len(client.tasks(name="add", state=State.QUEUED, limit=600)) == 501
        named = client.start_named("orders.ship", {"a": 1}, priority="high", tags={"customer": "17"})
        shown = client.show(named.id)
        assert (shown["input"], shown["priority"], shown["tags"]) == ({"a": 1}, "high", {"customer": "17"})
        assert [one["id"] for one in client.runs(tags={"customer": "17"}).runs] == [named.id]
        assert client.pause(named) == [named.id]
        assert client.pause(named) == []
        assert next(one.what for one in client.standing(named)) in {"paused", "parked"}
        assert client.resume(named) == [named.id]
        assert client.state(named) is None
        assert client.cancel(named.id) == [named.id]
        with pytest.raises(TaskCancelled):
            client.result(named, timeout=1)
        client.pause_queue("default")
        assert (client.resume_queue("default"), client.resume_queue("default")) == (True, False)
        client.limit_queue("default", Limit(concurrency=2))
        assert client.limits()[0]["concurrency"] == 2
        assert (client.lift_limit("default"), client.lift_limit("default")) == (True, False)
        client.age_queue("default", 60)
        client.age_queue("default", None)
        assert client.queues()[0]["queued"] == 501
        assert client.workers() == []
        assert client.emit("order/paid", {"order": 1}, key=17).existed is False
        assert client.emit("order/paid", 1, id="mine").id == client.emit("order/paid", 1, id="mine").id
        made = client.schedules.put("nightly", "report", cron="0 3 * * *")
        assert (made["cron"], isinstance(made["next_at"], datetime)) == ("0 3 * * *", True)
        assert client.schedules.pause("nightly") == ["nightly"]
        assert client.schedules.resume("nightly", "nightly") == ["nightly"]
        assert [one["name"] for one in client.schedules.list()] == ["nightly"]
        assert client.schedules.remove("nightly") == ["nightly"]
        with pytest.raises(NotFound, match="nightly"):
            client.schedules.get("nightly")
        assert client.approvals.list() == []
    refused(server, askers.token("viewer"))


def test_the_registries_are_there_as_beside_the_database(server: str, askers: Askers, engine: Engine) -> None:
    """Those of every noun: made, listed, looked at, changed, removed."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    with RemoteClient(server, askers.token("admin")) as client:
        made = client.schedules.create("daily", apps.add.options(priority="high"), input={"a": 1, "b": 2}, every="5m")
        assert (made["task"], made["priority"], made["every"]) == ("add", "high", 300.0)
        with pytest.raises(NameTaken, match="daily"):
            client.schedules.create("daily", "add", cron="@daily", input={"a": 1, "b": 2})
        assert len(client.schedules.next("daily", 3)) == 3
        assert client.show(client.schedules.trigger("daily").id)["name"] == "add"
        (firing,) = client.schedules.firings("daily")
        assert (firing["kind"], client.schedules.firings("daily", before=firing["fire_at"])) == ("manual", [])
        filled = client.schedules.backfill("daily", start, start + timedelta(hours=1))
        assert client.show(filled.id)["name"] == "pgflow.backfill"
        hook = client.triggers.create(
            "shop", "orders.ship", path="shop", signature=Scheme(Kind.HEADER, header="x-key", form=Form.TOKEN),
            secrets=["SHOP"], keep="3d", headers=["x-shop"], limit=1000,
        )  # fmt: skip
        assert (hook["signature"]["form"], hook["keep"], hook["secrets"]) == ("token", 259200.0, ["SHOP"])
        client.triggers.put("paid", "orders.ship", event="order/paid", input={"order": "${event.payload.order}"})
        assert [one["name"] for one in client.triggers.list("event")] == ["paid"]
        assert (client.triggers.pause("paid"), client.triggers.resume("paid", "shop")) == (["paid"], ["paid"])
        assert client.triggers.rotate("shop", "SHOP_2", keep=1) == ["SHOP_2", "SHOP"]
        assert client.triggers.remove("paid", "shop") == ["paid", "shop"]
        told = client.subscriptions.create("ops", "https://example.com/hook", types=["workflow.*"], runs_only=True)
        assert (told["types"], told["runs_only"]) == (["workflow.*"], True)
        test = client.subscriptions.test("ops")
        assert client.show(test.id)["tags"] == {"subscription": "ops"}
        assert client.subscriptions.deliveries("ops", state=State.FAILED, since=start) == []
        assert client.subscriptions.redeliver("ops", since=start) == []
        assert client.subscriptions.disable("ops", why="too loud") == ["ops"]
        assert client.subscriptions.get("ops")["disabled_why"] == "too loud"
        assert (client.subscriptions.enable("ops"), client.subscriptions.remove("ops")) == (["ops"], ["ops"])
        assert [client.secrets.set("SHOP", value) for value in ("hunter-22", "hunter-23")] == [1, 2]
        assert [(one["name"], one["version"]) for one in client.secrets.list()] == [("SHOP", 2)]
        assert [one["state"] for one in client.secrets.check()] == ["fine"]
        assert client.secrets.rotate()["failed"] == []
        assert (client.secrets.remove("SHOP"), client.secrets.list()) == (["SHOP"], [])
        engine.connection.execute("create table orders (id int)")
        installed = client.table_triggers.install(
            "orders", "orders.ship", table="orders", on=["insert"], hold="1h", key="${row.id}"
        )
        assert (installed["on"], installed["hold"]) == (["insert"], 3600.0)
        assert (client.table_triggers.remove("orders"), client.table_triggers.list()) == (["orders"], [])
        assert client.approvals.list(state=None, assignee=["ann", "ops"], limit=1) == []


def test_every_option_travels_and_many_are_one_request(server: str, askers: Askers, engine: Engine) -> None:
    with RemoteClient(server, askers.token("operator")) as client:
        policy = RetryPolicy(2, backoff="fixed", base=1, cap=1)
        run = client.enqueue(apps.add.options(retry=policy, timeout=7, tags={"a": "b"}), 1, 2)
        shown = client.show(run.id)
        assert (shown["retry"], shown["timeout"], shown["tags"]) == (policy.to_json(), 7.0, {"a": "b"})
        named = client.start_named("other", retry=policy, timeout="7s", slot="x", hold="1h", key="k")
        assert client.show(named.id)["retry"] == policy.to_json()
        first, last = [client.enqueue(apps.add.options(key="d", debounce="1h"), n, n) for n in (1, 2)]
        assert [client.show(one.id)["state"] for one in (first, last)] == ["skipped", "scheduled"]
        once, twice = [client.enqueue(apps.add.options(key="t", throttle="1h"), n, n) for n in (1, 2)]
        assert (twice.id, twice.existed) == (once.id, True)
        many = client.enqueue_many((apps.add.request(n, n) for n in range(1500)), wake=False)
        assert engine.query("select count(*) from pgflow.audit_entry where action = 'task.enqueue'") == [(2,)]
        assert len({one.id for one in many}) == 1500
        with pytest.raises(ArgumentError, match=r"items\[1\]"):
            client.enqueue_many([apps.add.request(1, 1), Request(Spec("no name"), b"{}")])
        assert client.redrive_where(name="add") == []
        assert [one["name"] for one in client.tasks(roots_only=True, name="other")] == ["other"]


async def test_many_are_changed_at_once_and_changed_back(
    server: str, askers: Askers, engine: Engine, database: Settings
) -> None:
    made = engine.enqueue(3, name="orders.ship", queue="nobody")
    async with (
        AsyncRemoteClient(server, askers.token("operator")) as client,
        AsyncClient(database, actor="me") as beside,
    ):
        seen = await client.bulk.preview("cancel", workflow="orders.ship", ids=made)
        same = await beside.bulk.preview("cancel", workflow="orders.ship", ids=made)
        assert (seen.action, seen.count, seen.sample, seen.undo) == (same.action, 3, same.sample, same.undo)
        assert "graphs" in (seen.undo or "")
        run, again = [await client.bulk.start(seen, rate=50) for _ in range(2)]
        assert (again.id, run.existed, again.existed) == (run.id, False, True)
        async with leading(database), executing(database, {}):
            await eventually(lambda: engine.state(run.id) == "completed")
            assert (await client.bulk.get(run))["changed"] == 3
            back = await client.bulk.undo(run)
            await eventually(lambda: engine.state(back.id) == "completed")
        assert {engine.state(id) for id in made} == {"queued"}
        assert await client.bulk.list() == await beside.bulk.list()
        assert await client.bulk.get(back) == await beside.bulk.get(back)
        other = await client.bulk.start(await client.bulk.preview("pause", workflow="orders.ship"))
        assert (await client.bulk.cancel(other))["state"] == "cancelled"
        with pytest.raises(NotFound):
            await client.bulk.get(made[0])


def refused(server: str, token: str) -> None:
    """What the API refuses is raised as what it is."""
    with RemoteClient(server, token) as client:
        with pytest.raises(NotFound, match="999"):
            client.show(999)
        with pytest.raises(PermissionDenied, match="operator") as error:
            client.start_named("noop")
        assert token not in str(error.value)
        with pytest.raises(ArgumentError, match="state"):
            client.tasks(state="lost")
        with pytest.raises(ArgumentError, match="retry"):
            client.schedules.put("nightly", apps.add.options(retry=RetryPolicy(2)), cron="@daily")
        with pytest.raises(ArgumentError, match="type"):
            next(client.events(types=["nothing"]))
    with RemoteClient(server, TOKEN) as client, pytest.raises(PermissionDenied, match="pgflow token create") as error:
        client.queues()
    assert TOKEN not in str(error.value)
    assert TOKEN not in repr(client)
    assert TOKEN not in repr(vars(client))


def test_where_the_api_is_comes_from_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGFLOW_API_URL", "PGFLOW_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError, match="PGFLOW_API_URL"):
        RemoteClient(settings=Settings(_env_file=None))
    with pytest.raises(ConfigError, match="plain") as refused:
        RemoteClient("https://me:hunter2@flows.example.com")
    assert "hunter2" not in str(refused.value)
    monkeypatch.setenv("PGFLOW_API_URL", "https://flows.example.com/")
    monkeypatch.setenv("PGFLOW_TOKEN", TOKEN)
    settings = Settings(_env_file=None)
    assert TOKEN not in repr(settings)
    with RemoteClient(settings=settings) as client:
        assert repr(client) == "RemoteClient('https://flows.example.com')"
        assert client._place.headers["Authorization"] == f"Bearer {TOKEN}"


Reply = tuple[int, dict[str, str], Any]


class Bad:
    """A server that answers as it is told, and remembers what it was asked."""

    def __init__(self) -> None:
        self.replies: list[Reply | None] = []
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []

    def take(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        self.asked.append((handler.command, handler.path, dict(handler.headers), body))
        reply = self.replies.pop(0)
        handler.close_connection = True
        if reply is None:
            return
        status, headers, document = reply
        content = document if isinstance(document, bytes) else orjson.dumps(document)
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(content)


@contextmanager
def bad() -> Iterator[tuple[Bad, str]]:
    told = Bad()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def _take(self) -> None:
            told.take(self)

        do_GET = do_POST = _take  # noqa: N815 (as the library calls them)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield told, f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


STARTED: Reply = (201, {}, {"id": "17", "existed": False})
BUSY: Reply = (429, {"Retry-After": "0"}, {"code": "too_many_requests", "detail": "more than 1 in 1 s"})
DOWN: Reply = (503, {"Retry-After": "0"}, {"code": "unavailable", "detail": "the database cannot be reached"})
LISTED: Reply = (200, {}, {"items": []})


def cancel(client: RemoteClient) -> Any:
    return client.cancel(17)


def start(client: RemoteClient) -> Any:
    return client.start_named("noop").id


@pytest.mark.parametrize(
    ("verb", "replies", "result"),
    [
        (start, [None, DOWN, STARTED], 17),
        (lambda client: client.start_named("noop", key="k", hold="1h").id, [None, DOWN, STARTED], 17),
        (lambda client: client.queues(), [DOWN, None, LISTED], []),
        (cancel, [BUSY, (200, {}, {"cancelled": ["17"]})], [17]),
        (lambda client: client.emit("paid").id, [None, STARTED], 17),
    ],
    ids=[
        "a start has a key",
        "a key that is held",
        "reading changes nothing",
        "who is refused did nothing",
        "an event has an id",
    ],
)
def test_what_may_be_asked_again_is(
    verb: Callable[[RemoteClient], Any], replies: list[Reply | None], result: Any
) -> None:
    with bad() as (told, url), RemoteClient(url, TOKEN) as client:
        told.replies = list(replies)
        assert verb(client) == result
        assert len(told.asked) == len(replies)
        assert len({(path, body, headers.get("Idempotency-Key")) for _, path, headers, body in told.asked}) == 1


@pytest.mark.parametrize("reply", [None, DOWN], ids=["lost", "down"])
@pytest.mark.parametrize(
    "verb",
    [
        cancel,
        lambda client: client.start_named("noop", key="k"),
        lambda client: client.start_named("noop", key="k", debounce="1h"),
        lambda client: client.enqueue_many([apps.add.options(key="k").request(1, 1)]),
    ],
    ids=["cancel", "a key that its run's end frees", "the last one counts", "many"],
)
def test_what_may_have_been_done_is_not_asked_again(verb: Callable[[RemoteClient], Any], reply: Reply | None) -> None:
    with bad() as (told, url), RemoteClient(url, TOKEN) as client:
        told.replies = [reply]
        with pytest.raises(ApiUnavailable) as raised:
            verb(client)
        assert len(told.asked) == 1
        assert TOKEN not in str(raised.value)


def test_it_gives_up_in_the_end_and_is_not_kept_waiting_for_hours() -> None:
    with bad() as (told, url), RemoteClient(url, TOKEN, retries=2) as client:
        told.replies = [DOWN] * 3
        with pytest.raises(ApiUnavailable, match="the database cannot be reached"):
            client.queues()
        assert len(told.asked) == 3
        told.replies = [(429, {"Retry-After": "3600"}, BUSY[2])]
        with pytest.raises(ApiUnavailable, match="more than 1"):
            client.queues()
        told.replies = [(502, {}, b"<html>Bad gateway")] * 3
        with pytest.raises(ApiUnavailable, match="502"):
            client.queues()
    with RemoteClient(url, TOKEN, retries=1) as client, pytest.raises(ApiUnavailable, match="no connection to http"):
        client.cancel(17)


ELSEWHERE: Reply = (308, {"Location": "https://u:pw@flows.example.com/?t=1"}, b"")
MOVED: Reply = (301, {"Location": "/login"}, b"<html>Moved")
HTML: Reply = (200, {"Content-Type": "text/html"}, b"<html>Hello")


@pytest.mark.parametrize(
    ("reply", "hint"),
    [
        (ELSEWHERE, "it sends to https://flows.example.com: give PGFLOW_API_URL as it is there"),
        (MOVED, "it sends to another path: give PGFLOW_API_URL as it is there"),
        (HTML, "is PGFLOW_API_URL that of the API?"),
    ],
    ids=["elsewhere", "moved", "html"],
)
@pytest.mark.parametrize(
    "verb",
    [start, cancel, lambda client: client.queues(), lambda client: client.show(17),
     lambda client: client.signal(17, "paid"), lambda client: client.pause_queue("mail")],
    ids=["start", "cancel", "queues", "show", "signal", "pause"],
)  # fmt: skip
def test_an_answer_of_somebody_else_is_no_success(verb: Callable[[RemoteClient], Any], reply: Reply, hint: str) -> None:
    with bad() as (told, url), RemoteClient(url, TOKEN, retries=0) as client:
        told.replies = [reply]
        with pytest.raises(ApiUnavailable, match="and not as pgflow does") as raised:
            verb(client)
        assert raised.value.hint == hint


def test_pages_are_put_together_and_gone_on_with() -> None:
    pages = [{"items": [{"id": "9"}, {"id": "8"}], "next": "c8"}, {"items": [{"id": "7"}], "next": None}]
    with bad() as (told, url), RemoteClient(url, TOKEN) as client:
        told.replies = [(200, {}, page) for page in [*pages, pages[1]]]
        assert [one["id"] for one in client.subscriptions.deliveries("ops", limit=5)] == [9, 8, 7]
        assert [path.partition("?")[2] for _, path, _, _ in told.asked] == ["limit=5", "after=c8&limit=3"]
        told.replies = [(200, {}, pages[0]), (200, {}, pages[1])]
        first = client.subscriptions.deliveries("ops", limit=2)
        rest = client.subscriptions.deliveries("ops", before=first[-1])
        assert ([one["id"] for one in rest], "after=c8" in told.asked[-1][1]) == ([7], True)
        assert client.subscriptions.deliveries("ops", before=rest[-1]) == [], (
            "there is nothing more, and no need to ask"
        )


def told_event(cursor: str, type: str = "task.completed") -> str:
    document = {
        "cursor": cursor, "id": cursor.partition("-")[2], "run": "17", "task": "17", "type": type,
        "at": "2026-05-01T09:00:00Z", "workflow": "w", "name": "w", "attempt": 1, "data": None,
        **dict.fromkeys(["step", "key", "worker", "actor"]),
    }  # fmt: skip
    return f"id: {cursor}\ndata: {orjson.dumps(document).decode()}\n\n"


def test_a_stream_that_breaks_goes_on_behind_what_was_seen() -> None:
    kind = {"Content-Type": "text/event-stream"}
    first = f"retry: 2000\nid: 1-0\n\n{told_event('1-1')}id: 1-5\n\n: beat\n\ndata: hal"
    with bad() as (told, url), RemoteClient(url, TOKEN) as client:
        told.replies = [
            (200, {**kind, "Content-Length": "100000"}, first.encode()), None, DOWN,
            (200, kind, told_event("1-6").encode()),
        ]  # fmt: skip
        events = client.events(run=17, types=["task.*"])
        assert [str(next(events).cursor) for _ in range(2)] == ["1-1", "1-6"]
        assert [headers.get("Last-Event-ID") for _, _, headers, _ in told.asked] == [None, "1-5", "1-5", "1-5"]
        assert told.asked[0][1] == "/api/v1/events?run=17&type=task.%2A"
        events.close()
