"""ETags of what has revisions, and `If-Match`: a change is done only to what the asker has seen."""

from __future__ import annotations

from pgflow.api.asked import Asked
from pgflow.api.problems import ProblemError

IF_MATCH = {"If-Match": "An ETag: only if it has not changed since."}
IF_NONE_MATCH = {"If-None-Match": "`*`: only if there is none yet."}


def etag(id: int | None, revision: int) -> str:
    """What one made anew under the name of a removed one has is another than that had."""
    return f'"{id}-{revision}"'


def check(asked: Asked, current: str | None) -> None:
    """Raise `precondition_failed` unless what the request says of the version holds.

    Args:
        asked: the request.
        current: the ETag as it is now; None: there is no such thing.
    """
    wanted = asked.req.get_header("If-Match")
    if wanted is not None:
        tags = [one.strip() for one in wanted.split(",")]
        if current is None or ("*" not in tags and current not in tags):
            now = "it is not there" if current is None else f"it is {current} now"
            raise ProblemError("precondition_failed", f"it is not as you have seen it: {now}", hint="read it anew")
    if current is not None and (asked.req.get_header("If-None-Match") or "").strip() == "*":
        raise ProblemError("precondition_failed", "there is one already")
