"""Signing in through an OpenID Connect provider: one on a socket, which signs what it is told to."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from falcon.testing import ASGIConductor
from joserfc import jwt
from joserfc.jwk import RSAKey

from pgflow.access import Role
from pgflow.api.app import create_app
from pgflow.config import Settings
from pgflow.engine import access as verbs
from tests.api.conftest import RATES, Api, Askers
from tests.fixtures.database import Engine

PATH = "/api/v1/session/oidc"


class FakeProvider:
    """What it says of who signs in can be changed: `claims` are put over the honest ones."""

    def __init__(self) -> None:
        self.key = RSAKey.generate_key(2048, {"kid": "1"})
        self.signs_with = self.key
        self.claims: dict[str, Any] = {}
        self.nonce = ""
        self.asked: dict[str, str] = {}
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.answer(self, provider.documents()[self.path])

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                provider.asked = {name: values[0] for name, values in parse_qs(body).items()}
                provider.answer(self, {"access_token": "a", "token_type": "Bearer", "id_token": provider.token()})

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def documents(self) -> dict[str, Any]:
        return {
            "/.well-known/openid-configuration": {
                "issuer": self.url, "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token", "jwks_uri": f"{self.url}/keys",
            },
            "/keys": {"keys": [self.key.as_dict(private=False)]},
        }  # fmt: skip

    def token(self) -> str:
        honest = {
            "iss": self.url, "aud": "pgflow", "sub": "17", "exp": int(time.time()) + 300, "nonce": self.nonce,
            "email": "ann@example.com", "email_verified": True,
        }  # fmt: skip
        return jwt.encode({"alg": "RS256", "kid": self.signs_with.kid}, honest | self.claims, self.signs_with)

    @staticmethod
    def answer(handler: BaseHTTPRequestHandler, document: Any) -> None:
        text = json.dumps(document).encode()
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(text)))
        handler.end_headers()
        handler.wfile.write(text)


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    made = FakeProvider()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
async def api(database: Settings, askers: Askers, provider: FakeProvider) -> AsyncIterator[Api]:
    settings = database.model_copy(
        update=RATES | {
            "oidc_issuer": provider.url, "oidc_client_id": "pgflow", "oidc_client_secret": "s",
            "public_url": "http://pgflow.example",
        }
    )  # fmt: skip
    admin = askers.token("admin")
    async with ASGIConductor(create_app(settings)) as conductor:
        yield Api(conductor, admin)


async def attempt(api: Api, provider: FakeProvider, *, state: str | None = None, cookie: str | None = None) -> Any:
    """Go to the provider and come back."""
    gone = await api.get(PATH, token=None)
    assert gone.status_code == 302
    asked = {name: values[0] for name, values in parse_qs(urlsplit(gone.headers["location"]).query).items()}
    assert asked["code_challenge_method"] == "S256"
    assert asked["redirect_uri"] == f"http://pgflow.example{PATH}/callback"
    provider.nonce = asked["nonce"]
    kept = gone.headers["set-cookie"].split(";")[0] if cookie is None else cookie
    return await api.get(
        f"{PATH}/callback", token=None, params={"code": "c", "state": state or asked["state"]}, headers={"Cookie": kept}
    )


async def test_who_was_named_signs_in_and_is_known_by_the_provider_s_id_from_then_on(
    api: Api, provider: FakeProvider, engine: Engine
) -> None:
    engine.run(verbs.create_user("ann@example.com", Role.OPERATOR, None, None))
    back = await attempt(api, provider)
    assert back.status_code == 200
    assert provider.asked["grant_type"] == "authorization_code"
    assert len(provider.asked["code_verifier"]) >= 43
    session = {"Cookie": f"pgflow_session={back.cookies['pgflow_session'].value}"}
    me = await api.get("/api/v1/session", token=None, headers=session)
    assert (me.json["name"], me.json["role"]) == ("ann@example.com", "operator")
    provider.claims = {"email": "ann@elsewhere.example"}
    assert (await attempt(api, provider)).status_code == 200
    provider.claims = {"sub": "18"}  # somebody else, who has got her address
    assert (await attempt(api, provider)).status_code == 401
    assert engine.query("select distinct action, actor from pgflow.audit_entry") == [
        ("session.begin", "user:ann@example.com")
    ]


async def test_nobody_else_gets_in(api: Api, provider: FakeProvider, engine: Engine) -> None:
    assert (await attempt(api, provider)).status_code == 401  # nobody has named them
    engine.run(verbs.create_user("ann@example.com", Role.ADMIN, None, None))
    lies: list[dict[str, Any]] = [
        {"aud": "another"}, {"iss": "https://evil.example"}, {"exp": int(time.time()) - 3600}, {"nonce": "old"},
        {"email_verified": False}, {"email_verified": "true"}, {"email": ["ann@example.com"]},
    ]  # fmt: skip
    for lie in lies:
        provider.claims = lie
        answer = await attempt(api, provider)
        assert (answer.status_code, answer.json["code"]) == (401, "unauthenticated"), lie
    provider.claims = {}
    provider.signs_with = RSAKey.generate_key(2048, {"kid": "1"})
    assert (await attempt(api, provider)).status_code == 401
    provider.signs_with = provider.key
    assert (await attempt(api, provider, state="another")).status_code == 401
    assert (await attempt(api, provider, cookie="pgflow_signin=e30=")).status_code == 401
    assert (await attempt(api, provider, cookie="a=b")).status_code == 401
    assert engine.query("select count(*) from pgflow.session") == [(0,)]
    assert (await attempt(api, provider)).status_code == 200


async def test_a_user_with_a_password_is_not_taken_over(api: Api, provider: FakeProvider, engine: Engine) -> None:
    engine.run(verbs.create_user("ann@example.com", Role.ADMIN, None, "a hash"))
    assert (await attempt(api, provider)).status_code == 401


async def test_keys_that_changed_are_fetched_anew(api: Api, provider: FakeProvider, engine: Engine) -> None:
    engine.run(verbs.create_user("ann@example.com", Role.VIEWER, None, None))
    assert (await attempt(api, provider)).status_code == 200
    provider.key = provider.signs_with = RSAKey.generate_key(2048, {"kid": "2"})
    assert (await attempt(api, provider)).status_code == 200
