"""Where a page ended, as text that says nothing to whoever carries it."""

from __future__ import annotations

import base64
from datetime import UTC, datetime


def packed(id: int, at: datetime | None) -> str:
    """As text."""
    text = str(id) if at is None else f"{id} {at.astimezone(UTC).isoformat()}"
    return base64.urlsafe_b64encode(text.encode()).decode()


def unpacked(text: str) -> tuple[int, datetime | None]:
    """What was packed, or a ValueError."""
    id, _, at = base64.urlsafe_b64decode(text).decode().partition(" ")
    number = int(id)
    if not 0 <= number < 2**63:
        raise ValueError(id)
    if not at:
        return number, None
    instant = datetime.fromisoformat(at)
    if instant.tzinfo is None:
        raise ValueError(at)
    return number, instant
