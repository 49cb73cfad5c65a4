"""Sealing: texts that only who has a key can read, and that cannot be put in each other's place.

AES-256-GCM. What is sealed is bound to where it belongs (a schema and a name) as associated data: copied to another
name, or to another engine, it does not open. A seal is one byte of format, a random nonce of 12 bytes, and the
ciphertext with its tag. With random nonces a key is good for some 2^32 seals, far more than secrets are ever set.

Keys are 32 random bytes each, in base64. The first of a keyring seals; all of it open, each what it has sealed, which
is told by its `key_id`: the beginning of a hash of the key, which gives nothing of it away. So a key is replaced by
putting a new one before it, sealing everything again (`pgflow secret rotate`), and taking the old one out.
"""

from __future__ import annotations

import hashlib
import os
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from pgflow.errors import ConfigError, SealBroken

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
_NONCE_BYTES = 12
_FORMAT = b"\x01"


class Sealed(NamedTuple):
    """A sealed text, and which key opens it."""

    data: bytes
    key_id: str


def new_key() -> str:
    """A new random key, in base64."""
    return b64encode(os.urandom(KEY_BYTES)).decode()


def read_key(text: str, where: str = "a key") -> bytes:
    """The key that a text says, in base64 of either alphabet.

    Raises:
        ConfigError: it says none. The error does not show it.
    """
    try:
        key = b64decode(text.strip().replace("-", "+").replace("_", "/"), validate=True)
    except (NotBase64, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise ConfigError(
            f"{where} for secrets is not {KEY_BYTES} bytes in base64", hint="make one with `pgflow secret key`"
        )
    return key


def key_id(key: bytes) -> str:
    """What a key is known by: 12 hexadecimal digits of its hash."""
    return hashlib.sha256(b"pgflow secret key\0" + key).hexdigest()[:12]


class Keyring:
    """The keys at hand.

    Args:
        keys: in base64, the newest first.

    Raises:
        ConfigError: one of them is no key.

    Example:
        >>> ring = Keyring([new_key()])
        >>> ring.open(ring.seal("hunter22", "pgflow", "API_TOKEN"), "pgflow", "API_TOKEN")
        'hunter22'
    """

    def __init__(self, keys: Iterable[str]) -> None:
        read = [read_key(text, f"key {number}") for number, text in enumerate(keys, 1)]
        self._keys = {key_id(key): key for key in read}
        self.newest: str | None = next(iter(self._keys), None)
        """The id of the key that seals."""

    def __contains__(self, id: str) -> bool:
        return id in self._keys

    def seal(self, text: str, schema: str, name: str) -> Sealed:
        """Seal a text for where it belongs.

        Raises:
            ConfigError: there is no key.
        """
        newest, nonce = self.require_newest(), os.urandom(_NONCE_BYTES)
        ciphertext = _cipher(self._keys[newest]).encrypt(nonce, text.encode(), _place(schema, name))
        return Sealed(_FORMAT + nonce + ciphertext, newest)

    def require_newest(self) -> str:
        """The id of the key that seals, or a ConfigError."""
        if self.newest is None:
            raise ConfigError(
                "there is no key to seal secrets with",
                hint="make one with `pgflow secret key`, and give it to workers and to this command as "
                "PGFLOW_SECRET_KEYS or in a PGFLOW_SECRET_KEYS_FILE",
            )
        return self.newest

    def open(self, sealed: Sealed, schema: str, name: str) -> str:
        """The text that was sealed for this place.

        Raises:
            SealBroken: there is no such key here, it was sealed for another place, or it was changed.
        """
        from cryptography.exceptions import InvalidTag

        key = self._keys.get(sealed.key_id)
        if key is None:
            raise SealBroken(
                f"the secret {name} is sealed with the key {sealed.key_id}, which is not at hand",
                hint="add it to PGFLOW_SECRET_KEYS, after the newest; or set the secret anew with "
                f"`pgflow secret set {name}`",
            )
        nonce, ciphertext = sealed.data[1 : 1 + _NONCE_BYTES], sealed.data[1 + _NONCE_BYTES :]
        try:
            if sealed.data[:1] != _FORMAT or len(nonce) != _NONCE_BYTES:
                raise InvalidTag
            return _cipher(key).decrypt(nonce, ciphertext, _place(schema, name)).decode()
        except InvalidTag:
            raise SealBroken(
                f"the seal of the secret {name} is broken: what is stored was not sealed for it, or was changed",
                hint=f"find out who wrote to the table {schema}.secret; then `pgflow secret set {name}`",
            ) from None


def _cipher(key: bytes) -> AESGCM:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key)


def _place(schema: str, name: str) -> bytes:
    return b"\0".join((b"pgflow secret", schema.encode(), name.encode()))
