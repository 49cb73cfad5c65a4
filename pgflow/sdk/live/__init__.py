"""Events as they happen, to whoever watches: see `pgflow.sdk.live.events`."""

from __future__ import annotations
