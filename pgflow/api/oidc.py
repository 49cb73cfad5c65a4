"""Signing in elsewhere: OpenID Connect, the authorization code flow with PKCE.

Who somebody is there is believed only as far as the provider has signed it: the ID token's signature, issuer, audience,
time and nonce are checked, and with which attempt of this very browser the answer belongs together (state). Users are
made beforehand, by name, without a password; whoever first signs in under that name is that user from then on, by the
provider's own id for them, whatever they are called later.
"""

from __future__ import annotations

import base64
import secrets
import time
from typing import Any, NamedTuple

import httpx
import orjson
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from pgflow.api.problems import ProblemError
from pgflow.config import Settings
from pgflow.errors import ConfigError

COOKIE = "pgflow_signin"
SECONDS = 600
KEPT_SECONDS = 3600.0
TIMEOUT = 10.0
PATH = "/api/v1/session/oidc"
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA"]
"""No shared secrets, and never `none`."""


class Attempt(NamedTuple):
    """One try to sign in, which the browser keeps until it comes back."""

    state: str
    nonce: str
    verifier: str

    def cookie(self, *, secure: bool) -> str:
        """For the browser. Lax, because the provider sends it back here."""
        value = base64.urlsafe_b64encode(orjson.dumps(self._asdict())).decode()
        return f"{COOKIE}={value}; Path={PATH}; Max-Age={SECONDS}; HttpOnly; SameSite=Lax{'; Secure' if secure else ''}"

    @classmethod
    def read(cls, value: str | None) -> Attempt:
        """The attempt that a browser has kept."""
        try:
            found = orjson.loads(base64.urlsafe_b64decode(value or ""))
            return cls(str(found["state"]), str(found["nonce"]), str(found["verifier"]))
        except (ValueError, KeyError, TypeError):
            raise _refused("there is no attempt to sign in under way", "begin again") from None


class Somebody(NamedTuple):
    """Who signed in, as the provider says.

    Args:
        subject: issuer and id there, which stay.
        name: what they are called there; None: the provider does not vouch for it.
    """

    subject: str
    name: str | None


class Provider:
    """The provider that the settings name.

    Args:
        settings: `oidc_*` and `public_url`.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._metadata: tuple[float, dict[str, Any]] | None = None
        self._keys: tuple[float, KeySet] | None = None
        if settings.oidc_issuer and not (settings.oidc_client_id and settings.public_url):
            raise ConfigError("PGFLOW_OIDC_ISSUER needs PGFLOW_OIDC_CLIENT_ID and PGFLOW_PUBLIC_URL beside it")

    @property
    def configured(self) -> bool:
        """Whether there is one."""
        return bool(self._settings.oidc_issuer)

    async def begin(self) -> tuple[str, Attempt]:
        """Where to send the browser, and what it is to keep."""
        metadata = await self._discover()
        attempt = Attempt(secrets.token_urlsafe(24), secrets.token_urlsafe(24), secrets.token_urlsafe(48))
        async with self._client() as client:
            url, _ = client.create_authorization_url(
                metadata["authorization_endpoint"], state=attempt.state, code_verifier=attempt.verifier,
                nonce=attempt.nonce,
            )  # fmt: skip
        return str(url), attempt

    async def end(self, code: str, state: str, attempt: Attempt) -> Somebody:
        """Who came back with this code."""
        if not secrets.compare_digest(state.encode(), attempt.state.encode()):
            raise _refused("the answer belongs to another attempt to sign in", "begin again")
        metadata = await self._discover()
        try:
            async with self._client() as client:
                answer = await client.fetch_token(
                    metadata["token_endpoint"], code=code, code_verifier=attempt.verifier,
                    grant_type="authorization_code",
                )  # fmt: skip
        except AuthlibBaseError:
            raise _refused("the provider does not take the code", "begin again") from None
        except (httpx.HTTPError, ValueError):
            raise _silent() from None
        return await self._checked(str(answer.get("id_token", "")), attempt, metadata)

    def _client(self) -> AsyncOAuth2Client:
        return AsyncOAuth2Client(
            self._settings.oidc_client_id, self._settings.oidc_client_secret, scope="openid email profile",
            redirect_uri=f"{str(self._settings.public_url).rstrip('/')}{PATH}/callback", code_challenge_method="S256",
            timeout=TIMEOUT, follow_redirects=False, trust_env=False,
        )  # fmt: skip

    async def _checked(self, text: str, attempt: Attempt, metadata: dict[str, Any]) -> Somebody:
        try:
            try:
                token = jwt.decode(text, await self._key_set(metadata), algorithms=ALGORITHMS)
            except (JoseError, ValueError):  # its keys may have changed
                token = jwt.decode(text, await self._key_set(metadata, anew=True), algorithms=ALGORITHMS)
            registry = jwt.JWTClaimsRegistry(
                leeway=60, iss={"essential": True, "value": metadata["issuer"]}, sub={"essential": True},
                aud={"essential": True, "value": str(self._settings.oidc_client_id)}, exp={"essential": True},
                nonce={"essential": True, "value": attempt.nonce},
            )  # fmt: skip
            registry.validate(token.claims)
        except (JoseError, ValueError):
            raise _refused("what the provider says is not signed as it has to be", "begin again") from None
        claims = token.claims
        name = claims.get(self._settings.oidc_claim)
        if self._settings.oidc_claim == "email" and claims.get("email_verified") is not True:
            name = None
        return Somebody(f"{claims['iss']}|{claims['sub']}", name if isinstance(name, str) else None)

    async def _discover(self) -> dict[str, Any]:
        issuer = str(self._settings.oidc_issuer).rstrip("/")
        if self._metadata is None or time.monotonic() > self._metadata[0]:
            found = await _get(f"{issuer}/.well-known/openid-configuration")
            if not isinstance(found, dict) or str(found.get("issuer", "")).rstrip("/") != issuer:
                raise _silent()
            self._metadata = (time.monotonic() + KEPT_SECONDS, found)
        return self._metadata[1]

    async def _key_set(self, metadata: dict[str, Any], *, anew: bool = False) -> KeySet:
        if anew or self._keys is None or time.monotonic() > self._keys[0]:
            found = KeySet.import_key_set(await _get(metadata["jwks_uri"]))
            self._keys = (time.monotonic() + KEPT_SECONDS, found)
        return self._keys[1]


async def _get(url: str) -> Any:
    try:
        async with httpx.AsyncClient(timeout=TIMEOUT, follow_redirects=False, trust_env=False) as client:
            return (await client.get(url)).raise_for_status().json()
    except (httpx.HTTPError, ValueError):
        raise _silent() from None


def _refused(detail: str, hint: str) -> ProblemError:
    return ProblemError("unauthenticated", detail, hint=hint)


def _silent() -> ProblemError:
    return ProblemError("unavailable", "the sign-in provider does not answer as it has to")
