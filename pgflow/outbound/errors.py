"""What may go wrong between here and somebody else's server."""

from __future__ import annotations

from pgflow.errors import PgflowError


class OutboundRefused(PgflowError):
    """pgflow will not call this address: it is malformed, or leads where nobody may be sent. Trying again is useless,
    unless the name comes to stand for another address."""


class OutboundFailed(PgflowError):
    """The call was made and did not succeed: no connection, no answer in time, too large an answer."""


class MailRefused(OutboundFailed):
    """The mail server will not take this mail for somebody, however often it is asked."""
