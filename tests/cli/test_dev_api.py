"""The API of `pgflow dev`."""

from __future__ import annotations

import time
from pathlib import Path

import httpx

from pgflow import access
from pgflow.cli import dev_api
from pgflow.config import Settings
from pgflow.engine import access as verbs
from tests.fixtures.database import Engine
from tests.fixtures.ports import own_port


def test_dev_has_a_token_ready_for_each_role_and_keeps_it(database: Settings, engine: Engine, tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    tokens = dev_api.ready_tokens(database, file)
    assert list(tokens) == ["viewer", "operator", "admin"]
    assert file.stat().st_mode & 0o077 == 0
    for role, token in tokens.items():
        assert engine.run(verbs.by_token(access.digest(token))).principal.role.word == role
    assert dev_api.ready_tokens(database, file) == tokens
    engine.run(verbs.revoke(name="dev-viewer"))
    again = dev_api.ready_tokens(database, file)
    assert again["viewer"] != tokens["viewer"]
    assert again["admin"] == tokens["admin"]
    file.write_text("nonsense")
    assert set(dev_api.ready_tokens(database, file).values()).isdisjoint(again.values())


def test_dev_serves_the_api_on_loopback_until_it_ends(database: Settings, tmp_path: Path) -> None:
    said: dict[str, str] = {}

    def say(what: str, text: str) -> None:
        said.setdefault(what, text)

    with dev_api.serving(database, tmp_path, own_port(), say):
        base = said["API"].removesuffix("/api/v1/docs")
        assert base.startswith("http://127.0.0.1:")
        token = said["Token"].split()[1]
        end = time.monotonic() + 60
        while True:
            try:
                answer = httpx.get(f"{base}/api/v1/session", headers={"Authorization": f"Bearer {token}"})
                break
            except httpx.TransportError:
                assert time.monotonic() < end
                time.sleep(0.1)
        assert answer.json()["role"] == "viewer"
    try:
        httpx.get(f"{base}/healthz", timeout=2)
    except httpx.TransportError:
        return
    raise AssertionError("it still answers")
