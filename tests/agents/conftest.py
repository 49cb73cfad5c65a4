"""Agents on the real engine."""

from __future__ import annotations

from tests.nodes.conftest import graphs

__all__ = ["graphs"]
