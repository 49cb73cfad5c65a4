"""The connections of a worker's duties; see `pgflow.db.link`."""

from __future__ import annotations

from pgflow.db.link import Link

__all__ = ["Link"]
