"""SqliteQueue against a model of a few dictionaries, under random actions, crashes and time."""

import asyncio
import shutil
import tempfile
from collections import Counter
from collections.abc import Coroutine, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from signalpost.model.delivery import QueuedEvent
from signalpost.queue.sqlite import SqliteQueue
from tests.queue.builders import MAIN, OTHER, REFUSED_BY_META, Clock, build_call, build_discarded, build_event, lease

_LEASE = timedelta(seconds=60)
_AGE_LIMIT = timedelta(hours=30)
_STEPS = [timedelta(seconds=1), timedelta(seconds=59), _LEASE, timedelta(hours=3), timedelta(hours=25)]

# What is tested here is not the disk; a folder in memory, where there is one, makes the many small commits quick.
_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None

T = TypeVar("T")
destinations = st.sampled_from([MAIN, OTHER])
event_ids = st.integers(min_value=0, max_value=30).map(lambda number: f"m{number}")


class ModelEvent:
    """What the model knows of one event; its state is that of the ledger."""

    def __init__(self, destination_id: str, expires_at: int) -> None:
        self.destination_id = destination_id
        self.expires_at = expires_at
        self.state = "pending"
        self.attempts = 0
        self.due_at: datetime | None = None
        self.leased_until = -1.0
        self.lease: int | None = None


