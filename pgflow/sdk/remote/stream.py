"""Server-sent events, read line by line; and where to go on when the connection is lost.

The cursor of the last event travels with the next connection as `Last-Event-ID`, so nothing is missed and nothing comes
twice. It moves on also with what did not fit the filter, of which only the place is told.
"""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from pgflow.engine.events import Cursor, Event
from pgflow.sdk.remote.exchange import FIRST_REST, LONGEST_REST, UNSETTLED, Answer, Lost
from pgflow.sdk.remote.problems import raised
from pgflow.sdk.remote.rows import event


class Following:
    """How far somebody is who follows what happens.

    Args:
        run: only this run.
        types: only these types.
        workflows: only runs of these.
        after: from this cursor on; from now on unless given.
    """

    def __init__(
        self, run: int | None, types: Sequence[str] | None, workflows: Sequence[str] | None, after: Cursor | str | None
    ) -> None:  # fmt: skip
        self.params = [] if run is None else [("run", str(run))]
        self.params += [("type", one) for one in types or ()]
        self.params += [("workflow", one) for one in workflows or ()]
        self._place = None if after is None else str(after)
        self._data: list[str] = []
        self._id: str | None = None
        self._kind = ""
        self._rest = FIRST_REST

    @property
    def headers(self) -> dict[str, str]:
        """What a connection is made with."""
        known = {} if self._place is None else {"Last-Event-ID": self._place}
        return {"Accept": "text/event-stream", "Cache-Control": "no-cache"} | known

    def line(self, text: str) -> Event | None:
        """Read a line; an event when it ends one."""
        if text:
            name, _, value = text.partition(":")
            value = value.removeprefix(" ")
            if name == "data":
                self._data.append(value)
            elif name == "id":
                self._id = value
            elif name == "event":
                self._kind = value
            return None
        data, id, kind = "\n".join(self._data), self._id, self._kind
        self._data, self._id, self._kind = [], None, ""
        if id is not None:
            self._place = id
        self._rest = FIRST_REST
        return event(orjson.loads(data)) if data and not kind else None

    def lost(self, why: Lost | Answer | None) -> float:
        """The connection ended; after so many seconds the next may be tried.

        Raises:
            PgflowError: there is no use in trying again.
        """
        self._data, self._id, self._kind = [], None, ""
        if isinstance(why, Answer) and why.status not in UNSETTLED:
            raise raised(why.status, why.content, None)
        rest, self._rest = self._rest, min(LONGEST_REST, self._rest * 2)
        return rest
