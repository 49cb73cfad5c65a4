"""The OpenAPI document is enough to use the API: a client is made of it, as it is served, and of nothing else."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Queue
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from pgflow.api.document import document
from pgflow.config import Settings
from tests.api.conftest import Askers
from tests.api.test_matrix import table
from tests.api.test_server import ready, served
from tests.fixtures.valkey import Valkey
from tests.workflows import flows

PARAMETER = re.compile(r"\{(\w+)\}")


class Answer:
    """What came back, and where it leads."""

    def __init__(self, client: Generated, document: dict[str, Any], status: int, body: Any) -> None:
        self._client, self._described = client, document
        self.status, self.body = status, body

    def follow(self, name: str, **given: Any) -> Answer:
        """Do what the document says that can be done with what was answered."""
        link = self._described["links"][name]
        for parameter, expression in link["parameters"].items():
            assert expression.startswith("$response.body#/")
            given[parameter] = self.body[expression.removeprefix("$response.body#/")]
        return self._client(link["operationId"], **given)


class Generated:
    """A client of whatever API a document describes: it checks all that it sends and all that it gets."""

    def __init__(self, url: str, token: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=60)
        self._document = self._http.get("/api/v1/openapi.json").json()
        assert self._document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
        self._http.headers["Authorization"] = f"Bearer {token}"
        self._operations = {
            operation["operationId"]: (method, path, operation)
            for path, methods in self._document["paths"].items()
            for method, operation in methods.items()
        }

    def close(self) -> None:
        self._http.close()

    def check(self, schema: dict[str, Any], value: Any) -> None:
        whole = {**schema, "components": self._document["components"]}
        Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(value)

    def prepared(self, name: str, given: dict[str, Any], body: Any) -> dict[str, Any]:
        method, path, operation = self._operations[name]
        asked: dict[str, Any] = {"method": method.upper(), "params": {}, "headers": {}}
        left = dict(given)
        for parameter in operation["parameters"]:
            key = parameter["name"].replace("-", "_")
            if key not in left:
                assert not parameter["required"], parameter["name"]
                continue
            value = left.pop(key)
            self.check(parameter["schema"], value)
            if parameter["in"] == "path":
                path = path.replace(f"{{{parameter['name']}}}", str(value))
            else:
                asked["params" if parameter["in"] == "query" else "headers"][parameter["name"]] = value
        assert not left
        assert not PARAMETER.search(path)
        if body is not None:
            self.check(operation["requestBody"]["content"]["application/json"]["schema"], body)
            asked["json"] = body
        return {**asked, "url": path}

    def __call__(self, name: str, body: Any = None, **given: Any) -> Answer:
        answer = self._http.request(**self.prepared(name, given, body))
        described = self._operations[name][2]["responses"][str(answer.status_code)]
        found = answer.json() if answer.content else None
        kind = answer.headers.get("Content-Type", "").partition(";")[0]
        if found is not None:
            self.check(described["content"][kind]["schema"], found)
        return Answer(self, described, answer.status_code, found)

    def watch(self, name: str, seen: Queue[Any], **given: Any) -> None:
        """Read a stream of events until the run has ended."""
        item = self._document["components"]["schemas"]["EventItem"]
        asked = self.prepared(name, given | {"Accept": "text/event-stream"}, None)
        with self._http.stream(**asked) as stream:
            assert stream.headers["Content-Type"] == "text/event-stream"
            seen.put("open")
            for line in stream.iter_lines():
                if line.startswith("data:"):
                    event = json.loads(line.removeprefix("data:"))
                    self.check(item, event)
                    seen.put(event)
                    if event["type"] == "workflow.finished":
                        return


@contextmanager
def working(settings: Settings) -> Iterator[None]:
    """A worker that has the workflows of tests/workflows/flows.py."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pgflow", "worker", str(flows.__file__), "--log-format", "console"],
        env={**os.environ, "PGFLOW_DATABASE_URL": settings.require_url(), "PGFLOW_DRAIN": "5"},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    try:
        yield
        assert process.poll() is None, "the worker ended by itself"
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture
def generated(
    database: Settings, askers: Askers, valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Generated]:
    """A client of a real server beside a real worker, both with a Valkey between them."""
    monkeypatch.setenv("PGFLOW_REDIS_URL", valkey.url)
    with working(database), served(database) as (process, port):
        ready(process, port)
        client = Generated(f"http://127.0.0.1:{port}", askers.token("operator"))
        yield client
        client.close()


