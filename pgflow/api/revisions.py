"""ETags, and what is asked for or done on condition of them.

An ETag begins with the revision, of what has one, and ends with a digest of the answer, of what changes without being
given another revision: a schedule fires, a trigger is paused. `If-None-Match` looks at all of it: what the asker has is
good only while the answer is the same. `If-Match` looks at the revision alone: that a schedule fired meanwhile is no
reason to refuse a change of its timetable.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from pgflow.api.problems import ProblemError

if TYPE_CHECKING:
    from pgflow.api.asked import Asked

IF_MATCH = {"If-Match": "An ETag: only if it has not changed since."}
IF_NONE_MATCH = {"If-None-Match": "`*`: only if there is none yet."}
ON_CONDITION = {"If-None-Match": "ETags of what is known: 304 if it is one of them still. `*`: whichever."}
_DIGEST = 16
_LIST = re.compile(r'[ \t,]*(?:(?:W/)?"[^"]*"[ \t]*(?:,[ \t,]*|$))+')
_TAG = re.compile(r'(?:W/)?("[^"]*")')


def etag(id: int | None, revision: int) -> str:
    """What one made anew under the name of a removed one has is another than that had."""
    return f'"{id}-{revision}"'


def completed(tag: str | None, content: bytes) -> str:
    """The ETag of an answer with this content.

    Args:
        tag: what is known of its revision; None: it has none.
        content: the answer.
    """
    digest = hashlib.sha256(content).hexdigest()[:_DIGEST]
    return f'"{digest}"' if tag is None else f'"{tag.strip(chr(34))}.{digest}"'


def revision(tag: str) -> str:
    """The part of an ETag that a change is done on condition of."""
    return tag if tag.startswith("W/") else tag.strip('"').partition(".")[0]


def is_known(asked_for: str | None, tag: str) -> bool:
    """Whether who asks has this already, as `If-None-Match` says; compared weakly.

    Args:
        asked_for: the header; what is no list of ETags counts as none.
        tag: the answer's.
    """
    if asked_for is None:
        return False
    if asked_for.strip() == "*":
        return True
    return _LIST.fullmatch(asked_for) is not None and tag.removeprefix("W/") in _TAG.findall(asked_for)


def check(asked: Asked, current: str | None) -> None:
    """Raise `precondition_failed` unless what the request says of the version holds.

    Args:
        asked: the request.
        current: the ETag as it is now; None: there is no such thing.
    """
    wanted = asked.req.get_header("If-Match")
    if wanted is not None:
        tags = [one.strip() for one in wanted.split(",")]
        if current is None or ("*" not in tags and revision(current) not in map(revision, tags)):
            now = "it is not there" if current is None else f"it is {current} now"
            raise ProblemError("precondition_failed", f"it is not as you have seen it: {now}", hint="read it anew")
    if current is not None and (asked.req.get_header("If-None-Match") or "").strip() == "*":
        raise ProblemError("precondition_failed", "there is one already")
