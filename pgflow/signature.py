"""Signatures of webhooks: which request came from whom it says, unaltered, and not long ago.

A scheme says in which headers a request is signed, and how:

| kind | signed | in the headers |
|---|---|---|
| standard | `id.timestamp.body` | `webhook-id`, `webhook-timestamp`, `webhook-signature: v1,<base64> v1,...` |
| github | `body` | `X-Hub-Signature-256: sha256=<hex>`, or `X-Signature-256` |
| stripe | `timestamp.body` | `Stripe-Signature: t=<seconds>,v1=<hex>,...` |
| header | `body`; nothing, when it holds a token | any one |

All are HMAC-SHA256 over the bytes that arrived, before anything is decoded: JSON that was parsed and written again is
another text. Any of several secrets may match, so that sender and receiver can change them one after the other; which
one did is reported. Whoever has neither secret can make each check fail and learns only at which it failed: values are
compared in constant time, and no error holds a secret, a signature that came or the one that would have been right.

A timestamp is believed because it is signed. It is refused when it is older, or newer, than the tolerance; within the
tolerance the same request may arrive again, which only the receiver's memory of delivery ids can tell.
"""

from __future__ import annotations

import hmac
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pgflow.errors import ArgumentError, PgflowError

TOLERANCE = 300.0
"""Seconds by which a timestamp may differ from now."""

MAX_SIGNATURES = 32
"""More in one header are not looked at."""

PREFIX = "whsec_"

_SECONDS = re.compile(r"[0-9]{1,12}")
_HEADER = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]{1,100}")
# The dot parts what is signed: with one in the id, the same bytes could be read as another id, timestamp and body.
_ID = re.compile(r"[\x21-\x2d\x2f-\x7e]{1,512}")


class Reason(StrEnum):
    """Why a request is not believed. There are no others."""

    MISSING_HEADER = "missing_header"
    MALFORMED_HEADER = "malformed_header"
    OLD_TIMESTAMP = "old_timestamp"
    """Or one too far in the future."""
    WRONG_SIGNATURE = "wrong_signature"


class SignatureError(PgflowError):
    """A request's signature does not hold.

    Attributes:
        reason: which check failed.
    """

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Kind(StrEnum):
    """Whose way of signing it is."""

    STANDARD = "standard"
    GITHUB = "github"
    STRIPE = "stripe"
    HEADER = "header"


class Form(StrEnum):
    """What a header of one's own holds: the secret itself, or the signature in hex or base64."""

    TOKEN = "token"
    HEX = "hex"
    BASE64 = "base64"


def check_header(name: str) -> str:
    """The name of a header in lower case, or an ArgumentError."""
    if not _HEADER.fullmatch(name.lower()):
        raise ArgumentError(f"{name!r} is no name for a header")
    return name.lower()


@dataclass(frozen=True, slots=True)
class Scheme:
    """How requests are signed.

    Args:
        kind: whose way.
        header: of kind `header`: its name.
        form: of kind `header`: what it holds.
        prefix: of kind `header`: what stands before that, such as `Bearer ` or `sha256=`.
        tolerance: seconds by which a signed timestamp may differ from now.

    Raises:
        ArgumentError: these do not fit together.

    Example:
        >>> Scheme(Kind.HEADER, header="x-api-key", form=Form.TOKEN).headers
        ('x-api-key',)
    """

    kind: Kind
    header: str | None = None
    form: Form = Form.HEX
    prefix: str = ""
    tolerance: float = TOLERANCE

    def __post_init__(self) -> None:
        if (self.kind is Kind.HEADER) != (self.header is not None):
            raise ArgumentError(
                f"a signature of kind {self.kind} "
                + ("needs the header's name" if self.header is None else "has headers of its own"),
                hint="give a header's name to kind header, and to no other",
            )
        if self.header is not None:
            check_header(self.header)
        if not 0 < self.tolerance <= 86400:
            raise ArgumentError(f"a tolerance of {self.tolerance:g} s", hint="more than nothing, at most a day")

    @property
    def headers(self) -> tuple[str, ...]:
        """The headers, in lower case, that hold signatures or tokens: nobody else is to see them."""
        match self.kind:
            case Kind.STANDARD:
                return ("webhook-signature",)
            case Kind.GITHUB:
                return ("x-hub-signature-256", "x-signature-256", "x-hub-signature")
            case Kind.STRIPE:
                return ("stripe-signature",)
            case Kind.HEADER:
                return (str(self.header).lower(),)


