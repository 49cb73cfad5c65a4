"""Events as they happen, over HTTP: see `pgflow.api.live.hub`."""

from __future__ import annotations
