"""What a server answered."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import orjson

from pgflow.outbound.errors import OutboundFailed

if TYPE_CHECKING:
    import httpx

MOST_RETRY_AFTER = 7 * 86400.0


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, read to its end.

    Attributes:
        status: the HTTP status; redirects too are answers.
        headers: by name, whatever the case.
        body: as it came.
        cut: there was more of it than was asked for.
        seconds: how long the call took in all.
    """

    status: int
    headers: httpx.Headers
    body: bytes
    cut: bool
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether the status is one of success."""
        return 200 <= self.status < 300

    @property
    def phrase(self) -> str:
        """The status for people, as in `404 Not Found`."""
        try:
            return f"{self.status} {HTTPStatus(self.status).phrase}"
        except ValueError:
            return str(self.status)

    @property
    def text(self) -> str:
        """The body as text, by the charset that the answer names."""
        import httpx

        charset = httpx.Response(self.status, headers=self.headers).charset_encoding or "utf-8"
        try:
            return self.body.decode(charset, "replace")
        except (LookupError, ValueError):  # unknown, or one such as idna, which replaces nothing
            return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            OutboundFailed: it is none.
        """
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError as error:
            raise OutboundFailed(f"the answer ({self.phrase}) is no JSON: {error}") from None

    def retry_after(self, now: datetime | None = None) -> float | None:
        """For how many seconds the server wants to be left alone, if it says so; at most a week."""
        said = self.headers.get("retry-after", "").strip()
        if said.isascii() and said.isdigit():
            return min(float(said[:9]), MOST_RETRY_AFTER)
        try:
            until = parsedate_to_datetime(said)
        except (ValueError, IndexError, TypeError, OverflowError):
            return None
        if until.tzinfo is None:
            until = until.replace(tzinfo=UTC)
        seconds = (until - (now or datetime.now(UTC))).total_seconds()
        return min(max(0.0, seconds), MOST_RETRY_AFTER)
