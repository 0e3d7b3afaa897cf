"""The last calls of each source and where their events went. The interface of the live debugger.

Bounded three ways: 500 calls of a source, 5,000 calls and 64 MiB in all. It is gone at a restart; the queue and its
ledger are the record. It never makes a request wait: it is told after the answer is decided, and describes the calls
only when somebody looks; most are pushed out before.
"""

from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Final

import msgspec

from signalpost.history.entries import EVERYTHING, CallEntry, CallFilter, RequestFacts
from signalpost.history.refused_requests import RefusedKind, RefusedRequest, RefusedRequests
from signalpost.history.subscriptions import Subscription
from signalpost.model.delivery import QueuedEvent, State
from signalpost.model.ids import DatasetId, DestinationId, MessageId, SourceId

CALLS_PER_SOURCE: Final = 500
CALLS_IN_ALL: Final = 5_000
BYTES_IN_ALL: Final = 64 << 20
_MOST_UNREAD: Final = 1_000
"""Calls that wait to be described, so that one who looks need not wait for more than a few milliseconds."""
_MOST_UNREAD_ENDS: Final = 10_000
"""Settled events that wait to be found among the calls, in the same way."""

_COMING_IN_FLOODS: Final = frozenset({"rate_limited", "temporarily_unavailable"})


class UnreadCalls(msgspec.Struct, eq=False):
    """The calls of one request that nobody has looked at. bytes_held: what their entries will hold, roughly.

    describe: builds the entries of all but the first `skip` of them, in order.
    """

    source_id: SourceId
    count: int
    bytes_held: int
    describe: Callable[[int], Iterable[CallEntry]]
    first_number: int = 0


class _Ends(msgspec.Struct, gc=False):
    """Events that have reached a state, each as source, messageId, destination, dataset and event name."""

    events: list[tuple[SourceId, MessageId, DestinationId, DatasetId, str]]
    state: State
    detail: str


class History:
    """A ring of calls for each source, the requests that were refused, and who watches them. One event loop's own."""

    def __init__(self) -> None:
        self._rings: dict[SourceId, deque[CallEntry]] = {}
        self._by_number: OrderedDict[int, CallEntry] = OrderedDict()
        self._accepted: dict[tuple[SourceId, MessageId], CallEntry] = {}
        self._bytes_held = 0
        self._last_number = 0
        self._unread: OrderedDict[int, UnreadCalls] = OrderedDict()
        self._unread_of: dict[SourceId, deque[UnreadCalls]] = {}
        self._unread_calls: Counter[SourceId] = Counter()
        self._unread_bytes = 0
        self._unread_ends: list[_Ends] = []
        self._unread_ends_count = 0
        self._refused = RefusedRequests()
        self._subscriptions: set[Subscription] = set()

    def record_request(self, calls: UnreadCalls) -> None:
        """Add the calls of a request; the same as recording one entry after the other."""
        if not calls.count:
            return
        calls.first_number = self._last_number + 1
        self._last_number += calls.count
        waiting = self._unread_of.setdefault(calls.source_id, deque())
        waiting.append(calls)
        self._unread[calls.first_number] = calls
        self._unread_calls[calls.source_id] += calls.count
        self._unread_bytes += calls.bytes_held
        while self._unread_calls[calls.source_id] - waiting[0].count >= CALLS_PER_SOURCE:
            self._take_unread(waiting[0])
        is_much = self._unread_bytes + self._bytes_held > BYTES_IN_ALL or self._unread_calls.total() > _MOST_UNREAD
        if self._subscriptions or is_much:
            self._catch_up()

    def _catch_up(self) -> None:
        """Describe the calls that were only noted, then see where their events went."""
        while self.catch_up_a_little():
            pass

    def catch_up_a_little(self) -> bool:
        """Describe the calls of one request; False when none was left, and what has ended is known too.

        Whoever looks may call it again and again and let others go on between, so that the look itself is short.
        """
        if self._unread:
            self._describe(self._take_unread(next(iter(self._unread.values()))))
            return True
        unread_ends, self._unread_ends, self._unread_ends_count = self._unread_ends, [], 0
        for ends in unread_ends:
            self._follow(ends)
        return False

    def _take_unread(self, calls: UnreadCalls) -> UnreadCalls:
        """The oldest of their source are no longer unread."""
        del self._unread[calls.first_number]
        self._unread_of[calls.source_id].popleft()
        self._unread_calls[calls.source_id] -= calls.count
        self._unread_bytes -= calls.bytes_held
        return calls

    def _describe(self, calls: UnreadCalls) -> None:
        skip = max(0, calls.count - CALLS_PER_SOURCE)
        for number, entry in enumerate(calls.describe(skip), calls.first_number + skip):
            self._add(entry, number)

    def record(self, entry: CallEntry) -> None:
        """Add a call and give it its number; the oldest of its source, or of all, makes room."""
        self._catch_up()
        self._last_number += 1
        self._add(entry, self._last_number)

    def _add(self, entry: CallEntry, number: int) -> None:
        entry.number = number
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
        ended = [(e.source_id, e.message_id, e.destination_id, e.dataset_id, e.event_name) for e in events]
        self._unread_ends.append(_Ends(ended, state, detail))
        self._unread_ends_count += len(ended)
        if self._subscriptions or self._unread_ends_count > _MOST_UNREAD_ENDS:
            self._catch_up()

    def discarded(self, destination_id: DestinationId, received_before: datetime, detail: str) -> None:
        """Somebody gave up what waited for a destination; what a worker still holds is settled later."""
        self._catch_up()
        for entry in self._by_number.values():
            if entry.received_at >= received_before:
                continue
            given_up = [e for e in entry.events if (e.destination_id, e.state) == (destination_id, "pending")]
            for event in given_up:
                event.state, event.detail = "rejected", detail
            if given_up:
                for subscription in self._subscriptions:
                    subscription.offer(entry)

    def _follow(self, ends: "_Ends") -> None:
        for source_id, message_id, destination_id, dataset_id, event_name in ends.events:
            entry = self._accepted.get((source_id, message_id))
            if entry is None:
                continue
            for known in entry.events:
                if (known.destination_id, known.event_name) == (destination_id, event_name) and (
                    known.dataset_id in {None, dataset_id}
                ):
                    known.state, known.detail = ends.state, ends.detail
            for subscription in self._subscriptions:
                subscription.offer(entry)

    def find_call(self, source_id: SourceId, message_id: MessageId) -> CallEntry | None:
        """The entry of an accepted call that is still remembered."""
        self._catch_up()
        return self._accepted.get((source_id, message_id))

    def find_entry(self, number: int) -> CallEntry | None:
        """The entry of this number, if it is still remembered."""
        self._catch_up()
        return self._by_number.get(number)

    def recent(
        self, source_id: SourceId | None = None, wanted: CallFilter = EVERYTHING, *, after: int = 0
    ) -> Sequence[CallEntry]:
        """The remembered calls of one source, or of all, oldest first.

        after: the number of the last entry that is already known, so that who paused can catch up.
        """
        self._catch_up()
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