@dataclass(frozen=True, slots=True)
class Verified:
    """What a signature vouches for.

    Attributes:
        secret: which of the secrets matched, counted from 0.
        id: the signed delivery id, if the scheme has one.
        timestamp: when it was signed, in seconds since 1970, if the scheme says so.
    """

    secret: int
    id: str | None = None
    timestamp: int | None = None


def verify(scheme: Scheme, headers: Mapping[str, str], body: bytes, secrets: Sequence[str], *, now: float) -> Verified:
    """Check a request.

    Args:
        scheme: how it is to be signed.
        headers: the request's, in whatever case.
        body: exactly as it arrived.
        secrets: any of these may have signed it. Of kind `standard` one is `whsec_` and the key in base64, or just
            text; of the others it is a text, whatever it begins with: Stripe's are no base64.
        now: seconds since 1970.

    Raises:
        SignatureError: it is not believed.
        ArgumentError: a secret is none.

    Example:
        >>> headers = sign(["whsec_c2VjcmV0"], "msg_1", 1700000000, b"{}")
        >>> verify(Scheme(Kind.STANDARD), headers, b"{}", ["whsec_c2VjcmV0"], now=1700000060)
        Verified(secret=0, id='msg_1', timestamp=1700000000)
    """
    given = {name.lower(): value for name, value in headers.items()}
    keys = [_key(scheme.kind, secret) for secret in secrets]
    match scheme.kind:
        case Kind.STANDARD:
            return _standard(scheme, given, body, keys, now)
        case Kind.GITHUB:
            return _github(given, body, keys)
        case Kind.STRIPE:
            return _stripe(scheme, given, body, keys, now)
        case Kind.HEADER:
            return _own(scheme, given, body, keys)