def test_a_client_made_of_the_document_starts_watches_signals_and_reads(generated: Generated) -> None:
    asked = {"name": "confirm", "input": {}, "tags": {"made": "of the document"}}
    started = generated("post_runs", asked, Idempotency_Key="one")
    assert (started.status, started.body["existed"]) == (201, False)
    assert generated("post_runs", asked, Idempotency_Key="one").body == {"id": started.body["id"], "existed": True}
    seen: Queue[Any] = Queue()
    watching = threading.Thread(
        target=generated.watch,
        args=("get_events", seen),
        kwargs={"run": started.body["id"], "after": "0-0"},
        daemon=True,
    )
    watching.start()
    try:
        assert seen.get(timeout=20) == "open"
        end = time.monotonic() + 60
        while started.follow("get_runs_id").body["state"] != "waiting":
            assert time.monotonic() < end
            time.sleep(0.05)
        assert started.follow("get_runs_id_result", wait=0).status == 202
        sent = started.follow("post_runs_id_signal", body={"name": "confirmed", "payload": {"by": "the document"}})
        assert sent.status == 202
        result = started.follow("get_runs_id_result", wait=30)
    finally:
        watching.join(60)
    assert (result.status, result.body["state"], result.body["output"]) == (200, "completed", "the document")
    events = [event["type"] for event in list(seen.queue)]
    assert "signal.received" in events
    assert events[-1] == "workflow.finished"
    again = started.follow("post_runs_id_rerun", body={})
    assert again.status == 201
    assert again.follow("post_runs_id_cancel", body={}).body["cancelled"] == [again.body["id"]]
    refused = generated("get_runs_id", id="999999999")
    assert (refused.status, refused.body["code"]) == (404, "not_found")


def test_every_reference_and_every_link_leads_somewhere() -> None:
    made = document(table())
    text = json.dumps(made)
    schemas = made["components"]["schemas"]
    assert set(re.findall(r'"#/components/schemas/([^"]+)"', text)) <= schemas.keys()
    operations = {
        operation["operationId"]: operation for methods in made["paths"].values() for operation in methods.values()
    }
    assert len(operations) == sum(map(len, made["paths"].values())), "a name is used twice"
    links = [
        (operation["operationId"], name, link)
        for operation in operations.values()
        for response in operation["responses"].values()
        for name, link in response.get("links", {}).items()
    ]
    for _, name, link in links:
        wanted = {one["name"] for one in operations[link["operationId"]]["parameters"] if one["in"] == "path"}
        assert wanted >= link["parameters"].keys(), name
    pairs = {(source, name) for source, name, _ in links}
    assert {
        ("post_runs", "post_runs_id_signal"), ("post_workflows_name_trigger", "get_runs_id_result"),
        ("post_runs_id_rerun", "post_runs_id_cancel"), ("post_workflows", "post_workflows_name_trigger"),
        ("put_schedules_name", "delete_schedules_name"), ("post_tokens", "post_tokens_id_revoke"),
    } <= pairs  # fmt: skip


def test_no_model_has_the_name_of_another() -> None:
    """Two of one name would be told apart by the modules they are in, which are nobody's business."""
    assert [name for name in document(table())["components"]["schemas"] if "__" in name] == []


def test_the_document_is_openapi_3_1() -> None:
    made = document(table())
    assert made["openapi"].startswith("3.1.")
    for schema in made["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
