"""Who may do what: roles, scopes, tokens. Pure.

A role says what may be done, a scope to what. `viewer` may look, `operator` may change what runs, `admin` may do
everything: let others in, too. Scopes are patterns of workflows' (and tasks') names and of queues, in which `*` stands
for anything; who has one sees and changes only what fits one of them, and nothing that belongs to all.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

from pgflow.errors import ArgumentError

TOKEN_PREFIX = "pgf_"
SHOWN = 8
"""How many characters of a token are kept to know it by."""
_TOKEN = re.compile(r"pgf_[A-Za-z0-9_-]{43}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@+-]{0,99}")
_SCOPE = re.compile(r"(workflow|queue):[A-Za-z0-9_.:*-]{1,200}")
MOST_SCOPES = 50


class Role(IntEnum):
    """What somebody may do; a higher one may do all that a lower one may."""

    VIEWER = 1
    OPERATOR = 2
    ADMIN = 3

    @property
    def word(self) -> str:
        """As it is written."""
        return self.name.lower()

    @classmethod
    def of(cls, word: str) -> Role:
        """The role of that name, or an ArgumentError."""
        try:
            return cls[word.upper()]
        except KeyError:
            raise ArgumentError(f"no role {word!r}", hint="one of: viewer, operator, admin") from None


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who was let in.

    Args:
        kind: `token` or `user`.
        id: of the token or the user.
        name: what they are called.
        role: what they may do.
        scopes: to what; None: to everything.
    """

    kind: str
    id: int
    name: str
    role: Role
    scopes: tuple[str, ...] | None = None

    @property
    def actor(self) -> str:
        """As history and audit name them."""
        return f"{self.kind}:{self.name}"

    def reaches(self, *, workflow: str | None = None, queue: str | None = None) -> bool:
        """Whether what has this name or this queue is theirs to see."""
        return self.scopes is None or any(
            (kind == "workflow" and workflow is not None and _pattern(pattern).fullmatch(workflow) is not None)
            or (kind == "queue" and queue is not None and _pattern(pattern).fullmatch(queue) is not None)
            for kind, _, pattern in (scope.partition(":") for scope in self.scopes)
        )

    def likes(self, kind: str) -> list[str] | None:
        """The patterns of `workflow` or `queue` as LIKE reads them; None: everything."""
        if self.scopes is None:
            return None
        return [_like(scope.partition(":")[2]) for scope in self.scopes if scope.startswith(f"{kind}:")]


@lru_cache(maxsize=1024)
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, text.split("*"))), re.DOTALL)


def _like(pattern: str) -> str:
    return re.sub(r"([\\%_])", r"\\\1", pattern).replace("*", "%")


def new_token() -> str:
    """A token: 256 bits."""
    return TOKEN_PREFIX + secrets.token_urlsafe(32)


def is_token(text: str) -> bool:
    """Whether it looks like one."""
    return _TOKEN.fullmatch(text) is not None


def digest(secret: str) -> bytes:
    """What is stored of a token or a session. They are random, so that a plain hash cannot be searched for."""
    return hashlib.sha256(secret.encode()).digest()


def check_name(name: str, of: str) -> str:
    """The name of a token or a user, or an ArgumentError."""
    if not _NAME.fullmatch(name):
        raise ArgumentError(f"{name!r} is no name for a {of}", hint="letters, digits and _ . @ + -, at most 100")
    return name


def check_scopes(scopes: Sequence[str] | None) -> list[str] | None:
    """The scopes, or an ArgumentError. None: everything."""
    if scopes is None:
        return None
    if not 0 < len(scopes) <= MOST_SCOPES:
        raise ArgumentError(f"{len(scopes)} scopes are not from 1 to {MOST_SCOPES}")
    for scope in scopes:
        if not _SCOPE.fullmatch(scope):
            raise ArgumentError(f"{scope!r} is no scope", hint="as in workflow:orders.* or queue:mail")
    return list(dict.fromkeys(scopes))
