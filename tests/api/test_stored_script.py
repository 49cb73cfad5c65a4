"""Whatever text people store comes back as text: as JSON, which no browser takes for a page, from every place."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import Any

import orjson

from tests.api import matrix, matrix_registries
from tests.api.conftest import Api
from tests.api.matrix import World
from tests.api.test_matrix import table
from tests.fixtures.database import Engine

SCRIPT = "</script><script>alert(1)</script>\u2028<img src=x onerror=alert(1)>"
HARMLESS = {"application/json", "application/problem+json", "application/openapi+json", "application/yaml"}
NO_JSON = {"/metrics", "/api/v1/metrics", "/api/v1/events", "/api/v1/events/ws"}
"""Plain text, and streams that say so."""


def graph(**more: Any) -> dict[str, Any]:
    return {"nodes": {"rest": {"type": "delay", "title": SCRIPT, "config": {"time": "1h"}}}, **more}


TEXTS: list[tuple[str, str, dict[str, Any], list[str]]] = [
    (
        "POST", "/api/v1/runs",
        {"name": "orders.ship", "input": {SCRIPT: SCRIPT}, "tags": {"t": SCRIPT}, "key": SCRIPT, "slot": SCRIPT},
        ["/api/v1/runs", "/api/v1/tasks", "/api/v1/runs/{id}", "/api/v1/tasks/{id}", "/api/v1/runs/{id}/tasks"],
    ),
    ("POST", "/api/v1/events", {"name": "order/paid", "payload": {"a": SCRIPT}, "key": SCRIPT, "id": SCRIPT},
     ["/api/v1/emissions"]),
    ("PUT", "/api/v1/schedules/daily", {"task": "report", "cron": "@daily", "tags": {SCRIPT: SCRIPT},
     "input": {"a": SCRIPT}}, ["/api/v1/schedules", "/api/v1/schedules/daily"]),
    ("PUT", "/api/v1/triggers/paid", {"task": "report", "event": "order/paid", "input": {"a": SCRIPT},
     "filter": f"event.name == '{SCRIPT}'", "tags": {"t": SCRIPT}}, ["/api/v1/triggers", "/api/v1/triggers/paid"]),
    ("POST", "/api/v1/workflows", graph(name="shown", title=SCRIPT, description=SCRIPT, tags={"t": SCRIPT}),
     ["/api/v1/workflows", "/api/v1/workflows/shown", "/api/v1/workflows/shown/versions/1",
      "/api/v1/workflows/shown/graph"]),
    ("PUT", "/api/v1/workflows/drawn/draft", graph(name=SCRIPT, title=SCRIPT), ["/api/v1/workflows/drawn/draft"]),
    ("PUT", "/api/v1/subscriptions/ops", {"url": "https://example.com/hook?a=1"}, []),
    ("POST", "/api/v1/subscriptions/ops/disable", {"why": SCRIPT},
     ["/api/v1/subscriptions", "/api/v1/subscriptions/ops"]),
    ("PUT", "/api/v1/table-triggers/rows", {"task": "report", "table": "orders", "on": ["insert"],
     "when": f"new.name <> '{SCRIPT}'", "input": {"a": SCRIPT},
     "key": SCRIPT + "${row.id}", "slot": SCRIPT + "${row.id}"},
     ["/api/v1/table-triggers", "/api/v1/table-triggers/rows"]),
]  # fmt: skip


async def read(api: Api, path: str) -> Any:
    answer = await api.get(path, headers={"Accept": "text/html,*/*"})
    assert answer.status_code == 200, (path, answer.text)
    assert answer.headers["content-type"] == "application/json", path
    assert answer.headers["x-content-type-options"] == "nosniff", path
    assert "default-src 'none'" in answer.headers["content-security-policy"], path
    return orjson.loads(answer.content)


def holds(value: Any) -> bool:
    """Whether the script is in it, unchanged, as somebody's text."""
    if isinstance(value, dict):
        return any(holds(one) for one in [*value, *value.values()])
    return any(map(holds, value)) if isinstance(value, list) else isinstance(value, str) and SCRIPT in value


async def test_a_script_that_was_stored_is_shown_as_text_wherever_it_is_shown(api: Api, engine: Engine) -> None:
    engine.connection.execute("create table orders (id int, name text)")
    for method, path, body, shown in TEXTS:
        done = await api(method, path, body)
        assert done.status_code < 300, (path, done.text)
        for place in shown:
            found = await read(api, place.format(id=done.json.get("id")))
            assert holds(found), place
    run = (await api.get("/api/v1/runs", params={"workflow": "orders.ship"})).json["items"][0]["id"]
    signalled = await api.post(f"/api/v1/runs/{run}/signal", {"name": "go", "payload": {SCRIPT: SCRIPT}})
    assert signalled.status_code == 202
    claimed = next(one for one in engine.claim() if one.task_id == int(run))
    engine.settle(claimed, state=matrix.State.FAILED, error=orjson.dumps({"type": SCRIPT, "message": SCRIPT}))
    for place in (f"/api/v1/runs/{run}", f"/api/v1/runs/{run}/result", f"/api/v1/runs/{run}/history", "/api/v1/audit"):
        assert holds(await read(api, place)), place


async def test_no_answer_is_anything_that_a_browser_would_run(api: Api, engine: Engine) -> None:
    world = World(engine)
    entries = matrix.ENTRIES | matrix_registries.ENTRIES
    seen = 0
    for route in table():
        if "GET" not in [method for method, _, _ in route.methods()] or route.path in NO_JSON or route.hidden:
            continue
        made = entries[f"GET {route.path}"].make(world)
        path = route.path.format_map(made)
        for query in (made.get("query"), {SCRIPT: SCRIPT}):
            answer = await api.get(path, params=query)
            kind = answer.headers["content-type"].partition(";")[0]
            assert kind in HARMLESS, (path, kind)
            assert answer.headers["x-content-type-options"] == "nosniff", path
            assert "default-src 'none'" in answer.headers["content-security-policy"], path
            seen += 1
    assert seen > 80


async def test_the_page_runs_its_own_script_alone_and_puts_in_everything_as_text(api: Api) -> None:
    page = await api.get("/api/v1/docs", token=None)
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'" in policy
    assert "unsafe" not in policy
    assert re.findall(r"<script[^>]*>", page.text) == ['<script src="/api/v1/docs/page.js" defer>']
    assert not re.search(r"\son\w+=|style=|https?://", page.text)
    script = files("pgflow.api").joinpath("static", "page.js").read_text()
    for sink in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function(", "srcdoc",
                 "createContextualFragment", "setAttribute", ".href", ".src", "location"):  # fmt: skip
        assert sink not in script, sink
