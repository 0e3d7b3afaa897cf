"""Requests refused at the door: what answers "everything is configured, but nothing arrives".

Like refusals share a row with a count, so that a flood of one kind can't push out the others. In memory only.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from signalpost.model.ids import SourceId

ROWS: Final = 200


@dataclass(frozen=True, slots=True)
class RefusedKind:
    """What makes two refusals alike.

    path: the tracking path, or "" for one that does not exist. source_id: None when no source is known.
    key_ending: the last 4 characters of a wrong write key, else "". client_network: the address cut to /24 or /48.
    """

    status: int
    code: str
    path: str
    source_id: SourceId | None
    key_ending: str
    client_network: str


@dataclass(slots=True)
class RefusedRequest:
    """One kind of refusal: how often and when, and what was said to the latest client."""

    kind: RefusedKind
    first_at: datetime
    last_at: datetime
    message: str
    user_agent: str
    count: int = 1


class RefusedRequests:
    """At most 200 kinds; the one not seen for longest makes room."""

    def __init__(self) -> None:
        self._rows: OrderedDict[RefusedKind, RefusedRequest] = OrderedDict()

    def count(self, kind: RefusedKind, now: datetime, message: str, user_agent: str) -> RefusedRequest:
        """Enter one refusal and return its row."""
        row = self._rows.get(kind)
        if row is None:
            row = self._rows[kind] = RefusedRequest(kind, now, now, message, user_agent)
            if len(self._rows) > ROWS:
                self._rows.popitem(last=False)
        else:
            row.count += 1
            row.last_at, row.message, row.user_agent = now, message, user_agent
            self._rows.move_to_end(kind)
        return row

    def recent(self, source_id: SourceId | None = None) -> Sequence[RefusedRequest]:
        """The latest first; those of one source with those that named no source at all."""
        rows = reversed(self._rows.values())
        return [row for row in rows if source_id is None or row.kind.source_id in {None, source_id}]