def sign(secrets: Sequence[str], id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers of a delivery signed as Standard Webhooks asks.

    Args:
        secrets: it is signed with each; receivers take any that they know.
        id: the delivery's id: the same when it is sent again.
        timestamp: of this attempt, in seconds since 1970.
        body: what is sent.

    Raises:
        ArgumentError: there is no secret, or one is none; or the id cannot stand in a header.
    """
    if not secrets or not _ID.fullmatch(id):
        raise ArgumentError(f"a delivery {id!r} cannot be signed", hint="an id of ASCII without dots, and a secret")
    content = _content(id, timestamp, body)
    signatures = [f"v1,{_base64(_key(Kind.STANDARD, secret), content)}" for secret in secrets]
    return {"webhook-id": id, "webhook-timestamp": str(timestamp), "webhook-signature": " ".join(signatures)}


def signed(scheme: Scheme, secret: str, id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers of a request signed by any scheme, for trying out what verifies them."""
    key = _key(scheme.kind, secret)
    match scheme.kind:
        case Kind.STANDARD:
            return sign([secret], id, timestamp, body)
        case Kind.GITHUB:
            return {"X-Hub-Signature-256": f"sha256={_hex(key, body)}", "X-GitHub-Delivery": id}
        case Kind.STRIPE:
            return {"Stripe-Signature": f"t={timestamp},v1={_hex(key, b'%d.' % timestamp + body)}"}
        case Kind.HEADER:
            return {str(scheme.header): scheme.prefix + _expected(scheme.form, key, body)}


def check_secret(kind: Kind, secret: str) -> None:
    """See that a secret can be used with this kind of signature.

    Raises:
        ArgumentError: it is empty, or no base64 after `whsec_` where that is meant; the text does not show it.
    """
    _key(kind, secret)


def _key(kind: Kind, secret: str) -> bytes:
    if kind is Kind.STANDARD and secret.startswith(PREFIX):
        try:
            key = b64decode(secret.removeprefix(PREFIX), validate=True)
        except ValueError:
            raise ArgumentError("a secret that begins with whsec_ is not base64 after that") from None
    else:
        key = secret.encode("utf-8", "surrogatepass")
    if not key:
        raise ArgumentError("a secret is empty: anybody could sign with it")
    return key


def _standard(scheme: Scheme, given: Mapping[str, str], body: bytes, keys: Sequence[bytes], now: float) -> Verified:
    id = _required(given, "webhook-id")
    stamp = _required(given, "webhook-timestamp")
    header = _required(given, "webhook-signature")
    if not _ID.fullmatch(id):
        raise SignatureError(Reason.MALFORMED_HEADER, "the header webhook-id is not ASCII without spaces and dots")
    timestamp = _timely(stamp, "webhook-timestamp", scheme.tolerance, now)
    signatures = [part[3:] for part in header.split()[:MAX_SIGNATURES] if part.startswith("v1,")]
    if not signatures:
        raise SignatureError(Reason.MALFORMED_HEADER, "the header webhook-signature holds no v1 signature")
    content = _content(id, timestamp, body)
    return Verified(_matching((_base64(key, content) for key in keys), signatures), id, timestamp)


def _github(given: Mapping[str, str], body: bytes, keys: Sequence[bytes]) -> Verified:
    if "x-hub-signature-256" in given or "x-signature-256" not in given:
        header = _required(given, "x-hub-signature-256")
    else:
        header = given["x-signature-256"]
    signature = header.strip().removeprefix("sha256=").lower()
    if not re.fullmatch("[0-9a-f]{64}", signature):
        raise SignatureError(Reason.MALFORMED_HEADER, "the signature's header is not sha256= and 64 hex digits")
    return Verified(_matching((_hex(key, body) for key in keys), [signature]))


def _stripe(scheme: Scheme, given: Mapping[str, str], body: bytes, keys: Sequence[bytes], now: float) -> Verified:
    parts = [part.strip().partition("=") for part in _required(given, "stripe-signature").split(",")]
    stamps = [value for name, _, value in parts if name == "t"]
    signatures = [value.lower() for name, _, value in parts if name == "v1"][:MAX_SIGNATURES]
    if len(stamps) != 1 or not signatures:
        raise SignatureError(Reason.MALFORMED_HEADER, "the header stripe-signature is not one t= with v1= signatures")
    timestamp = _timely(stamps[0], "stripe-signature", scheme.tolerance, now)
    content = stamps[0].encode() + b"." + body
    return Verified(_matching((_hex(key, content) for key in keys), signatures), None, timestamp)


def _own(scheme: Scheme, given: Mapping[str, str], body: bytes, keys: Sequence[bytes]) -> Verified:
    name = str(scheme.header).lower()
    header = _required(given, name)
    if not header.lower().startswith(scheme.prefix.lower()):
        raise SignatureError(Reason.MALFORMED_HEADER, f"the header {name} does not begin as it should")
    value = header[len(scheme.prefix) :].strip()
    if scheme.form is Form.HEX:
        value = value.lower()
    return Verified(_matching((_expected(scheme.form, key, body) for key in keys), [value]))


def _expected(form: Form, key: bytes, body: bytes) -> str:
    match form:
        case Form.TOKEN:
            return key.decode("latin-1")
        case Form.HEX:
            return _hex(key, body)
        case Form.BASE64:
            return _base64(key, body)


def _required(given: Mapping[str, str], name: str) -> str:
    value = given.get(name, "").strip()
    if not value:
        raise SignatureError(Reason.MISSING_HEADER, f"the request has no header {name}")
    return value


def _timely(text: str, header: str, tolerance: float, now: float) -> int:
    if not _SECONDS.fullmatch(text):
        raise SignatureError(Reason.MALFORMED_HEADER, f"the timestamp in {header} is not a number of seconds")
    away = int(text) - now
    if abs(away) > tolerance:
        raise SignatureError(
            Reason.OLD_TIMESTAMP,
            f"the timestamp in {header} is {abs(away):.0f} s {'ahead' if away > 0 else 'old'}; {tolerance:g} s may be",
        )
    return int(text)


def _matching(expected: Iterable[str], signatures: Sequence[str]) -> int:
    """Which of the secrets made one of the signatures."""
    given = [signature.encode("latin-1", "replace") for signature in signatures]
    for position, wanted in enumerate(expected):
        if any(hmac.compare_digest(wanted.encode("latin-1"), signature) for signature in given):
            return position
    raise SignatureError(Reason.WRONG_SIGNATURE, "the signature is not made with any of the secrets")


def _content(id: str, timestamp: int, body: bytes) -> bytes:
    return f"{id}.{timestamp}.".encode("ascii") + body


def _hex(key: bytes, content: bytes) -> str:
    return hmac.new(key, content, "sha256").hexdigest()


def _base64(key: bytes, content: bytes) -> str:
    return b64encode(hmac.new(key, content, "sha256").digest()).decode("ascii")