class QueueMachine(RuleBasedStateMachine):
    """Every rule does the same to the queue and to the model; the invariant compares their ledgers."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = Path(tempfile.mkdtemp(dir=_MEMORY))
        self.clock = Clock()
        self.queue = self.open_queue()
        self.events: dict[str, ModelEvent] = {}
        self.seen_at: dict[str, datetime] = {}
        self.handles: list[QueuedEvent] = []
        self.calls: Counter[str] = Counter()
        self.filtered = 0

    def teardown(self) -> None:
        self.run(self.queue.close())
        self.runner.close()
        shutil.rmtree(self.folder)

    def run(self, action: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(action)

    def open_queue(self) -> SqliteQueue:
        return SqliteQueue.open(self.folder, now=self.clock.now, monotonic=self.clock.monotonic)

    def find_available(self, destination_id: str) -> dict[str, ModelEvent]:
        return {key: event for key, event in self.find_due(destination_id).items() if not self.is_leased(event)}

    def find_due(self, destination_id: str) -> dict[str, ModelEvent]:
        return {
            key: event
            for key, event in self.events.items()
            if event.state == "pending" and event.destination_id == destination_id and not self.is_retrying(event)
        }

    def is_leased(self, event: ModelEvent) -> bool:
        return event.leased_until > self.clock.monotonic()

    def is_retrying(self, event: ModelEvent) -> bool:
        return event.due_at is not None and event.due_at > self.clock.now()

    def end(self, handles: Sequence[QueuedEvent], state: str) -> None:
        for event, _ in self.give_up(handles):
            event.state = state

    def give_up(self, handles: Sequence[QueuedEvent]) -> list[tuple[ModelEvent, QueuedEvent]]:
        """End the leases of those handles that are their event's latest: all others have no effect."""
        own = [(self.events[handle.event_id], handle) for handle in handles]
        own = [(event, handle) for event, handle in own if event.lease == handle.lease]
        for event, _ in own:
            event.leased_until, event.lease = -1.0, None
        return own

    def draw_handles(self, data: st.DataObject) -> list[QueuedEvent]:
        """Any events that were ever leased: held, lapsed and settled ones."""
        return data.draw(st.lists(st.sampled_from(self.handles), unique_by=lambda handle: handle.event_id, max_size=8))

    # --- what happens ---

    @rule(message_ids=st.lists(event_ids, max_size=8), destination_id=destinations, is_discarded=st.booleans())
    def put(self, message_ids: list[str], destination_id: str, is_discarded: bool) -> None:
        expires_at = int((self.clock.now() + _AGE_LIMIT).timestamp())
        calls = [
            build_call(
                message_id,
                received_at=self.clock.now(),
                events=[
                    build_event(
                        f"{message_id}@{self.clock.now()}", destination_id=destination_id, expires_at=expires_at
                    )
                ],
                discarded=[build_discarded(state="filtered", code="NO_MATCHING_MAPPING")] * is_discarded,
            )
            for message_id in message_ids
        ]
        receipt = self.run(self.queue.put(calls))
        for call, is_duplicate in zip(calls, receipt.is_duplicate, strict=True):
            assert is_duplicate == (call.message_id in self.seen_at)
            self.calls["duplicate" if is_duplicate else "accepted"] += 1
            if not is_duplicate:
                self.seen_at[call.message_id] = self.clock.now()
                self.events[call.events[0].event_id] = ModelEvent(destination_id, expires_at)
                self.filtered += is_discarded

    @rule(destination_id=destinations, limit=st.integers(min_value=1, max_value=10))
    def lease(self, destination_id: str, limit: int) -> None:
        available = self.find_available(destination_id)
        assert self.run(self.queue.counts(destination_id)).events.pending.ready == len(available)
        if not available:  # a lease would wait; and what is empty was just compared
            return
        leased = self.run(lease(self.queue, destination_id, limit=limit, lease_for=_LEASE))
        assert len(leased) == min(limit, len(available))
        for handle in leased:
            event = available.pop(handle.event_id)
            assert handle.attempts == event.attempts
            event.leased_until, event.lease = self.clock.monotonic() + _LEASE.total_seconds(), handle.lease
        self.handles += leased

    @precondition(lambda self: self.handles)
    @rule(data=st.data())
    def ack(self, data: st.DataObject) -> None:
        handles = self.draw_handles(data)
        self.run(self.queue.ack(handles, "trace"))
        self.end(handles, "delivered")

    @precondition(lambda self: self.handles)
    @rule(data=st.data())
    def dead_letter(self, data: st.DataObject) -> None:
        handles = self.draw_handles(data)
        self.run(self.queue.dead_letter(handles, REFUSED_BY_META))
        self.end(handles, "rejected")

    @precondition(lambda self: self.handles)
    @rule(data=st.data())
    def expire(self, data: st.DataObject) -> None:
        handles = self.draw_handles(data)
        self.run(self.queue.expire(handles))
        self.end(handles, "expired")

    @precondition(lambda self: self.handles)
    @rule(data=st.data(), wait=st.sampled_from([timedelta(0), *_STEPS[:3]]), charge=st.booleans())
    def retry(self, data: st.DataObject, wait: timedelta, charge: bool) -> None:
        handles = self.draw_handles(data)
        when = self.clock.now() + wait
        self.run(self.queue.retry_at(handles, when, "503", charge=charge))
        for event, handle in self.give_up(handles):
            event.due_at, event.attempts = when, handle.attempts + charge

    @rule(destination_id=destinations)
    def bring_forward(self, destination_id: str) -> None:
        retrying = [
            event
            for event in self.events.values()
            if event.state == "pending" and event.destination_id == destination_id and self.is_retrying(event)
        ]
        assert self.run(self.queue.bring_forward(destination_id)) == len(retrying)
        for event in retrying:
            event.due_at = None

    @precondition(lambda self: self.handles)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        handles = self.draw_handles(data)
        self.run(self.queue.release(handles))
        self.give_up(handles)

    @rule()
    def requeue_all(self) -> None:
        letters = self.run(self.queue.browse_dead_letters(limit=1000))
        assert {letter.event_id for letter in letters} == {
            key for key, event in self.events.items() if event.state == "rejected"
        }
        report = self.run(self.queue.requeue([letter.id for letter in letters]))
        for letter in letters:
            event = self.events[letter.event_id]
            if event.expires_at >= int(self.clock.now().timestamp()):
                event.state, event.due_at = "pending", None
                report.refused["requeued"] = report.refused.get("requeued", 0) + 1
        assert report.refused.get("requeued", 0) == report.requeued

    @rule(by=st.sampled_from(_STEPS))
    def let_time_pass(self, by: timedelta) -> None:
        self.clock.advance(by)

    @rule()
    def prune(self) -> None:
        self.run(self.queue.prune())
        a_day_ago = self.clock.now() - timedelta(hours=24)
        self.seen_at = {message_id: at for message_id, at in self.seen_at.items() if at >= a_day_ago}

    @rule()
    def reopen(self) -> None:
        self.run(self.queue.close())
        self.queue = self.open_queue()
        self.void_leases()

    @rule()
    def crash(self) -> None:
        """Go on with a copy of the files as they are while the queue is open: what a killed process leaves."""
        copy = Path(tempfile.mkdtemp(dir=_MEMORY))
        for name in ("queue.db", "queue.db-wal"):
            shutil.copy(self.folder / name, copy / name)
        self.run(self.queue.close())
        shutil.rmtree(self.folder)
        self.folder = copy
        self.queue = self.open_queue()
        self.void_leases()

    def void_leases(self) -> None:
        for event in self.events.values():
            event.leased_until, event.lease = -1.0, None

    # --- what is always true ---

    @invariant()
    def ledgers_agree(self) -> None:
        ledger = self.run(self.queue.counts())
        states = Counter(event.state for event in self.events.values())
        counted = ledger.events
        assert (ledger.calls.accepted, ledger.calls.duplicate) == (self.calls["accepted"], self.calls["duplicate"])
        assert (counted.delivered, counted.expired) == (states["delivered"], states["expired"])
        assert (counted.rejected.get("400/100/2804050", 0), counted.filtered.get("NO_MATCHING_MAPPING", 0)) == (
            states["rejected"],
            self.filtered,
        )
        assert (counted.accepted, ledger.imbalance) == (len(self.events) + self.filtered, 0)
        pending = counted.pending
        assert pending.total == states["pending"]
        assert pending.ready == sum(len(self.find_available(destination_id)) for destination_id in (MAIN, OTHER))


TestStateMachine = QueueMachine.TestCase
TestStateMachine.settings = settings(max_examples=200, stateful_step_count=50, deadline=None)
