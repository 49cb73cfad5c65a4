"""Passwords: what is stored of them is an argon2 hash, which takes a while to compute and much memory."""

from __future__ import annotations

import asyncio
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from pgflow.errors import ArgumentError

SHORTEST, LONGEST = 10, 256
_hasher = PasswordHasher()
_turns: asyncio.Semaphore | None = None


def check_password(password: str) -> str:
    """The password, or an ArgumentError."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise ArgumentError(f"a password has from {SHORTEST} to {LONGEST} characters")
    return password


def hash_password(password: str) -> str:
    """What is stored of a password."""
    return _hasher.hash(check_password(password))


@cache
def _nobodys() -> str:
    return _hasher.hash("the password of nobody")


def fits(stored: str | None, password: str) -> bool:
    """Whether this is the password. It takes as long when there is none to compare with."""
    try:
        _hasher.verify(stored or _nobodys(), password)
    except (VerifyMismatchError, VerificationError, InvalidHashError):
        return False
    return stored is not None


async def fits_soon(stored: str | None, password: str) -> bool:
    """The same beside the loop, two at a time: each takes 64 MiB."""
    global _turns  # noqa: PLW0603 (a semaphore belongs to the loop that first waits for it)
    _turns = _turns or asyncio.Semaphore(2)
    async with _turns:
        return await asyncio.to_thread(fits, stored, password)
