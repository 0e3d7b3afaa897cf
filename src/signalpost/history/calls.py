"""The last calls of each source and where their events went. The interface of the live debugger.

Bounded three ways: 500 calls of a source, 5,000 calls and 64 MiB in all. It is gone at a restart; the queue and its
ledger are the record. It never makes a request wait: it is told after the answer is decided.
"""

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from signalpost.history.entries import EVERYTHING, CallEntry, CallFilter, RequestFacts
from signalpost.history.refused_requests import RefusedKind, RefusedRequest, RefusedRequests
from signalpost.history.subscriptions import Subscription
from signalpost.model.delivery import QueuedEvent, State
from signalpost.model.ids import MessageId, SourceId

CALLS_PER_SOURCE: Final = 500
CALLS_IN_ALL: Final = 5_000
BYTES_IN_ALL: Final = 64 << 20
_COMING_IN_FLOODS: Final = frozenset({"rate_limited", "temporarily_unavailable"})


class History:
    """A ring of calls for each source, the requests that were refused, and who watches them. One event loop's own."""

    def __init__(self) -> None:
        self._rings: dict[SourceId, deque[CallEntry]] = {}
        self._by_number: OrderedDict[int, CallEntry] = OrderedDict()
        self._accepted: dict[tuple[SourceId, MessageId], CallEntry] = {}
        self._bytes_held = 0
        self._last_number = 0
        self._refused = RefusedRequests()
        self._subscriptions: set[Subscription] = set()

    def record(self, entry: CallEntry) -> None:
        """Add a call and give it its number; the oldest of its source, or of all, makes room."""
        self._last_number += 1
        entry.number = self._last_number
        ring = self._rings.get(entry.source_id)
        if ring is None:
            ring = self._rings[entry.source_id] = deque()
        ring.append(entry)
        self._by_number[entry.number] = entry
        self._bytes_held += entry.bytes_held
        if entry.verdict == "accepted" and entry.message_id is not None:
            self._accepted[entry.source_id, entry.message_id] = entry
        if len(ring) > CALLS_PER_SOURCE:
            self._forget(ring[0])
        while len(self._by_number) > CALLS_IN_ALL or self._bytes_held > BYTES_IN_ALL:
            self._forget(next(iter(self._by_number.values())))
        for subscription in self._subscriptions:
            subscription.offer(entry)

    def _forget(self, entry: CallEntry) -> None:
        """The oldest entry of its source; the oldest of all is that, too."""
        self._rings[entry.source_id].popleft()
        if not self._rings[entry.source_id]:
            del self._rings[entry.source_id]
        del self._by_number[entry.number]
        self._bytes_held -= entry.bytes_held
        if entry.message_id is not None:
            key = entry.source_id, entry.message_id
            if self._accepted.get(key) is entry:
                del self._accepted[key]

    def refuse(self, request: RequestFacts, code: str, message: str, source_id: SourceId | None, key: str = "") -> None:
        """Count a request that was refused as a whole. `key`: the wrong write key, of which 4 characters are kept."""
        kind = RefusedKind(request.status, code, request.path, source_id, key[-4:], request.client_network)
        row = self._refused.count(kind, request.received_at, message, request.user_agent)
        if source_id is None:
            for subscription in self._subscriptions:
                subscription.offer_refusal(row)
        elif code not in _COMING_IN_FLOODS:  # those would push out the calls
            self.record(CallEntry(source_id, request.received_at, None, "", "", "request_fault", code, request=request))

    def settled(self, events: Iterable[QueuedEvent], state: State, detail: str) -> None:
        """Events have reached a state; calls that are forgotten are ignored."""
        for event in events:
            entry = self._accepted.get((event.source_id, event.message_id))
            if entry is None:
                continue
            for known in entry.events:
                if (known.destination_id, known.event_name) == (event.destination_id, event.event_name) and (
                    known.dataset_id in {None, event.dataset_id}
                ):
                    known.state, known.detail = state, detail
            for subscription in self._subscriptions:
                subscription.offer(entry)

    def find_call(self, source_id: SourceId, message_id: MessageId) -> CallEntry | None:
        """The entry of an accepted call that is still remembered."""
        return self._accepted.get((source_id, message_id))

    def find_entry(self, number: int) -> CallEntry | None:
        """The entry of this number, if it is still remembered."""
        return self._by_number.get(number)

    def recent(
        self, source_id: SourceId | None = None, wanted: CallFilter = EVERYTHING, *, after: int = 0
    ) -> Sequence[CallEntry]:
        """The remembered calls of one source, or of all, oldest first.

        after: the number of the last entry that is already known, so that who paused can catch up.
        """
        entries = self._by_number.values() if source_id is None else self._rings.get(source_id, ())
        return tuple(entry for entry in entries if entry.number > after and wanted.admits(entry))

    def refused_requests(self, source_id: SourceId | None = None) -> Sequence[RefusedRequest]:
        """The kinds of requests that were refused as a whole, the latest first.

        source_id: leaves out those of other sources; requests without a known source always stay.
        """
        return self._refused.recent(source_id)

    @contextmanager
    def subscribe(self, wanted: CallFilter = EVERYTHING) -> Iterator[Subscription]:
        """Watch while entered: `with history.subscribe() as feed: async for item in feed: ...`."""
        subscription = Subscription(wanted)
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)

    def close(self) -> None:
        """End every feed, so that whoever reads one does not hold up the stop."""
        for subscription in self._subscriptions:
            subscription.close()
