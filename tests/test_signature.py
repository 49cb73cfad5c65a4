from __future__ import annotations

import hashlib
import hmac
import traceback
from base64 import b64decode, b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgflow.errors import ArgumentError
from pgflow.signature import Form, Kind, Reason, Scheme, SignatureError, check_secret, sign, signed, verify

NOW = 1_700_000_000
SECRET = "whsec_" + b64encode(b"a secret of 24 bytes....").decode()
OTHER = "whsec_" + b64encode(b"another one, 24 bytes...").decode()
STANDARD = Scheme(Kind.STANDARD)
SCHEMES = {
    "standard": STANDARD,
    "github": Scheme(Kind.GITHUB),
    "stripe": Scheme(Kind.STRIPE),
    "hex": Scheme(Kind.HEADER, header="X-Signature", form=Form.HEX, prefix="sha256="),
    "base64": Scheme(Kind.HEADER, header="X-Shop-Hmac-Sha256", form=Form.BASE64),
    "token": Scheme(Kind.HEADER, header="Authorization", form=Form.TOKEN, prefix="Bearer "),
}
SIGNING = {name: scheme for name, scheme in SCHEMES.items() if name != "token"}
BODIES = [b"", b"{}", b'{"name": "J\xc3\xb6rg \xe2\x9c\x93"}', bytes(range(256)), b"a.b.c", b"\r\n"]


def reason(scheme: Scheme, headers: dict[str, str], body: bytes, *secrets: str, now: float = NOW) -> Reason:
    """Why it is refused."""
    with pytest.raises(SignatureError) as caught:
        verify(scheme, headers, body, secrets or [SECRET], now=now)
    return caught.value.reason


def changed(headers: dict[str, str], name: str, value: str) -> dict[str, str]:
    assert name in headers
    return headers | {name: value}


