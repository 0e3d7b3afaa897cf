"""Events that were put a moment ago, so that the lease which takes them need not read them back from the file.

Only a short cut: the file says what is due, and what is not here any more is read from there. An event that has waited
or was tried once is never taken from here, since the file knows more of it. Of a destination that is so far behind that
its leases read the file anyway, nothing is held until they have nearly caught up.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from signalpost.model.delivery import AcceptedCall, NewEvent, QueuedEvent
from signalpost.model.ids import DestinationId

_MOST_EVENTS: Final = 4_000
_MOST_BYTES: Final = 8 << 20
_NEARLY_CAUGHT_UP: Final = _MOST_EVENTS // 2


class FreshEvents:
    """The latest events by id, the oldest making room. One event loop's own."""

    def __init__(self) -> None:
        self._events: dict[int, tuple[AcceptedCall, NewEvent]] = {}
        self._bytes = 0
        self._behind: set[DestinationId] = set()
        self._next_id = 0

    def add(self, first_id: int, calls: Iterable[AcceptedCall]) -> None:
        """Note the events of calls that became durable under consecutive ids."""
        id_ = first_id
        for call in calls:
            for event in call.events:
                if event.destination_id not in self._behind:
                    self._events[id_] = call, event
                    self._bytes += len(event.payload)
                id_ += 1
        self._next_id = id_
        while len(self._events) > _MOST_EVENTS or self._bytes > _MOST_BYTES:
            oldest = next(iter(self._events))
            self._behind.add(self._events[oldest][1].destination_id)
            self._forget(oldest)

    def forget(self, ids: Iterable[int]) -> None:
        """From now on only the file knows these."""
        for id_ in ids:
            if id_ in self._events:
                self._forget(id_)

    def _forget(self, id_: int) -> None:
        _, event = self._events.pop(id_)
        self._bytes -= len(event.payload)

    def read(
        self, destination_id: DestinationId, ids: Sequence[int], max_bytes: int, lease: int
    ) -> list[QueuedEvent] | None:
        """As `read_events` reads them from the file; None when one of them is not here."""
        if self._next_id - ids[-1] < _NEARLY_CAUGHT_UP:
            self._behind.discard(destination_id)
        found: list[QueuedEvent] = []
        size = 0
        for id_ in ids:
            known = self._events.get(id_)
            if known is None:
                return None
            call, event = known
            size += len(event.payload)
            if size > max_bytes and found:
                break
            found.append(_build_queued_event(id_, call, event, lease))
        return found


def _build_queued_event(id_: int, call: AcceptedCall, event: NewEvent, lease: int) -> QueuedEvent:
    return QueuedEvent(
        id_,
        call.source_id,
        call.message_id,
        event.destination_id,
        event.dataset_id,
        event.event_name,
        event.event_id,
        event.event_time,
        event.expires_at,
        call.received_at,
        0,
        event.payload,
        "",
        lease,
    )
