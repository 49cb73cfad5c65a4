"""Tasks and dead letters of others are never shown to who is limited, nor revived by them."""

from __future__ import annotations

import pytest

from pgflow.engine import inspection
from pgflow.model import State
from tests.api.conftest import Api, Askers
from tests.fixtures.database import Engine

ERROR = b'{"type": "E", "message": "m"}'
RUNS = ("orders.ship", "payroll.pay", "other", "orders_ship")


@pytest.fixture
def failed(engine: Engine) -> dict[str, int]:
    """Failed runs by their names, `other` in a queue of theirs; each with a failed task in it, named as another is."""
    found = {}
    for name in RUNS:
        (root,) = engine.enqueue(name=name, queue="orders" if name == "other" else "default")
        found[name] = root
    for queue in ("orders", "default"):
        for claimed in engine.claim(queue=queue, limit=10):
            engine.settle(claimed, state=State.FAILED, error=ERROR)
    for name, root in tuple(found.items()):
        (found[f"{name}/child"],) = engine.query(
            "insert into pgflow.task (id, root_id, parent_id, step, name, queue, priority, input, created_at) "
            "values (nextval('pgflow.task_id_seq'), %s, %s, 'x', %s, %s, 2, '{}', now()) returning id",
            root, root, "payroll.pay" if name.startswith("orders") else "orders.ship", "default",
        )[0]  # fmt: skip
        engine.query(
            "insert into pgflow.outcome (task_id, root_id, state, attempt, finished_at, error) "
            "values (%s, %s, 'failed', 1, now(), '{}') returning 1",
            found[f"{name}/child"], root,
        )  # fmt: skip
    return found


THEIRS = ("other", "other/child", "orders.ship", "orders.ship/child")


async def listed(api: Api, path: str, token: str, **query: object) -> list[int]:
    found: list[int] = []
    after = None
    while True:
        page = (await api.get(path, params=query | ({"after": after} if after else {}), token=token)).json
        found += [int(one["id"]) for one in page["items"]]
        after = page["next"]
        if after is None:
            return found


async def test_who_is_limited_is_shown_what_is_in_their_runs(
    api: Api, askers: Askers, failed: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    token = askers.token("operator", "workflow:orders.*", "queue:orders")
    theirs = sorted((failed[name] for name in THEIRS), reverse=True)
    everything = sorted(failed.values(), reverse=True)
    for path in ("/api/v1/tasks", "/api/v1/dead-letters"):
        assert await listed(api, path, api.admin) == everything
        assert await listed(api, path, token) == theirs, "by their runs, not by their own names"
        assert await listed(api, path, token, limit=1) == theirs
        assert await listed(api, path, askers.token("viewer", "queue:none")) == []
        of_another = await listed(api, path, token, name="payroll.pay")
        assert of_another == [failed["orders.ship/child"]], "in a run of theirs"
    assert await listed(api, "/api/v1/tasks", token, roots_only="true") == [failed["other"], failed["orders.ship"]]
    assert await listed(api, "/api/v1/tasks", token, state="completed") == []
    narrow = inspection.task_page
    monkeypatch.setattr(inspection, "task_page", lambda **given: narrow(**given | {"window": 2, "limit": 2}))
    assert await listed(api, "/api/v1/tasks", token) == theirs, "also where pages hold nothing of theirs"


async def test_who_is_limited_revives_only_what_is_theirs(
    api: Api, askers: Askers, failed: dict[str, int], engine: Engine
) -> None:
    path = "/api/v1/dead-letters/redrive"
    one = await api.post(path, {"limit": 1, "name": "orders.ship"}, token=askers.token("operator", "workflow:orders.*"))
    assert one.json == {"redriven": [str(failed["orders.ship"])]}
    done = await api.post(path, {}, token=askers.token("operator", "workflow:orders.*", "queue:orders"))
    assert sorted(map(int, done.json["redriven"])) == sorted(failed[name] for name in THEIRS if name != "orders.ship")
    left = {failed[name] for name in failed if name not in THEIRS}
    assert set(await listed(api, "/api/v1/dead-letters", api.admin)) == left
    assert (await api.post(path, {}, token=askers.token("viewer"))).status_code == 403
    rest = await api.post(path, {})
    assert set(map(int, rest.json["redriven"])) == left
    counts = [one["after"]["redriven"] for one in (await api.get("/api/v1/audit")).json["items"]]
    assert counts == [4, 3, 1]