def test_the_example_of_the_standard_webhooks_libraries() -> None:
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    body, secret = b'{"test": 2432232314}', "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    verified = verify(STANDARD, headers, body, [secret], now=1614265330)
    assert (verified.secret, verified.id, verified.timestamp) == (0, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330)
    assert sign([secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body) == headers


def test_the_example_of_githubs_guide() -> None:
    headers = {"X-Hub-Signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"}
    assert verify(SCHEMES["github"], headers, b"Hello, World!", ["It's a Secret to Everybody"], now=0).secret == 0


def test_a_test_case_of_rfc_4231() -> None:
    scheme = Scheme(Kind.HEADER, header="x-hmac")
    headers = {"x-hmac": "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"}
    assert verify(scheme, headers, b"what do ya want for nothing?", ["Jefe"], now=0).secret == 0


def test_stripe_signs_timestamp_dot_body_with_the_text_of_its_secret() -> None:
    secret, body = "whsec_not+base64!", b'{"id": "evt_1"}'
    expected = hmac.new(secret.encode(), f"{NOW}.".encode() + body, hashlib.sha256).hexdigest()
    headers = {"Stripe-Signature": f"t={NOW},v1={expected},v0=6ffbb59b2300aae63f272406069a9788598b792a944a07aba816edb0"}
    assert verify(SCHEMES["stripe"], headers, body, [secret], now=NOW).timestamp == NOW


@pytest.mark.parametrize("body", BODIES, ids=repr)
@pytest.mark.parametrize("name", SCHEMES)
def test_what_was_signed_is_verified_whatever_the_bytes(name: str, body: bytes) -> None:
    headers = signed(SCHEMES[name], SECRET, "msg_1", NOW, body)
    assert verify(SCHEMES[name], headers, body, [SECRET], now=NOW).secret == 0


@pytest.mark.parametrize("name", SIGNING)
def test_a_tampered_body_is_refused(name: str) -> None:
    headers = signed(SCHEMES[name], SECRET, "msg_1", NOW, b'{"amount": 10}')
    for body in (b'{"amount": 99}', b'{"amount":10}', b'{"amount": 10}\n', b""):
        assert reason(SCHEMES[name], headers, body) is Reason.WRONG_SIGNATURE


@pytest.mark.parametrize("name", SCHEMES)
def test_a_wrong_secret_is_refused(name: str) -> None:
    headers = signed(SCHEMES[name], OTHER, "msg_1", NOW, b"{}")
    assert reason(SCHEMES[name], headers, b"{}") is Reason.WRONG_SIGNATURE
    with pytest.raises(SignatureError):
        verify(SCHEMES[name], headers, b"{}", [], now=NOW)


@pytest.mark.parametrize("name", SCHEMES)
def test_any_of_several_secrets_may_have_signed_and_which_one_is_told(name: str) -> None:
    headers = signed(SCHEMES[name], OTHER, "msg_1", NOW, b"{}")
    assert verify(SCHEMES[name], headers, b"{}", [SECRET, OTHER], now=NOW).secret == 1
    assert verify(SCHEMES[name], headers, b"{}", [OTHER, SECRET], now=NOW).secret == 0


@pytest.mark.parametrize("name", SCHEMES)
def test_a_missing_or_empty_header_is_told(name: str) -> None:
    headers = signed(SCHEMES[name], SECRET, "msg_1", NOW, b"{}")
    needed = [header for header in headers if header != "X-GitHub-Delivery"]
    for header in needed:
        without = {other: value for other, value in headers.items() if other != header}
        assert reason(SCHEMES[name], without, b"{}") is Reason.MISSING_HEADER
        assert reason(SCHEMES[name], changed(headers, header, "  "), b"{}") is Reason.MISSING_HEADER


@pytest.mark.parametrize("name", SCHEMES)
@pytest.mark.parametrize("case", [str.upper, str.lower, str.title])
def test_headers_are_found_in_any_case(name: str, case: type[str]) -> None:
    headers = {case(header): value for header, value in signed(SCHEMES[name], SECRET, "msg_1", NOW, b"{}").items()}
    assert verify(SCHEMES[name], headers, b"{}", [SECRET], now=NOW).secret == 0


@pytest.mark.parametrize("name", ["standard", "stripe"])
def test_a_timestamp_is_refused_beyond_the_tolerance_on_either_side(name: str) -> None:
    headers = signed(SCHEMES[name], SECRET, "msg_1", NOW, b"{}")
    for away in (-300, 0, 300):
        verify(SCHEMES[name], headers, b"{}", [SECRET], now=NOW + away)
    for away in (-301, 301, 10**9):
        assert reason(SCHEMES[name], headers, b"{}", now=NOW + away) is Reason.OLD_TIMESTAMP
    strict = Scheme(SCHEMES[name].kind, tolerance=5)
    assert reason(strict, headers, b"{}", now=NOW + 6) is Reason.OLD_TIMESTAMP


@pytest.mark.parametrize("name", ["standard", "stripe"])
def test_a_timestamp_that_was_moved_is_refused(name: str) -> None:
    old = signed(SCHEMES[name], SECRET, "msg_1", NOW - 3600, b"{}")
    moved = {header: value.replace(str(NOW - 3600), str(NOW)) for header, value in old.items()}
    assert moved != old
    assert reason(SCHEMES[name], moved, b"{}") is Reason.WRONG_SIGNATURE


@pytest.mark.parametrize("stamp", ["soon", "-1", "+1", "1.5", "1e9", "\u0661\u0667", "1_700", "9" * 13, "0x10", "1 2"])
def test_a_timestamp_that_is_no_number_is_malformed(stamp: str) -> None:
    headers = changed(sign([SECRET], "msg_1", NOW, b"{}"), "webhook-timestamp", stamp)
    assert reason(STANDARD, headers, b"{}") is Reason.MALFORMED_HEADER
    stripe = {"stripe-signature": f"t={stamp},v1={'0' * 64}"}
    assert reason(SCHEMES["stripe"], stripe, b"{}") is Reason.MALFORMED_HEADER


def test_one_of_several_signatures_is_enough() -> None:
    both = sign([OTHER, SECRET], "msg_1", NOW, b"{}")
    assert both["webhook-signature"].count("v1,") == 2
    assert verify(STANDARD, both, b"{}", [SECRET], now=NOW).secret == 0
    asymmetric = changed(both, "webhook-signature", "v1a,abc= " + both["webhook-signature"])
    assert verify(STANDARD, asymmetric, b"{}", [SECRET], now=NOW).secret == 0
    stripe = signed(SCHEMES["stripe"], SECRET, "", NOW, b"{}")["Stripe-Signature"]
    several = {"Stripe-Signature": stripe.replace("v1=", f"v1={'0' * 64},v1=")}
    assert verify(SCHEMES["stripe"], several, b"{}", [SECRET], now=NOW).secret == 0


def test_a_flood_of_signatures_is_not_looked_at() -> None:
    headers = sign([SECRET], "msg_1", NOW, b"{}")
    flood = changed(headers, "webhook-signature", "v1,AAAA " * 32 + headers["webhook-signature"])
    assert reason(STANDARD, flood, b"{}") is Reason.WRONG_SIGNATURE


@pytest.mark.parametrize(
    ("name", "header", "value"),
    [
        ("standard", "webhook-signature", "v1a,abcdef="),
        ("standard", "webhook-signature", "sha256=abcdef"),
        ("standard", "webhook-id", "two words"),
        ("standard", "webhook-id", "msg\u00e9"),
        ("standard", "webhook-id", "x" * 513),
        ("github", "X-Hub-Signature-256", "sha1=" + "0" * 40),
        ("github", "X-Hub-Signature-256", "sha256=" + "g" * 64),
        ("stripe", "Stripe-Signature", "v1=" + "0" * 64),
        ("stripe", "Stripe-Signature", f"t={NOW}"),
        ("stripe", "Stripe-Signature", f"t={NOW},t={NOW},v1={'0' * 64}"),
        ("hex", "X-Signature", "0" * 64),
        ("token", "Authorization", "Basic abc"),
    ],
)
def test_a_header_that_is_none_of_its_kind_is_malformed(name: str, header: str, value: str) -> None:
    headers = signed(SCHEMES[name], SECRET, "msg_1", NOW, b"{}")
    assert reason(SCHEMES[name], changed(headers, header, value), b"{}") is Reason.MALFORMED_HEADER


def test_a_signed_text_cannot_be_cut_elsewhere() -> None:
    body = f"{NOW}.pay".encode()
    headers = sign([SECRET], "msg_1", NOW - 200, body)
    moved = headers | {"webhook-id": f"msg_1.{NOW - 200}", "webhook-timestamp": str(NOW)}
    assert reason(STANDARD, moved, b"pay") is Reason.MALFORMED_HEADER


def test_base64_of_another_spelling_is_refused() -> None:
    headers = sign([SECRET], "msg_1", NOW, b"{}")
    digest = b64decode(headers["webhook-signature"][3:])
    spelled = "v1," + b64encode(digest).decode().rstrip("=")
    assert reason(STANDARD, changed(headers, "webhook-signature", spelled), b"{}") is Reason.WRONG_SIGNATURE


def test_signatures_of_plain_header_and_github_are_taken_in_upper_case() -> None:
    for name, header in (("github", "X-Hub-Signature-256"), ("hex", "X-Signature")):
        value = signed(SCHEMES[name], SECRET, "", NOW, b"{}")[header].upper().replace("SHA256=", "sha256=")
        assert verify(SCHEMES[name], {header: value}, b"{}", [SECRET], now=NOW).secret == 0
    plain = signed(SCHEMES["github"], SECRET, "", NOW, b"{}")["X-Hub-Signature-256"].removeprefix("sha256=")
    assert verify(SCHEMES["github"], {"X-Signature-256": plain}, b"{}", [SECRET], now=NOW).secret == 0


def test_a_second_header_of_another_name_does_not_stand_in_for_a_wrong_one() -> None:
    right = signed(SCHEMES["github"], SECRET, "", NOW, b"{}")["X-Hub-Signature-256"]
    wrong = {"X-Hub-Signature-256": "sha256=" + "0" * 64, "X-Signature-256": right}
    assert reason(SCHEMES["github"], wrong, b"{}") is Reason.WRONG_SIGNATURE


def test_a_token_with_letters_of_every_kind_is_compared() -> None:
    scheme = Scheme(Kind.HEADER, header="x-token", form=Form.TOKEN)
    on_the_wire = "schlüssel✓".encode().decode("latin-1")
    assert verify(scheme, {"x-token": on_the_wire}, b"", ["schlüssel✓"], now=0).secret == 0
    for wrong in ("schlussel", "schlüssel", "\u2713", "x"):
        assert reason(scheme, {"x-token": wrong}, b"", "schlüssel✓") is Reason.WRONG_SIGNATURE


def test_no_error_holds_a_secret_or_a_signature() -> None:
    secret = "whsec_" + b64encode(b"canary-canary-canary").decode()
    for name, scheme in SCHEMES.items():
        right = signed(scheme, secret, "msg_1", NOW, b"right")
        wrong = signed(scheme, OTHER, "msg_1", NOW, b"{}")
        with pytest.raises(SignatureError) as caught:
            verify(scheme, wrong, b"right", [secret], now=NOW)
        told = "".join(traceback.format_exception(caught.value)) + repr(vars(caught.value))
        hidden = [
            secret,
            "canary",
            *(part for value in right.values() for part in value.split("=", 1) if len(part) > 20),
        ]
        hidden += [value.rpartition("=")[2] for value in wrong.values() if len(value.rpartition("=")[2]) > 20]
        assert [text for text in hidden if text in told] == [], name


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_no base64", "whsec_%%%"])
def test_what_is_no_secret_is_refused_without_showing_it(secret: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        check_secret(Kind.STANDARD, secret)
    assert not secret.removeprefix("whsec_") or secret not in str(caught.value)


@pytest.mark.parametrize("id", ["", "a.b", "a b", "ä", "a\n", "x" * 513])
def test_what_cannot_stand_in_a_header_is_not_signed(id: str) -> None:
    with pytest.raises(ArgumentError):
        sign([SECRET], id, NOW, b"")
    with pytest.raises(ArgumentError):
        sign([], "msg_1", NOW, b"")


def test_a_scheme_that_makes_no_sense_is_refused() -> None:
    for wrong in (
        {"kind": Kind.HEADER},
        {"kind": Kind.GITHUB, "header": "x-other"},
        {"kind": Kind.HEADER, "header": "two words"},
        {"kind": Kind.HEADER, "header": "x:y"},
        {"kind": Kind.STANDARD, "tolerance": 0},
        {"kind": Kind.STANDARD, "tolerance": 1e9},
        {"kind": Kind.STANDARD, "tolerance": float("nan")},
    ):
        with pytest.raises(ArgumentError):
            Scheme(**wrong)  # type: ignore[arg-type]


@given(st.binary(max_size=200), st.binary(min_size=1, max_size=64), st.sampled_from(sorted(SIGNING)), st.data())
def test_no_other_body_passes_with_the_signature_of_one(
    body: bytes, key: bytes, name: str, data: st.DataObject
) -> None:
    secret = "whsec_" + b64encode(key).decode()
    headers = signed(SCHEMES[name], secret, "msg_1", NOW, body)
    verify(SCHEMES[name], headers, body, [secret], now=NOW)
    other = data.draw(st.binary(max_size=200).filter(lambda other: other != body))
    assert reason(SCHEMES[name], headers, other, secret) is Reason.WRONG_SIGNATURE


@given(st.dictionaries(st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature", "stripe-signature",
                                        "x-hub-signature-256", "x-signature", "authorization"]), st.text(max_size=80)),
       st.binary(max_size=50), st.sampled_from(sorted(SCHEMES)))  # fmt: skip
def test_whatever_arrives_is_refused_for_one_of_the_known_reasons(
    headers: dict[str, str], body: bytes, name: str
) -> None:
    assert reason(SCHEMES[name], headers, body) in set(Reason)
