"""Who gets in: tokens, sessions, other sites, rates."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from argon2 import PasswordHasher
from falcon.errors import WebSocketDisconnected
from falcon.testing import ASGIConductor
from structlog.testing import capture_logs

from pgflow.access import Role
from pgflow.api import passwords
from pgflow.api.app import create_app
from pgflow.api.passwords import hash_password
from pgflow.config import Settings
from pgflow.engine import access as verbs
from tests.api.conftest import RATES, Api, Askers
from tests.fixtures.database import Engine

Opening = Callable[..., AbstractAsyncContextManager[Api]]
HORSE = hash_password("correct horse")


@pytest.fixture
def opening(database: Settings, askers: Askers) -> Opening:
    """`async with opening(api_rate="2/day") as api`: of a window that does not end meanwhile."""

    @asynccontextmanager
    async def opened(processes: int = 1, **settings: Any) -> AsyncIterator[Api]:
        admin = askers.token("admin")
        app = create_app(database.model_copy(update={**RATES, **settings}), processes=processes)
        async with ASGIConductor(app) as conductor:
            yield Api(conductor, admin)

    return opened


@pytest.fixture
def ann(engine: Engine) -> str:
    engine.run(verbs.create_user("ann", Role.OPERATOR, None, HORSE))
    return "ann"


async def signed_in(api: Api, name: str = "ann", password: str = "correct horse", **headers: str) -> Any:
    return await api.post("/api/v1/session", {"name": name, "password": password}, token=None, headers=headers)


def cookie_of(answer: Any) -> dict[str, str]:
    return {"Cookie": answer.headers["set-cookie"].split(";")[0]}


async def test_a_token_is_seen_once_and_works_until_it_is_revoked(api: Api, engine: Engine) -> None:
    made = await api.post("/api/v1/tokens", {"name": "deploy", "role": "operator", "expires_in": "90d"})
    token = made.json["token"]
    assert re.fullmatch(r"pgf_[A-Za-z0-9_-]{43}", token)
    assert token.startswith(made.json["shown"])
    assert (await api.get("/api/v1/session", token=token)).json["name"] == "deploy"
    again = await api.post("/api/v1/tokens", {"name": "deploy", "role": "viewer"})
    assert (again.status_code, again.json["code"]) == (409, "name_taken")
    for path in ("/api/v1/tokens", f"/api/v1/tokens/{made.json['id']}", "/api/v1/audit"):
        assert token not in (await api.get(path)).text
    for table in ("token", "audit_entry"):
        assert token not in str(engine.query(f"select * from pgflow.{table}"))
    assert (await api.post(f"/api/v1/tokens/{made.json['id']}/revoke")).json["revoked_at"] is not None
    assert (await api.get("/api/v1/session", token=token)).status_code == 401
    assert (await api.post("/api/v1/tokens", {"name": "deploy", "role": "viewer"})).status_code == 201


async def test_that_a_token_was_used_is_noted_once_a_minute(api: Api, askers: Askers, engine: Engine) -> None:
    token = askers.token("viewer", name="looker")
    query = "select used_at, xmin::text from pgflow.token where name = 'looker'"
    assert engine.query(query)[0][0] is None
    await api.get("/api/v1/session", token=token)
    noted = engine.query(query)
    assert noted[0][0] is not None
    await api.get("/api/v1/session", token=token)
    assert engine.query(query) == noted


async def test_a_user_signs_in_acts_and_signs_out(api: Api, ann: str, engine: Engine) -> None:
    answer = await signed_in(api)
    assert (answer.status_code, answer.json["role"]) == (200, "operator")
    set_cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in set_cookie
    assert "SameSite=Strict" in set_cookie
    assert "Secure" not in set_cookie  # there is no TLS here
    cookie = cookie_of(answer)
    assert (await api.get("/api/v1/session", token=None, headers=cookie)).json["name"] == "ann"
    ours = {**cookie, "Origin": "http://falconframework.org"}
    started = await api.post("/api/v1/runs", {"name": "noop"}, token=None, headers=ours)
    assert started.status_code == 201
    assert engine.query("select actor from pgflow.task") == [("user:ann",)]
    out = await api("DELETE", "/api/v1/session", token=None, headers=ours)
    assert (out.status_code, "Max-Age=0" in out.headers["set-cookie"]) == (204, True)
    assert (await api.get("/api/v1/session", token=None, headers=cookie)).status_code == 401
    assert engine.query("select count(*) from pgflow.session") == [(0,)]


FOREIGN: list[dict[str, str]] = [
    {},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://falconframework.org", "Sec-Fetch-Site": "cross-site"},
    {"Origin": "http://falconframework.org", "Sec-Fetch-Site": "same-site"},
    {"Origin": "http://falconframework.org.evil.example"},
]


async def test_another_site_changes_nothing_with_a_session(api: Api, ann: str, engine: Engine) -> None:
    cookie = cookie_of(await signed_in(api))
    for headers in FOREIGN:
        answer = await api.post("/api/v1/runs", {"name": "noop"}, token=None, headers={**cookie, **headers})
        assert (answer.status_code, answer.json["code"]) == (403, "cross_site"), headers
    assert engine.query("select count(*) from pgflow.task") == [(0,)]


async def test_signing_in_from_another_site_is_refused(api: Api, ann: str) -> None:
    assert (await signed_in(api, Origin="https://evil.example")).json["code"] == "cross_site"


async def test_no_token_is_taken_from_the_address_or_a_cookie(api: Api, askers: Askers) -> None:
    token = askers.token("admin")
    for more in ({"params": {"token": token}}, {"headers": {"Cookie": f"pgflow_session={token}"}}):
        assert (await api.get("/api/v1/session", token=None, **more)).status_code == 401
    basic = await api.get("/api/v1/session", headers={"Authorization": f"Basic {token}"})
    assert (basic.status_code, basic.headers["www-authenticate"]) == (401, 'Bearer realm="pgflow"')


async def test_a_wrong_password_is_told_like_a_wrong_name_and_limited(opening: Opening, ann: str) -> None:
    async with opening(api_login_rate="3/day") as api:
        told = [await signed_in(api, name, "wrong password") for name in ("ann", "nobody", "ann")]
        assert [one.status_code for one in told] == [401] * 3
        assert len({one.json["detail"] for one in told}) == 1
        late = await signed_in(api)
        assert (late.status_code, late.json["code"]) == (429, "too_many_requests")
        assert 0 < int(late.headers["retry-after"]) <= 86400


async def test_of_many_passwords_at_once_no_more_are_looked_at_than_may_be_wrong(opening: Opening, ann: str) -> None:
    async with opening(api_login_rate="3/day") as api:
        told = await asyncio.gather(*(signed_in(api, password=f"wrong password {n}") for n in range(20)))
        assert Counter(one.status_code for one in told) == {401: 3, 429: 17}
        assert (await signed_in(api)).status_code == 429


async def test_who_gets_in_may_come_as_often_as_they_like(opening: Opening, ann: str) -> None:
    async with opening(api_login_rate="2/day") as api:
        assert [(await signed_in(api)).status_code for _ in range(4)] == [200] * 4
        assert [(await signed_in(api, password="wrong password")).status_code for _ in range(3)] == [401, 401, 429]


async def test_no_transaction_is_open_while_a_password_is_hashed(
    api: Api, ann: str, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    class Watching(PasswordHasher):
        def hash(self, *args: Any, **more: Any) -> str:
            look()
            return super().hash(*args, **more)

        def verify(self, *args: Any, **more: Any) -> Any:
            look()
            return super().verify(*args, **more)

    def look() -> None:
        query = "select count(*) from pg_stat_activity where datname = current_database() and state ~ '^idle in'"
        seen.append(engine.query(query)[0][0])

    monkeypatch.setattr(passwords, "_hasher", Watching())
    assert (await signed_in(api)).status_code == 200
    assert (await signed_in(api, password="wrong password")).status_code == 401
    made = {"name": "bob", "role": "viewer", "password": "battery staple"}
    assert (await api.post("/api/v1/users", made)).status_code == 201
    assert (await api("PATCH", "/api/v1/users/bob", {"password": "staple battery"})).status_code == 200
    assert seen == [0] * 4


async def test_a_password_that_changes_while_it_is_looked_at_lets_nobody_in(
    api: Api, ann: str, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(PasswordHasher):
        def verify(self, *args: Any, **more: Any) -> Any:
            fits = super().verify(*args, **more)
            engine.run(verbs.change_user("ann", password=hash_password("battery staple")))
            return fits

    monkeypatch.setattr(passwords, "_hasher", Slow())
    assert (await signed_in(api)).status_code == 401
    assert engine.query("select count(*) from pgflow.session") == [(0,)]


async def test_guessed_tokens_are_limited(opening: Opening) -> None:
    async with opening(api_login_rate="3/day") as api:
        guesses = [await api.get("/api/v1/session", token=f"pgf_{'a' * 42}{n}") for n in range(5)]
        assert [one.status_code for one in guesses] == [401, 401, 401, 429, 429]
        assert (await api.get("/api/v1/session")).status_code == 200  # who has one gets in


async def test_each_token_has_its_own_rate_divided_by_the_processes(opening: Opening, askers: Askers) -> None:
    async with opening(processes=2, api_rate="6/day") as api:
        token, other = askers.token("viewer"), askers.token("viewer")
        told = [await api.get("/api/v1/session", token=token) for _ in range(4)]
        assert [one.status_code for one in told] == [200, 200, 200, 429]
        assert [one.headers["ratelimit-remaining"] for one in told] == ["2", "1", "0", "0"]
        assert told[0].headers["ratelimit-limit"] == "3"
        assert int(told[3].headers["retry-after"]) >= 1
        assert (await api.get("/api/v1/session", token=other)).status_code == 200


async def test_an_address_has_a_rate_and_only_known_proxies_say_whose_it_is(opening: Opening) -> None:
    far = {"X-Forwarded-For": "203.0.113.9"}
    async with opening(api_address_rate="2/day") as api:
        told = [await api.get("/healthz", token=None, headers={"X-Forwarded-For": f"203.0.113.{n}"}) for n in range(3)]
        assert [one.status_code for one in told] == [200, 200, 429]
    async with opening(api_address_rate="2/day", api_proxies=["127.0.0.0/8"]) as api:
        assert [(await api.get("/healthz", token=None, headers=far)).status_code for _ in range(3)] == [200, 200, 429]
        other = {"X-Forwarded-For": "203.0.113.9, 203.0.113.10"}
        assert (await api.get("/healthz", token=None, headers=other)).status_code == 200


async def refused(api: Api, path: str) -> None:
    """Ask for a socket, which is refused before it is opened."""
    with pytest.raises(WebSocketDisconnected) as said:
        async with api.conductor.simulate_ws(path, remote_addr="127.0.0.1"):
            pass
    assert said.value.code == 3403


async def test_an_address_is_counted_whatever_it_asks_for(opening: Opening) -> None:
    async with opening(api_address_rate="5/day") as api:
        assert (await api("BREW", "/healthz", token=None)).status_code == 400
        assert (await api("OPTIONS", "/healthz", token=None)).status_code == 200
        assert (await api.get("/nowhere", token=None)).status_code == 404
        assert (await api.post("/healthz", token=None)).status_code == 405
        await refused(api, "/nowhere")
        for method, path in (("BREW", "/healthz"), ("OPTIONS", "/healthz"), ("GET", "/nowhere"), ("GET", "/healthz")):
            assert (await api(method, path, token=None)).status_code == 429


async def test_methods_that_strangers_make_up_are_counted_together(api: Api) -> None:
    for method in ("BREW", "WHEN", "GETS"):
        assert (await api(method, "/healthz", token=None)).status_code == 400
    counted = [line for line in (await api.get("/metrics")).text.splitlines() if 'route="/healthz"' in line]
    assert 'pgflow_api_requests_total{method="other",route="/healthz",status="400"} 3.0' in counted
    assert not [line for line in counted if "BREW" in line]


async def test_no_socket_is_opened_where_nothing_is_to_be_had(api: Api) -> None:
    with capture_logs() as logs:
        for path in ("/api/v1/runs/1/cancel", "/api/v1/runs", "/healthz", "/nowhere"):
            await refused(api, path)
    assert [one for one in logs if one["event"] == "request_failed"] == []


async def test_a_changed_user_is_changed_at_once(api: Api, ann: str) -> None:
    cookie = cookie_of(await signed_in(api))
    assert (await api("PATCH", "/api/v1/users/ann", {"role": "viewer"})).json["role"] == "viewer"
    me = await api.get("/api/v1/session", token=None, headers=cookie)
    assert me.json["role"] == "viewer"
    assert (await api("PATCH", "/api/v1/users/ann", {"password": "battery staple"})).status_code == 200
    assert (await api.get("/api/v1/session", token=None, headers=cookie)).status_code == 401
    assert (await signed_in(api)).status_code == 401
    assert (await signed_in(api, password="battery staple")).status_code == 200
    assert (await api("DELETE", "/api/v1/users/ann")).status_code == 204
    assert "argon2" not in (await api.get("/api/v1/audit")).text
