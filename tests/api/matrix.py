"""One entry for each route: who may use it, what is asked, and what the answer is when all is well.

It repeats on purpose what `pgflow/api/routes.py` says: who changes a role there has to mean it. `make` gets the world
and gives what the path and the body need, made anew for each request, in the scope of who is limited to
`workflow:orders.*` and `queue:orders`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson

from pgflow.api.passwords import hash_password
from pgflow.engine import control, definitions, facts, runs
from pgflow.model import EventType, State
from tests.fixtures.database import Engine


@dataclass
class World:
    """Makes what routes are about."""

    engine: Engine
    made: int = 0

    def run(self) -> str:
        (id,) = self.engine.enqueue(name="orders.ship", queue="orders")
        return str(id)

    def definition(self) -> dict[str, Any]:
        """A graph that nobody has published yet."""
        return {"name": self.fresh("orders.graph"), "nodes": {"rest": {"type": "delay", "config": {"time": "1h"}}}}

    def publish(self, definition: dict[str, Any]) -> None:
        text = orjson.dumps(definition)
        self.engine.run(definitions.publish(definition["name"], text[:8], text))

    def token(self) -> str:
        ((id,),) = self.engine.query(
            "insert into pgflow.token (name, shown, hash, role, created_at) "
            "values (%s, 'pgf_', sha256(%s::bytea), 'viewer', now()) returning id",
            *[self.fresh("token")] * 2,
        )
        return str(id)

    def user(self) -> str:
        """A user whose password is `correct horse`."""
        name = self.fresh("user")
        self.engine.query(
            "insert into pgflow.user (name, role, password, created_at) values (%s, 'viewer', %s, now()) returning id",
            name,
            HORSE,
        )
        return name

    def fresh(self, word: str) -> str:
        """A name that is nobody's yet."""
        self.made += 1
        return f"{word}{self.made}"


HORSE = hash_password("correct horse")
Made = dict[str, Any]


@dataclass(frozen=True)
class Entry:
    """What is known of a route.

    Args:
        role: the least that may use it; None: anybody.
        ok: the status when all is well.
        scoped: whether who is limited may use it; with `make`'s objects in their scope they get `ok`.
        foreign: what who is limited to something else gets.
        make: gives the path's parameters, and `body` or `query`.
    """

    role: str | None
    ok: int = 200
    scoped: bool = False
    foreign: int = 403
    make: Callable[[World], Made] = field(default=lambda world: {})


def run(world: World) -> Made:
    return {"id": world.run()}


def published(world: World) -> Made:
    definition = world.definition()
    world.publish(definition)
    return {"name": definition["name"], "version": "1"}


def drafted(world: World) -> Made:
    definition = world.definition()
    world.engine.run(definitions.save_draft(definition["name"], orjson.dumps(definition)))
    return {"name": definition["name"]}


def graph_run(world: World) -> Made:
    definition = world.definition()
    world.publish(definition)
    (id,) = world.engine.enqueue(name=definition["name"], queue="orders")
    return {"id": str(id)}


def paused(world: World) -> Made:
    made = run(world)
    world.engine.run(runs.pause([int(made["id"])]))
    return made


def cancelled(world: World) -> Made:
    made = run(world)
    world.engine.run(control.cancel([int(made["id"])]))
    return made


def failed(world: World) -> Made:
    made = run(world)
    for claimed in world.engine.claim(queue="orders", limit=100):
        world.engine.settle(claimed, state=State.FAILED, error=b'{"type": "E", "message": "m"}')
    return made


def stepped(world: World) -> Made:
    """A run that has recorded the step `charge`."""
    made = run(world)
    (claimed,) = [one for one in world.engine.claim(queue="orders") if one.task_id == int(made["id"])]
    fact = facts.Fact(claimed.task_id, claimed.epoch, EventType.STEP_COMPLETED, "charge", b'{"result": 1}')
    assert world.engine.run(facts.record([fact], world.engine.worker))
    return {**made, "body": {"from_step": "charge"}}


