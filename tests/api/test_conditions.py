"""What has an ETag is answered with 304 to who has it already; and a name is had by one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgflow.api import revisions
from tests.api.conftest import Api, Askers

GRAPH = {"name": "orders.graph", "nodes": {"rest": {"type": "delay", "config": {"time": "1h"}}}}
REPORT = {"task": "report", "cron": "0 6 * * *"}
HOOK = {"task": "orders.ship", "path": "shop", "signature": {"kind": "none"}}
TOLD = {"url": "https://example.com/hook"}

TAGGED = {
    "/api/v1/workflows/orders.graph": None,
    "/api/v1/workflows/orders.graph/versions/1": None,
    "/api/v1/workflows/orders.graph/graph": None,
    "/api/v1/workflows/orders.graph/yaml": None,
    "/api/v1/workflows/orders.graph/draft": GRAPH,
    "/api/v1/workflows/schema": None,
    "/api/v1/schedules/daily": REPORT,
    "/api/v1/triggers/shop": HOOK,
    "/api/v1/subscriptions/ops": TOLD,
    "/api/v1/node-types": None,
    "/api/v1/node-types/delay": None,
    "/api/v1/openapi.json": None,
    "/api/v1/docs": None,
    "/api/v1/docs/page.js": None,
}


async def test_who_has_it_already_is_told_so_and_no_more(api: Api) -> None:
    assert (await api.post("/api/v1/workflows", GRAPH)).status_code == 201
    for path, body in TAGGED.items():
        made = await api("PUT", path, body) if body else None
        first = await api.get(path)
        tag = first.headers["etag"]
        assert first.status_code == 200, (path, first.text)
        assert made is None or made.headers["etag"] == tag, path
        assert "no-cache" in first.headers["cache-control"]
        for known in (tag, f"W/{tag}", f'"other", {tag}', f'"a,b" ,W/"x",{tag}', "*"):
            again = await api.get(path, headers={"If-None-Match": known})
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag), (path, known)
            assert "content-type" not in again.headers
            assert again.headers["x-content-type-options"] == "nosniff"
        for other in ('"other"', tag.strip('"'), f"{tag} x", '"', "", f'"{tag}"'):
            assert (await api.get(path, headers={"If-None-Match": other})).status_code == 200, (path, other)


async def test_what_changed_is_answered_anew_though_its_revision_is_the_same(api: Api, askers: Askers) -> None:
    for kind, name, body in (
        ("schedules", "daily", REPORT),
        ("triggers", "shop", HOOK),
        ("subscriptions", "ops", TOLD),
    ):
        path = f"/api/v1/{kind}/{name}"
        tag = (await api("PUT", path, body)).headers["etag"]
        pause = "disable" if kind == "subscriptions" else "pause"
        assert (await api.post(f"{path}/{pause}")).status_code == 200
        now = await api.get(path, headers={"If-None-Match": tag})
        assert now.status_code == 200, path
        assert now.json["state"] != "active"
        assert now.headers["etag"] != tag
        assert (await api("PUT", path, body, headers={"If-Match": tag})).status_code == 200, "its revision is the same"
        assert (await api("PUT", path, body, headers={"If-Match": f"W/{tag}"})).status_code == 412, "compared strongly"
    path = "/api/v1/workflows/orders.graph/draft"
    tag = (await api("PUT", path, GRAPH)).headers["etag"]
    assert (await api("DELETE", path)).status_code == 204
    await api("PUT", path, GRAPH | {"title": "Another"})
    assert (await api.get(path, headers={"If-None-Match": tag})).status_code == 200, "another draft of revision 1"
    hidden = await api.get(path, headers={"If-None-Match": "*"}, token=askers.token("viewer", "workflow:other.*"))
    assert hidden.status_code == 403


@given(st.lists(st.from_regex(r"[!#-~]{0,8}", fullmatch=True), min_size=1, max_size=5), st.data())
def test_a_list_has_a_tag_if_and_only_if_it_names_it(tags: list[str], data: st.DataObject) -> None:
    header = ",".join(f'{data.draw(st.sampled_from(["", "W/"]))}"{tag}"' for tag in tags)
    for tag in [*tags, "-other-"]:
        assert revisions.is_known(header, f'"{tag}"') == (tag in tags)


@pytest.mark.parametrize("kind", ["users", "tokens", "schedules", "triggers", "subscriptions"])
async def test_a_name_that_is_taken_is_a_conflict(api: Api, kind: str) -> None:
    bodies = {
        "users": {"role": "viewer"}, "tokens": {"role": "viewer"}, "schedules": REPORT, "triggers": HOOK,
        "subscriptions": TOLD,
    }  # fmt: skip
    body = {"name": "ann", **bodies[kind]}
    assert (await api.post(f"/api/v1/{kind}", body)).status_code == 201
    again = await api.post(f"/api/v1/{kind}", body)
    assert (again.status_code, again.json["code"]) == (409, "name_taken")
    assert "ann" in again.json["detail"]
