"""The API of `pgflow dev`: a process of its own, on loopback, with a token ready for each role."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson
import psycopg

from pgflow import access
from pgflow.access import Role
from pgflow.api.server import is_loopback
from pgflow.config import Settings
from pgflow.db import connect
from pgflow.db.call import Session
from pgflow.embedded.port import free_port, port_is_free
from pgflow.engine import access as verbs
from pgflow.process import die_with_parent

TOKENS_FILE = "tokens"
Say = Callable[[str, str], None]


@contextlib.contextmanager
def serving(settings: Settings, state: Path, port: int, say: Say) -> Iterator[None]:
    """The API for as long as this runs.

    Args:
        settings: where the engine is.
        state: the folder where `pgflow dev` keeps its things.
        port: where to listen; another one if it is taken.
        say: tells the user something.
    """
    port = port if port_is_free(port) else free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "pgflow", "api", "--port", str(port), "--graceful", "3", "--log-format", "console"],
        env={**os.environ, **_environment(settings)},
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=die_with_parent if os.name == "posix" else None,  # noqa: PLW1509 (no thread of ours runs yet)
    )
    say("API", f"http://127.0.0.1:{port}/api/v1/docs")
    if _local(settings):
        tokens = ready_tokens(settings, state / TOKENS_FILE)
        for role, token in tokens.items():
            say("Token", f"{role:<9} {token}")
    else:
        say("Token", "the database is not here, so make one yourself: pgflow token create NAME --role admin")
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(8)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def ready_tokens(settings: Settings, file: Path) -> dict[str, str]:
    """A token for each role, kept in a file that only its user can read; made anew when one is good no more."""
    kept = _kept(file)
    with connect.open_sync(settings, "dev") as connection:
        session = Session(connection, settings.schema_name)
        for role in Role:
            token = kept.get(role.word)
            if token is None or session.run(verbs.by_token(access.digest(token))) is None:
                kept[role.word] = _made(session, role)
    file.touch(mode=0o600)
    file.chmod(0o600)
    file.write_bytes(orjson.dumps(kept))
    return {role.word: kept[role.word] for role in Role}


def _made(session: Session, role: Role) -> str:
    name = f"dev-{role.word}"
    session.run(verbs.revoke(name=name, actor="pgflow dev"))
    token = access.new_token()
    session.run(
        verbs.create_token(name, token[: access.SHOWN], access.digest(token), role, None, None, actor="pgflow dev")
    )
    return token


def _kept(file: Path) -> dict[str, str]:
    try:
        found = orjson.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    return {str(name): str(token) for name, token in found.items()} if isinstance(found, dict) else {}


def _local(settings: Settings) -> bool:
    """Whether the database is on this machine: no other gets a token that lies about in a file."""
    hosts = psycopg.conninfo.conninfo_to_dict(settings.require_url()).get("host") or ""
    return all(host.startswith("/") or not host or is_loopback(host) for host in str(hosts).split(","))


def _environment(settings: Settings) -> Mapping[str, str]:
    """What the process has to know beside what it reads for itself."""
    given: dict[str, Any] = {
        "PGFLOW_DATABASE_URL": settings.require_url(),
        "PGFLOW_SCHEMA": settings.schema_name,
        "PGFLOW_REDIS_URL": ",".join(settings.redis_url),
        "PGFLOW_SECRET_KEYS_FILE": settings.secret_keys_file,
        "PGFLOW_OUTBOUND_ALLOW": ",".join(settings.outbound_allow),
        "PGFLOW_API_LOGIN_RATE": settings.api_login_rate,
    }
    return {name: str(value) for name, value in given.items() if value}
