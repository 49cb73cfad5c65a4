"""Every route for every kind of asker: exactly the status that is documented, and one entry in the audit a change."""

from __future__ import annotations

from typing import Any

import pytest
from falcon.testing import ASGIConductor

from pgflow.api.app import create_app
from pgflow.api.backend import Backend
from pgflow.api.gate import Gate
from pgflow.api.rates import Rates
from pgflow.api.resources.reference import Reference
from pgflow.api.routes import Kit, routes
from pgflow.api.routing import Route
from pgflow.config import Settings
from tests.api import matrix, matrix_registries
from tests.api.conftest import Api, Askers
from tests.api.matrix import Entry, World

ENTRIES = matrix.ENTRIES | matrix_registries.ENTRIES
ROLES = ("viewer", "operator", "admin")
ASKERS = ("none", *ROLES, "scoped", "foreign", "expired", "revoked")


def table() -> list[Route]:
    settings = Settings(database_url="postgresql://nowhere", _env_file=None)
    backend, rates = Backend(settings, {}), Rates(settings, 1)
    return routes(Kit(backend, Gate(backend, rates), rates, Reference()))


def test_every_route_has_an_entry_and_every_entry_a_route() -> None:
    there = {f"{method} {route.path}" for route in table() for method, _, _ in route.methods()}
    assert there == set(ENTRIES)


def test_the_entries_say_what_the_routes_say() -> None:
    for route in table():
        for method, needs, _ in route.methods():
            entry = ENTRIES.get(f"{method} {route.path}") or Entry(needs.role and needs.role.word, scoped=needs.scoped)
            assert (entry.role, entry.scoped) == (needs.role and needs.role.word, needs.scoped), (
                f"{method} {route.path}"
            )


def test_what_changes_something_is_audited_or_says_why_not() -> None:
    bare = [
        f"{method} {route.path}"
        for route in table()
        for method, _, operation in route.methods()
        if method != "GET" and not (operation and (operation.changes or operation.unaudited))
    ]
    assert bare == []


def expected(entry: Entry, asker: str) -> int:
    if entry.role is None:
        return entry.ok
    if asker in {"none", "expired", "revoked"}:
        return 401
    if asker in ROLES:
        return entry.ok if ROLES.index(asker) >= ROLES.index(entry.role) else 403
    if not entry.scoped or entry.role == "admin":
        return 403
    return entry.ok if asker == "scoped" else entry.foreign


def token_of(askers: Askers, asker: str) -> str | None:
    match asker:
        case "none":
            return None
        case "expired":
            return askers.expired()
        case "revoked":
            return askers.revoked()
        case "scoped":
            return askers.token("operator", "workflow:orders.*", "queue:orders")
        case "foreign":
            return askers.token("operator", "workflow:other.*", "queue:other")
        case _:
            return askers.token(asker)


@pytest.mark.parametrize("asker", ASKERS)
@pytest.mark.usefixtures("one_connection_each")
async def test_each_route_answers_each_asker_as_documented(api: Api, askers: Askers, asker: str) -> None:
    world = World(askers.engine)
    token = token_of(askers, asker)
    got: dict[str, int] = {}
    wanted: dict[str, int] = {}
    audited: dict[str, int] = {}
    for route in table():
        for method, _, operation in route.methods():
            name = f"{method} {route.path}"
            entry = ENTRIES.get(name)
            if entry is None:  # the first test tells
                continue
            made: dict[str, Any] = entry.make(world)
            body, query, headers = made.pop("body", None), made.pop("query", None), made.pop("headers", {})
            ((before,),) = askers.engine.query("select count(*) from pgflow.audit_entry")
            path = route.path.format_map(made)
            answer = await api(method, path, body, token=token, params=query, headers=headers)
            ((after,),) = askers.engine.query("select count(*) from pgflow.audit_entry")
            got[name], wanted[name] = answer.status_code, expected(entry, asker)
            audited[name] = after - before
            due = bool(operation and operation.changes) and answer.status_code < 300
            assert audited[name] == due, f"{name}: {audited[name]} entries in the audit"
            if answer.status_code >= 400 and answer.status_code != 503:
                assert answer.headers["content-type"] == "application/problem+json", name
                assert answer.json["request_id"] == answer.headers["x-request-id"]
            assert answer.headers["x-content-type-options"] == "nosniff"
    assert got == wanted


async def test_a_route_whose_table_says_nothing_of_a_method_does_not_exist(api: Api) -> None:
    answer = await api("PUT", "/api/v1/runs", {})
    assert (answer.status_code, answer.json["code"]) == (405, "method_not_allowed")
    assert (await api.get("/api/v1/nowhere", token=None)).json["code"] == "not_found"


async def test_the_document_says_who_may_do_what(api_settings: Settings) -> None:
    async with ASGIConductor(create_app(api_settings)) as conductor:
        document = (await conductor.get("/api/v1/openapi.json")).json
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            entry = ENTRIES.get(f"{method.upper()} {path}")
            if entry is None:
                continue
            assert operation["x-role"] == entry.role
            assert str(entry.ok) in operation["responses"], f"{method} {path}"