ENTRIES: dict[str, Entry] = {
    "GET /healthz": Entry(None),
    "GET /readyz": Entry(None),
    "GET /api/v1/events": Entry("viewer", scoped=True, foreign=200),
    "GET /api/v1/events/ws": Entry("viewer", 400, scoped=True, foreign=400),
    "GET /metrics": Entry("viewer"),
    "GET /api/v1/metrics": Entry("viewer"),
    "GET /api/v1/stats": Entry("viewer", scoped=True, make=lambda world: {"query": {"workflow": "orders.ship"}}),
    "GET /api/v1/health": Entry(None),
    "GET /api/v1/openapi.json": Entry(None),
    "GET /api/v1/docs": Entry(None),
    "GET /api/v1/docs/{file}": Entry(None, make=lambda world: {"file": "page.js"}),
    "GET /api/v1/session": Entry("viewer", scoped=True, foreign=200),
    "POST /api/v1/session": Entry(
        None, make=lambda world: {"body": {"name": world.user(), "password": "correct horse"}}
    ),
    "DELETE /api/v1/session": Entry("viewer", 204, scoped=True, foreign=204),
    "GET /api/v1/session/oidc": Entry(None, 404),  # nobody is configured; tests/api/test_oidc.py has one
    "GET /api/v1/session/oidc/callback": Entry(None, 404),
    "GET /api/v1/tokens": Entry("admin"),
    "POST /api/v1/tokens": Entry(
        "admin", 201, make=lambda world: {"body": {"name": world.fresh("made"), "role": "viewer"}}
    ),
    "GET /api/v1/tokens/{id}": Entry("admin", make=lambda world: {"id": world.token()}),
    "POST /api/v1/tokens/{id}/revoke": Entry("admin", make=lambda world: {"id": world.token()}),
    "GET /api/v1/users": Entry("admin"),
    "POST /api/v1/users": Entry(
        "admin",
        201,
        make=lambda world: {"body": {"name": world.fresh("made"), "role": "viewer", "password": "correct horse"}},
    ),
    "GET /api/v1/users/{name}": Entry("admin", make=lambda world: {"name": world.user()}),
    "PATCH /api/v1/users/{name}": Entry("admin", make=lambda world: {"name": world.user(), "body": {"role": "admin"}}),
    "DELETE /api/v1/users/{name}": Entry("admin", 204, make=lambda world: {"name": world.user()}),
    "GET /api/v1/audit": Entry("admin"),
    "GET /api/v1/workflows": Entry("viewer", scoped=True, foreign=200),
    "POST /api/v1/workflows": Entry("operator", 201, scoped=True, make=lambda world: {"body": world.definition()}),
    "POST /api/v1/workflows/validate": Entry("viewer", scoped=True, foreign=200, make=lambda world: {"body": {}}),
    "GET /api/v1/workflows/schema": Entry("viewer", scoped=True, foreign=200),
    "GET /api/v1/workflows/{name}": Entry("viewer", scoped=True, make=published),
    "GET /api/v1/workflows/{name}/versions": Entry("viewer", scoped=True, make=published),
    "GET /api/v1/workflows/{name}/versions/{version}": Entry("viewer", scoped=True, make=published),
    "GET /api/v1/workflows/{name}/diff": Entry(
        "viewer", scoped=True, make=lambda world: {**published(world), "query": {"old": "1"}}
    ),
    "GET /api/v1/workflows/{name}/graph": Entry("viewer", scoped=True, make=published),
    "GET /api/v1/workflows/{name}/yaml": Entry("viewer", scoped=True, make=published),
    "GET /api/v1/workflows/{name}/draft": Entry("viewer", scoped=True, make=drafted),
    "PUT /api/v1/workflows/{name}/draft": Entry(
        "operator", scoped=True, make=lambda world: {"name": world.fresh("orders.draft"), "body": {}}
    ),
    "DELETE /api/v1/workflows/{name}/draft": Entry("operator", 204, scoped=True, make=drafted),
    "POST /api/v1/workflows/{name}/draft/publish": Entry("operator", 201, scoped=True, make=drafted),
    "POST /api/v1/workflows/{name}/trigger": Entry("operator", 201, scoped=True, make=published),
    "GET /api/v1/runs": Entry("viewer", scoped=True, foreign=200),
    "POST /api/v1/runs": Entry("operator", 201, scoped=True, make=lambda world: {"body": {"name": "orders.ship"}}),
    "GET /api/v1/runs/{id}": Entry("viewer", scoped=True, foreign=404, make=run),
    "GET /api/v1/runs/{id}/history": Entry("viewer", scoped=True, foreign=404, make=run),
    "GET /api/v1/runs/{id}/tasks": Entry("viewer", scoped=True, foreign=404, make=run),
    "GET /api/v1/runs/{id}/result": Entry("viewer", 202, scoped=True, foreign=404, make=run),
    "GET /api/v1/runs/{id}/standing": Entry("viewer", scoped=True, foreign=404, make=run),
    "GET /api/v1/runs/{id}/graph": Entry("viewer", scoped=True, foreign=404, make=graph_run),
    "GET /api/v1/runs/{id}/diff": Entry(
        "viewer", scoped=True, foreign=404, make=lambda world: {**run(world), "query": {"with": world.run()}}
    ),
    "POST /api/v1/runs/{id}/cancel": Entry("operator", scoped=True, foreign=404, make=run),
    "POST /api/v1/runs/{id}/pause": Entry("operator", scoped=True, foreign=404, make=run),
    "POST /api/v1/runs/{id}/resume": Entry("operator", scoped=True, foreign=404, make=paused),
    "POST /api/v1/runs/{id}/signal": Entry(
        "operator", 202, scoped=True, foreign=404, make=lambda world: {**run(world), "body": {"name": "go"}}
    ),
    "POST /api/v1/runs/{id}/rerun": Entry("operator", 201, scoped=True, foreign=404, make=run),
    "POST /api/v1/runs/{id}/fork": Entry("operator", 201, scoped=True, foreign=404, make=stepped),
    "GET /api/v1/tasks": Entry("viewer", scoped=True, foreign=200),
    "POST /api/v1/tasks": Entry(
        "operator", 201, scoped=True, make=lambda world: {"body": {"items": [{"name": "orders.ship"}]}}
    ),
    "GET /api/v1/tasks/{id}": Entry("viewer", scoped=True, foreign=404, make=run),
    "POST /api/v1/tasks/{id}/cancel": Entry("operator", scoped=True, foreign=404, make=run),
    "POST /api/v1/tasks/{id}/redrive": Entry("operator", scoped=True, foreign=404, make=cancelled),
    "GET /api/v1/dead-letters": Entry("viewer", scoped=True, foreign=200),
    "POST /api/v1/dead-letters/redrive": Entry(
        "operator", scoped=True, foreign=200, make=lambda world: {**failed(world), "body": {}}
    ),
    "GET /api/v1/queues": Entry("viewer", scoped=True, foreign=200),
    "POST /api/v1/queues/{name}/pause": Entry("operator", scoped=True, make=lambda world: {"name": "orders"}),
    "POST /api/v1/queues/{name}/resume": Entry("operator", scoped=True, make=lambda world: {"name": "orders"}),
}
