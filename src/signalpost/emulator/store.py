"""What the emulator remembers: the last bodies, the last requests, and the ledger of everything.

A request is stored all or nothing. Faults never change a stored event.
"""

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence

import msgspec

from signalpost.emulator.decode import Event
from signalpost.emulator.ledger import Ledger, read_event_id
from signalpost.emulator.rules.findings import Findings


class StoredEvent(msgspec.Struct, frozen=True):
    """One accepted event. `body` is the event as it was decoded; instants are seconds of the emulator's clock."""

    seq: int
    received_at: float
    dataset_id: str
    event_name: str
    event_id: str | None
    is_repeat: bool
    notes: Findings
    test_event_code: str | None
    request_seq: int
    body: Event


class LoggedRequest(msgspec.Struct):
    """One call of the events edge, as it came and as it was answered. `status` 0: no answer was sent."""

    seq: int
    received_at: float
    method: str
    path: str
    size_bytes: int
    event_count: int = 0
    body_crc32: str = ""
    dataset_id: str = ""
    token_last4: str = ""
    token_place: str = "none"  # noqa: S105 - the name of a place
    test_event_code: str | None = None
    status: int = 0
    answer: str = ""
    rule: str = ""
    confidence: str = ""
    fault: str | None = None
    fbtrace_id: str = ""


class EventStore:
    """The emulator's memory; at most `keep` bodies and as many requests."""

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self.reset()

    def reset(self) -> None:
        """Forget everything. Whoever waits for a count goes on waiting."""
        self.events: deque[StoredEvent] = deque(maxlen=self._keep)
        self.requests: deque[LoggedRequest] = deque(maxlen=self._keep)
        self.ledger = Ledger()
        self._last_event_seq = 0
        self._last_request_seq = 0

    @property
    def accepted_count(self) -> int:
        return self.ledger.totals.accepted

    @property
    def request_count(self) -> int:
        return self._last_request_seq

    def log_request(self, *, received_at: float, method: str, path: str) -> LoggedRequest:
        """Open the record of a request; the caller fills in the rest as it becomes known."""
        self._last_request_seq += 1
        logged = LoggedRequest(self._last_request_seq, received_at, method, path, 0)
        self.requests.append(logged)
        return logged

    def accept(
        self, events: Sequence[Event], notes_by_event: Sequence[Findings], logged: LoggedRequest, now: float
    ) -> None:
        """Store a judged batch and count it. A repeat is kept too: Meta doesn't promise to discard it."""
        ledger = self.ledger
        dataset_id, code, request_seq = logged.dataset_id, logged.test_event_code, logged.seq
        seq = self._last_event_seq
        for event, notes in zip(events, notes_by_event, strict=True):
            seq += 1
            name: str = event["event_name"]
            event_id = read_event_id(event)
            named = ledger.find_or_open(dataset_id, name)
            is_repeat = named.accept(event_id)
            named.last_received_at = now
            if notes:
                named.with_notes += 1
            if is_repeat:
                ledger.totals.repeats += 1
            if event_id is None:
                ledger.totals.without_event_id += 1
            self.events.append(
                StoredEvent(seq, now, dataset_id, name, event_id, is_repeat, notes, code, request_seq, event)
            )
        self._last_event_seq = seq
        ledger.totals.received += len(events)
        ledger.totals.accepted += len(events)
        self._wake_waiting()

    def find_event(self, seq: int) -> StoredEvent | None:
        """Return a kept event; None when it never was or is forgotten."""
        if not self.events or not self.events[0].seq <= seq <= self.events[-1].seq:
            return None
        return self.events[seq - self.events[0].seq]

    def find_first_twin(self, stored: StoredEvent) -> StoredEvent | None:
        """Return the earliest kept event of the same dataset, name and id that came before."""
        if not stored.is_repeat:
            return None
        key = (stored.dataset_id, stored.event_name, stored.event_id)
        twins = (other for other in self.events if (other.dataset_id, other.event_name, other.event_id) == key)
        first = next(twins, None)
        return first if first is not None and first.seq < stored.seq else None

    def list_events(self, *, after_seq: int = 0) -> Iterator[StoredEvent]:
        return (stored for stored in self.events if stored.seq > after_seq)

    async def wait_for(self, count: int, timeout_seconds: float) -> bool:
        """Wait until `count` events were accepted since the last reset; False when the time is over first."""
        if self.accepted_count >= count:
            return True
        reached: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = (count, reached)
        self._waiting.append(waiting)
        try:
            async with asyncio.timeout(timeout_seconds):
                await reached
        except TimeoutError:
            return False
        finally:
            self._waiting.remove(waiting)
        return True

    def _wake_waiting(self) -> None:
        for count, reached in self._waiting:
            if self.accepted_count >= count and not reached.done():
                reached.set_result(None)
