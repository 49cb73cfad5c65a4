"""Postgres and Valkey servers of our own, for development and tests: nothing to install or to set up first."""

from __future__ import annotations

from pgflow.embedded.binaries import find_binaries
from pgflow.embedded.postgres import EmbeddedPostgres
from pgflow.embedded.valkey import EmbeddedValkey, find_valkey

__all__ = ["EmbeddedPostgres", "EmbeddedValkey", "find_binaries", "find_valkey"]
