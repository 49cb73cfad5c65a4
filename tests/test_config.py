"""Settings: from the environment, with clear words when they make no sense."""

from __future__ import annotations

from pathlib import Path

import pytest

from pgflow import config
from pgflow.errors import ConfigError


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("PGFLOW_DATABASE_URL", "DATABASE_URL", "PGFLOW_SCHEMA"):
        monkeypatch.delenv(name, raising=False)


def test_either_name_gives_the_url_and_ours_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://a/b")
    assert config.load().database_url == "postgresql://a/b"
    monkeypatch.setenv("PGFLOW_DATABASE_URL", "postgresql://c/d")
    assert config.load().database_url == "postgresql://c/d"


def test_a_running_dev_in_this_folder_is_found(tmp_path: Path) -> None:
    (tmp_path / ".pgflow").mkdir()
    (tmp_path / ".pgflow" / "url").write_text("postgresql://dev/db")
    assert config.load().database_url == "postgresql://dev/db"
    assert config.load(database_url="postgresql://given/db").database_url == "postgresql://given/db"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PGFLOW_LEASE", "soon"),
        ("PGFLOW_LEASE", "0"),
        ("PGFLOW_HEARTBEAT", "20"),
        ("PGFLOW_SCHEMA", 'my "schema"'),
        ("PGFLOW_SCHEMA", "a" * 37),
        ("PGFLOW_MAX_CRASHES", "0"),
    ],
)
def test_nonsense_is_refused_and_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=name.removeprefix("PGFLOW_").lower() + "|PGFLOW_SCHEMA"):
        config.load()


def test_without_a_url_it_says_how_to_give_one() -> None:
    with pytest.raises(ConfigError, match="PGFLOW_DATABASE_URL"):
        config.load().require_url()


def test_secrets_do_not_show() -> None:
    settings = config.load(database_url="postgresql://u:hunter2@h/d", redis_url="redis://:hunter2@h")
    assert "hunter2" not in repr(settings)
