"""Exchanges that the registries have in common: a thing, many of them, something done to each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pgflow.sdk.remote.documents import plain
from pgflow.sdk.remote.exchange import Exchange
from pgflow.sdk.remote.rows import Row, row
from pgflow.sdk.remote.run_verbs import get, name_in_path, send
from pgflow.sdk.verbs import Handle

Documents = Sequence[Row]
"""As the API has them: dictionaries, with ids and instants as such."""


def one(path: str) -> Exchange[Row]:
    """One thing, or NotFound."""
    return row((yield from get(path)))


def changed(method: str, path: str, fields: Mapping[str, Any] | None = None) -> Exchange[Row]:
    """Make or change something. As it is then."""
    return row((yield from send(method, path, None if fields is None else dict(fields))))


def handle(path: str, id: str, fields: Mapping[str, Any] | None = None) -> Exchange[Handle[Any]]:
    """Start something, whose id the answer has under a name."""
    found = yield from send("POST", path, None if fields is None else plain(fields))
    return Handle(int(found[id]))


def each(path: str, names: Sequence[str], verb: str, fields: Mapping[str, Any] | None = None) -> Exchange[list[str]]:
    """Do something to each of them, one after another. Those that it changed."""
    done = []
    for name in names:
        found = yield from send("POST", f"{path}/{name_in_path(name)}/{verb}", None if fields is None else dict(fields))
        if found["changed"]:
            done.append(name)
    return done


def removed(path: str, names: Sequence[str]) -> Exchange[list[str]]:
    """Remove each of them, one after another."""
    for name in names:
        yield from send("DELETE", f"{path}/{name_in_path(name)}")
    return list(names)
