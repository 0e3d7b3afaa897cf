"""What every queue does, whatever it is made of. A subclass supplies `open_queue` and inherits all of it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from signalpost.model.dead_letters import DeadLetterFilter
from signalpost.model.delivery import RefusedCall
from signalpost.model.errors import LeaseLost, QueueUnavailable
from signalpost.model.found_events import MOST_FOUND, FoundEvents
from signalpost.model.ids import SourceId
from signalpost.model.ledger import Backlog, EventFlow, MatchKeyCoverage, PendingCounts
from signalpost.queue.interface import Queue
from tests.queue.builders import (
    DATASETS_NOW,
    MAIN,
    NOON,
    OTHER,
    REFUSED_BY_META,
    WEBSITE,
    Clock,
    build_call,
    build_discarded,
    build_event,
    get_event_ids,
    lease,
)

_MINUTE = timedelta(minutes=1)
_MOMENT = timedelta(milliseconds=20)


class Bench:
    """One queue that can be closed and opened again, and the clock it reads."""

    def __init__(self, contract: "QueueContract", folder: Path, clock: Clock) -> None:
        self.folder = folder
        self.clock = clock
        self.queue: Queue = contract.open_queue(folder, clock)
        self._contract = contract

    async def reopen(self) -> None:
        await self.queue.close()
        self.queue = self._contract.open_queue(self.folder, self.clock)


class QueueContract:
    def open_queue(self, folder: Path, clock: Clock) -> Queue:
        """Open the queue of a folder, a new one or the one that was left there."""
        raise NotImplementedError

    @pytest.fixture
    async def bench(self, tmp_path: Path) -> AsyncIterator[Bench]:
        bench = Bench(self, tmp_path, Clock())
        yield bench
        await bench.queue.close()

    # --- put ---

    async def test_put_survives_reopening(self, bench: Bench):
        """What was put is there, field for field, after the queue was closed and opened again."""
        stored = build_event("m1", payload=b'{"n":NaN,"s":"\\u0000"}', event_name="Größe 📦")
        await bench.queue.put([build_call("m1", events=[stored])])
        await bench.reopen()
        (event,) = await lease(bench.queue)
        assert (event.payload, event.event_name, event.event_id) == (stored.payload, stored.event_name, "m1")
        assert (event.source_id, event.message_id, event.dataset_id) == (WEBSITE, "m1", stored.dataset_id)
        assert (event.event_time, event.expires_at) == (stored.event_time, stored.expires_at)
        assert (event.received_at, event.attempts, event.last_outcome) == (NOON, 0, "")

    async def test_repeated_call_is_stored_once(self, bench: Bench):
        """The same (source, messageId) counts once: within a request, across requests, and after reopening."""
        first = await bench.queue.put([build_call("m1"), build_call("m1"), build_call("m2")])
        second = await bench.queue.put([build_call("m2"), build_call("m3")])
        await bench.reopen()
        third = await bench.queue.put([build_call("m3")])
        assert first.is_duplicate == (False, True, False)
        assert second.is_duplicate == (True, False)
        assert third.is_duplicate == (True,)
        assert get_event_ids(await lease(bench.queue)) == ["m1", "m2", "m3"]

    async def test_repeats_that_race_are_stored_once(self, bench: Bench):
        """Two requests that carry the same call at the same time store it once."""
        receipts = await asyncio.gather(*(bench.queue.put([build_call("m1")]) for _ in range(5)))
        assert sorted(receipt.is_duplicate for receipt in receipts) == [(False,)] + [(True,)] * 4
        assert len(await lease(bench.queue)) == 1

    async def test_message_id_belongs_to_its_source(self, bench: Bench):
        """Two sources may use the same messageId."""
        receipt = await bench.queue.put([build_call("m1"), build_call("m1", source_id="app")])
        assert receipt.is_duplicate == (False, False)

    async def test_call_is_remembered_for_a_day(self, bench: Bench):
        """A repeat is known for 24 hours, and may be stored again once its key has been pruned."""
        await bench.queue.put([build_call("m1")])
        bench.clock.advance(timedelta(hours=24))
        await bench.queue.prune()
        assert (await bench.queue.put([build_call("m1")])).is_duplicate == (True,)
        bench.clock.advance(_MINUTE)
        await bench.queue.prune()
        assert (await bench.queue.put([build_call("m1")])).is_duplicate == (False,)

    async def test_large_request_is_stored_whole(self, bench: Bench):
        """A request of any size is one step, and its receipt names the duplicates in the order of the calls."""
        names = [f"m{number}" for number in range(600)]
        receipt = await bench.queue.put([build_call(name) for name in [*names, "m0"]])
        assert receipt.is_duplicate == (False,) * 600 + (True,)
        assert get_event_ids(await lease(bench.queue)) == sorted(names)

    async def test_one_call_may_make_several_events(self, bench: Bench):
        """Each destination gets its own event of a call."""
        await bench.queue.put([build_call("m1", events=[build_event("m1"), build_event("m1", destination_id=OTHER)])])
        assert get_event_ids(await lease(bench.queue)) == ["m1"]
        assert get_event_ids(await lease(bench.queue, OTHER)) == ["m1"]

    async def test_empty_put_is_no_error(self, bench: Bench):
        """A request without a valid call stores only the counts of what was refused."""
        receipt = await bench.queue.put([], [RefusedCall(WEBSITE, "no_user_anon_id")])
        assert receipt.is_duplicate == ()
        assert (await bench.queue.counts()).calls.invalid == {"no_user_anon_id": 1}

    # --- lease, extend, release ---

    async def test_lease_hides_and_its_end_returns(self, bench: Bench):
        """A leased event is hidden from others until its lease ends."""
        await bench.queue.put([build_call("m1")])
        assert len(await lease(bench.queue)) == 1
        assert (await bench.queue.counts()).events.pending.ready == 0
        bench.clock.advance(timedelta(seconds=59))
        assert (await bench.queue.counts()).events.pending.leased == 1
        bench.clock.advance(timedelta(seconds=1))
        assert get_event_ids(await lease(bench.queue)) == ["m1"]

    async def test_extended_lease_ends_later(self, bench: Bench):
        """Extending counts from now on, and an event that is settled already is skipped."""
        await bench.queue.put([build_call("m1"), build_call("m2")])
        events = await lease(bench.queue)
        await bench.queue.ack(events[:1], None)
        bench.clock.advance(timedelta(seconds=50))
        await bench.queue.extend(events, _MINUTE)
        bench.clock.advance(timedelta(seconds=59))
        assert (await bench.queue.counts()).events.pending.leased == 1
        bench.clock.advance(timedelta(seconds=1))
        assert len(await lease(bench.queue)) == 1

    async def test_release_returns_at_once(self, bench: Bench):
        """A released event can be leased again at once, and nothing is charged."""
        await bench.queue.put([build_call("m1")])
        await bench.queue.release(await lease(bench.queue))
        (event,) = await lease(bench.queue)
        assert event.attempts == 0

    async def test_reopening_voids_leases(self, bench: Bench):
        """A lease does not outlive the process that held it."""
        await bench.queue.put([build_call("m1")])
        await lease(bench.queue, lease_for=timedelta(days=1))
        await bench.reopen()
        assert len(await lease(bench.queue)) == 1

    async def test_two_leases_never_hold_one_event(self, bench: Bench):
        """Leases that run at the same time share the events out between them."""
        await bench.queue.put([build_call(f"m{n}") for n in range(20)])
        leases = await asyncio.gather(*(lease(bench.queue, limit=5) for _ in range(4)))
        assert sorted(event.event_id for events in leases for event in events) == sorted(f"m{n}" for n in range(20))

    async def test_lease_waits_for_put(self, bench: Bench):
        """A lease of an empty queue sleeps until an event of its destination arrives."""
        waiting = asyncio.create_task(lease(bench.queue))
        await bench.queue.put([build_call("m0", destination_id=OTHER)])
        await asyncio.sleep(0)
        assert not waiting.done()
        await bench.queue.put([build_call("m1")])
        assert get_event_ids(await waiting) == ["m1"]

    async def test_lease_waits_for_another_lease_to_end(self, bench: Bench):
        """A lease that waits gets the events of another lease that ends, or that gives them back."""
        await bench.queue.put([build_call("m1")])
        await lease(bench.queue, lease_for=_MOMENT)
        waiting = asyncio.create_task(lease(bench.queue))
        await asyncio.sleep(0)
        bench.clock.advance(_MOMENT)
        held = await waiting
        assert get_event_ids(held) == ["m1"]
        waiting = asyncio.create_task(lease(bench.queue))
        await asyncio.sleep(0)
        await bench.queue.release(held)
        assert get_event_ids(await waiting) == ["m1"]

    async def test_lease_waits_for_a_retry_to_be_due(self, bench: Bench):
        """A lease that waits gets an event whose next attempt comes due meanwhile."""
        await bench.queue.put([build_call("m1")])
        held = await lease(bench.queue)
        waiting = asyncio.create_task(lease(bench.queue))
        await asyncio.sleep(0)
        await bench.queue.retry_at(held, NOON + _MOMENT, "502")
        bench.clock.advance(_MOMENT)
        assert get_event_ids(await waiting) == ["m1"]

    async def test_lease_lingers_for_a_full_batch(self, bench: Bench):
        """With fewer events than `limit`, a lease waits for the rest, and returns as soon as they are there."""
        await bench.queue.put([build_call("m1")])
        waiting = asyncio.create_task(lease(bench.queue, limit=3, linger=timedelta(hours=1)))
        await bench.queue.put([build_call("m2")])
        assert not waiting.done()
        await bench.queue.put([build_call("m3")])
        assert get_event_ids(await waiting) == ["m1", "m2", "m3"]

    async def test_linger_ends(self, bench: Bench):
        """When `linger` is over, a lease returns what there is."""
        await bench.queue.put([build_call("m1")])
        assert len(await lease(bench.queue, linger=_MOMENT)) == 1

    async def test_lease_respects_its_limits(self, bench: Bench):
        """A lease has at most `limit` events and `max_bytes` of payload, but at least one event, however large."""
        await bench.queue.put([build_call(payload=b"x" * 100) for _ in range(5)])
        assert len(await lease(bench.queue, limit=2)) == 2
        assert len(await lease(bench.queue, max_bytes=250)) == 2
        assert len(await lease(bench.queue, max_bytes=10)) == 1

    async def test_destinations_do_not_disturb_each_other(self, bench: Bench):
        """What waits, is leased or retried for one destination changes nothing for another."""
        await bench.queue.put([build_call("m1"), build_call("m2", destination_id=OTHER)])
        await bench.queue.retry_at(await lease(bench.queue), NOON + _MINUTE, "503")
        (event,) = await lease(bench.queue, OTHER)
        assert event.event_id == "m2"
        await bench.queue.ack([event], None)
        assert (await bench.queue.counts(MAIN)).events.pending.retrying == 1
        assert (await bench.queue.counts(OTHER)).events.pending.total == 0

    async def test_clock_set_back_stalls_no_fresh_event(self, bench: Bench):
        """An event that was received in the future, as the clock now says, can be leased all the same."""
        await bench.queue.put([build_call("m1"), build_call("m2")])
        retried, _ = await lease(bench.queue)
        await bench.queue.retry_at([retried], NOON + _MINUTE, "503")
        await bench.reopen()
        bench.clock.set_wall(NOON - timedelta(days=8))
        assert get_event_ids(await lease(bench.queue)) == ["m1", "m2"]

    async def test_a_clock_that_jumps_holds_up_a_retry_for_minutes_at_most(self, bench: Bench):
        """Whether the clock was wrong when the retry was dated, or is set back afterwards by hours."""
        await bench.queue.put([build_call("m1"), build_call("m2")])
        first, second = await lease(bench.queue)
        await bench.queue.retry_at([first], NOON + timedelta(hours=12), "throttled")
        await bench.queue.retry_at([second], NOON + _MINUTE, "503")
        bench.clock.advance(14 * _MINUTE)
        assert get_event_ids(await lease(bench.queue)) == ["m2"]
        bench.clock.advance(_MINUTE)
        assert get_event_ids(await lease(bench.queue)) == ["m1", "m2"]  # the lease of m2 has ended
        await bench.reopen()
        bench.clock.set_wall(NOON - timedelta(hours=3))
        assert get_event_ids(await lease(bench.queue)) == ["m1", "m2"]

    # --- settling ---

    async def test_ack_removes(self, bench: Bench):
        """An acknowledged event is delivered and gone, also after reopening."""
        await bench.queue.put([build_call("m1")])
        await bench.queue.ack(await lease(bench.queue), "trace", ["receipt_mismatch"])
        await bench.reopen()
        counts = await bench.queue.counts()
        assert (counts.events.delivered, counts.events.pending.total, counts.imbalance) == (1, 0, 0)

    async def test_lease_may_be_settled_in_parts(self, bench: Bench):
        """Each part of a lease may end in its own way."""
        await bench.queue.put([build_call(f"m{n}") for n in range(4)])
        first, second, third, fourth = await lease(bench.queue)
        await bench.queue.ack([first], None)
        await bench.queue.dead_letter([second], REFUSED_BY_META)
        await bench.queue.expire([third])
        await bench.queue.release([fourth])
        counts = (await bench.queue.counts()).events
        assert (counts.delivered, counts.rejected, counts.expired) == (1, {"400/100/2804050": 1}, 1)
        assert get_event_ids(await lease(bench.queue)) == [fourth.event_id]

    async def test_retry_is_not_early_and_charges_an_attempt(self, bench: Bench):
        """A retried event is due at the time that was named, never before; its attempts have grown by one."""
        await bench.queue.put([build_call("m1")])
        wait = _MINUTE + timedelta(microseconds=300)
        await bench.queue.retry_at(await lease(bench.queue), NOON + wait, "503")
        await bench.reopen()
        bench.clock.advance(wait - timedelta(microseconds=1))
        assert (await bench.queue.counts()).events.pending.retrying == 1
        bench.clock.advance(timedelta(milliseconds=1))
        (event,) = await lease(bench.queue)
        assert (event.attempts, event.last_outcome) == (1, "503")

    async def test_what_is_retried_can_be_brought_forward(self, bench: Bench):
        """What waits for its next attempt is due at once and wakes who waits; another destination's is left alone."""
        await bench.queue.put([build_call("m1", events=[build_event("m1"), build_event("m1", destination_id=OTHER)])])
        for destination_id in (MAIN, OTHER):
            await bench.queue.retry_at(await lease(bench.queue, destination_id), NOON + _MINUTE, "503")
        waiting = asyncio.create_task(lease(bench.queue))
        await asyncio.sleep(0)
        assert await bench.queue.bring_forward(MAIN) == 1
        (event,) = await waiting
        assert (event.attempts, event.last_outcome) == (1, "503")
        assert await bench.queue.bring_forward(MAIN) == 0
        assert (await bench.queue.counts(OTHER)).events.pending.retrying == 1
        await bench.reopen()
        assert get_event_ids(await lease(bench.queue)) == ["m1"]

    async def test_any_number_is_brought_forward(self, bench: Bench):
        """More than one durable step takes."""
        await bench.queue.put([build_call(f"m{number}") for number in range(1_100)])
        await bench.queue.retry_at(await lease(bench.queue, limit=1_100), NOON + _MINUTE, "503")
        assert await bench.queue.bring_forward(MAIN) == 1_100
        assert len(await lease(bench.queue, limit=2_000)) == 1_100

    async def test_retry_without_charge_keeps_the_attempts(self, bench: Bench):
        """A wait that is not the event's fault charges nothing."""
        await bench.queue.put([build_call("m1")])
        await bench.queue.retry_at(await lease(bench.queue), NOON, "throttled", charge=False)
        (event,) = await lease(bench.queue)
        assert event.attempts == 0

    async def test_settling_twice_counts_once(self, bench: Bench):
        """Only the first end of an event counts, and a repeated retry charges one attempt."""
        await bench.queue.put([build_call("m1"), build_call("m2")])
        first, second = await lease(bench.queue)
        for _ in range(2):
            await bench.queue.ack([first], None)
            await bench.queue.retry_at([second], NOON, "503")
        await bench.queue.dead_letter([first], REFUSED_BY_META)
        await bench.queue.expire([first])
        counts = await bench.queue.counts()
        assert (counts.events.delivered, counts.events.rejected, counts.events.expired) == (1, {}, 0)
        assert counts.imbalance == 0
        (event,) = await lease(bench.queue)
        assert event.attempts == 1

    async def test_late_ack_spares_the_dead_letter(self, bench: Bench):
        """Settling an event that has become a dead letter leaves the letter and its payload as they are."""
        await bench.queue.put([build_call("m1")])
        events = await lease(bench.queue)
        await bench.queue.dead_letter(events, REFUSED_BY_META)
        await bench.queue.ack(events, None)
        await bench.queue.expire(events)
        (letter,) = await bench.queue.browse_dead_letters()
        assert letter.payload == events[0].payload

    async def test_old_handle_never_hits_a_new_event(self, bench: Bench):
        """An id is never given twice: settling an event of an earlier run again changes nothing."""
        await bench.queue.put([build_call("m1")])
        old = await lease(bench.queue)
        await bench.queue.ack(old, None)
        await bench.reopen()
        await bench.queue.put([build_call("m2")])
        await bench.queue.dead_letter(old, REFUSED_BY_META)
        assert get_event_ids(await lease(bench.queue)) == ["m2"]

    async def test_settling_nothing_is_no_error(self, bench: Bench):
        """An empty part of a lease may be settled too."""
        await bench.queue.ack([], None)
        await bench.queue.release([])
        await bench.queue.dead_letter([], REFUSED_BY_META)
        assert (await bench.queue.requeue([])).requeued == 0

    async def test_lapsed_lease_may_still_be_settled(self, bench: Bench):
        """A lease that has ended is still its holder's to settle, as long as nobody else has leased the event."""
        await bench.queue.put([build_call("m1")])
        held = await lease(bench.queue)
        bench.clock.advance(_MINUTE)
        await bench.queue.ack(held, None)
        assert (await bench.queue.counts()).events.delivered == 1

    async def test_old_holder_changes_nothing(self, bench: Bench):
        """Once an event was leased again, nothing that its old holder does has an effect; extending says so."""
        await bench.queue.put([build_call("m1"), build_call("m2")])
        old = await lease(bench.queue)
        bench.clock.advance(_MINUTE)
        (new,) = await lease(bench.queue, limit=1)
        with pytest.raises(LeaseLost):
            await bench.queue.extend(old, timedelta(days=1))
        stale = [event for event in old if event.id == new.id]
        await bench.queue.release(stale)
        await bench.queue.retry_at(stale, NOON, "503")
        await bench.queue.dead_letter(stale, REFUSED_BY_META)
        await bench.queue.expire(stale)
        await bench.queue.ack(stale, None)
        pending = (await bench.queue.counts()).events.pending
        assert (pending.ready, pending.leased) == (0, 2)
        await bench.queue.ack([new], None)
        assert (await bench.queue.counts()).events.delivered == 1

    # --- dead letters ---

    async def test_dead_letter_keeps_reason_and_payload(self, bench: Bench):
        """A dead letter can be looked at with everything that explains it, also after reopening."""
        await bench.queue.put([build_call("m1")])
        (event,) = await lease(bench.queue)
        bench.clock.advance(_MINUTE)
        await bench.queue.dead_letter([event], REFUSED_BY_META)
        await bench.reopen()
        (letter,) = await bench.queue.browse_dead_letters()
        assert (letter.code, letter.reason, letter.detail) == ("400", "100/2804050", "Invalid parameter")
        assert (letter.fbtrace_id, letter.rejected_at) == ("trace-1", NOON + _MINUTE)
        assert (letter.payload, letter.event_id, letter.message_id) == (event.payload, "m1", "m1")

    async def test_rejected_by_mapping_is_a_dead_letter_at_once(self, bench: Bench):
        """What mapping rejects is kept with the call, with or without a payload."""
        discarded = [
            build_discarded(payload=None, reason="missing_value"),
            build_discarded(payload=b"{}", reason="event_too_old", destination_id=OTHER),
        ]
        await bench.queue.put([build_call("m1", events=[build_event("m1")], discarded=discarded)])
        letters = await bench.queue.browse_dead_letters()
        assert sorted((letter.reason, letter.payload) for letter in letters) == [
            ("event_too_old", b"{}"),
            ("missing_value", None),
        ]
        await bench.queue.put([build_call("m2")])
        await bench.reopen()
        await bench.queue.put([build_call("m3")])
        await bench.queue.dead_letter(await lease(bench.queue), REFUSED_BY_META)
        assert len(await bench.queue.browse_dead_letters()) == 5

    async def test_dead_letters_are_browsed_in_order(self, bench: Bench):
        """Dead letters come in the order of their ids, a page at a time, all of them or those of one destination."""
        calls = [build_call(destination_id=MAIN if n % 2 else OTHER) for n in range(6)]
        await bench.queue.put(calls)
        for destination_id in (MAIN, OTHER):
            await bench.queue.dead_letter(await lease(bench.queue, destination_id), REFUSED_BY_META)
        everything = await bench.queue.browse_dead_letters()
        assert [letter.id for letter in everything] == sorted(letter.id for letter in everything)
        assert len(everything) == 6
        page = await bench.queue.browse_dead_letters(beyond_id=everything[1].id, limit=2)
        assert page == everything[2:4]
        backwards = await bench.queue.browse_dead_letters(beyond_id=everything[3].id, limit=2, newest_first=True)
        assert backwards == [everything[2], everything[1]]
        of_other = await bench.queue.browse_dead_letters(DeadLetterFilter(destination_id=OTHER))
        assert {letter.destination_id for letter in of_other} == {OTHER}
        assert await bench.queue.read_dead_letters([everything[4].id, 987_654]) == [everything[4]]

    async def test_requeued_event_is_the_same_event(self, bench: Bench):
        """A requeued dead letter waits again with the same payload and event_id, and is no dead letter any more."""
        await bench.queue.put([build_call("m1")])
        (before,) = await lease(bench.queue)
        await bench.queue.dead_letter([before], REFUSED_BY_META)
        (letter,) = await bench.queue.browse_dead_letters()
        assert (await bench.queue.requeue([letter.id])).requeued == 1
        await bench.reopen()
        (after,) = await lease(bench.queue)
        assert (after.payload, after.event_id, after.last_outcome) == (before.payload, before.event_id, "")
        counts = await bench.queue.counts()
        assert (counts.events.rejected, counts.imbalance) == ({}, 0)
        assert await bench.queue.browse_dead_letters() == []

    async def test_requeue_refuses_one_by_one(self, bench: Bench):
        """What is unknown, too old for Meta or rejected by mapping itself is refused with its reason, and stays."""
        await bench.queue.put(
            [
                build_call("fresh"),
                build_call("old", expires_at=int(NOON.timestamp()) + 59),
                build_call("bad", discarded=[build_discarded(payload=b"{}")]),
                build_call("no-settings", discarded=[build_discarded(code="INVALID_SETTINGS", payload=b"{}")]),
                build_call("no-dataset", discarded=[build_discarded(code="INVALID_SETTINGS", dataset_id=None)]),
            ]
        )
        await bench.queue.dead_letter(await lease(bench.queue), REFUSED_BY_META)
        bench.clock.advance(_MINUTE)
        letters = await bench.queue.browse_dead_letters()
        ids = [letter.id for letter in letters]
        report = await bench.queue.requeue([*ids, 987_654])
        assert report.requeued == 2
        assert report.refused == {"unknown": 1, "event_too_old": 1, "not_requeueable": 2}
        assert (await bench.queue.requeue(ids)).refused == {"unknown": 2, "event_too_old": 1, "not_requeueable": 2}
        assert {event.message_id for event in await lease(bench.queue)} == {"fresh", "no-settings"}

    async def test_requeue_of_what_mapping_kept_lasts_as_long_as_meta_takes_it(self, bench: Bench):
        """A store's sale that lacked a setting may be sent again a month later, with the limit that it had."""
        limit = int((NOON + timedelta(days=62)).timestamp())
        stores = build_discarded(code="INVALID_SETTINGS", payload=b"{}", expires_at=limit)
        await bench.queue.put([build_call("sale", discarded=[stores])])
        bench.clock.advance(timedelta(days=30))
        (letter,) = await bench.queue.browse_dead_letters()
        assert (await bench.queue.requeue([letter.id])).requeued == 1
        (event,) = await lease(bench.queue)
        assert (event.message_id, event.expires_at) == ("sale", limit)

    async def test_requeue_takes_the_dataset_of_now(self, bench: Bench):
        """What lacked a dataset when it came is sent to the one that is filled in by now; without one it stays."""
        lacking = {"code": "INVALID_SETTINGS", "reason": "missing_dataset_id", "dataset_id": None, "payload": b"{}"}
        names = {"filled-in": "Lead", "still-empty": "Purchase"}
        await bench.queue.put(
            [build_call(id_, discarded=[build_discarded(**lacking, event_name=name)]) for id_, name in names.items()]
        )
        everything = DeadLetterFilter()
        planned = await bench.queue.requeue(everything, dry_run=True)
        assert (planned.requeued, planned.refused) == (1, {"dataset_missing": 1})
        assert await bench.queue.requeue(everything) == planned
        await bench.reopen()
        (event,) = await lease(bench.queue)
        assert (event.message_id, event.dataset_id) == ("filled-in", DATASETS_NOW["Lead"])
        counts = await bench.queue.counts()
        assert (counts.dead_letters, counts.imbalance, counts.dead_letter_imbalance) == (1, 0, 0)

    async def test_requeue_wakes_a_waiting_lease(self, bench: Bench):
        """A lease that waits gets the requeued event."""
        await bench.queue.put([build_call("m1")])
        await bench.queue.dead_letter(await lease(bench.queue), REFUSED_BY_META)
        waiting = asyncio.create_task(lease(bench.queue))
        await asyncio.sleep(0)
        await bench.queue.requeue([letter.id for letter in await bench.queue.browse_dead_letters()])
        assert get_event_ids(await waiting) == ["m1"]

    async def put_dead_letters(self, bench: Bench) -> None:
        """Four: two of Meta's for MAIN, an hour apart, one of mapping's for MAIN, one of Meta's for OTHER."""
        discarded = build_discarded(payload=b"{}")
        await bench.queue.put(
            [build_call("bad", discarded=[discarded]), build_call("m1"), build_call(destination_id=OTHER)]
        )
        await bench.queue.dead_letter(await lease(bench.queue), REFUSED_BY_META)
        await bench.queue.dead_letter(await lease(bench.queue, OTHER), REFUSED_BY_META)
        bench.clock.advance(timedelta(hours=1))
        await bench.queue.put([build_call("m2", event_name="Lead", source_id="app")])
        await bench.queue.dead_letter(await lease(bench.queue), REFUSED_BY_META)

    @pytest.mark.parametrize(
        ("where", "count"),
        [
            (DeadLetterFilter(), 4),
            (DeadLetterFilter(destination_id=MAIN), 3),
            (DeadLetterFilter(code="400"), 3),
            (DeadLetterFilter(reason="missing_value"), 1),
            (DeadLetterFilter(event_name="Lead"), 1),
            (DeadLetterFilter(source_id="app"), 1),
            (DeadLetterFilter(since=NOON + _MINUTE), 1),
            (DeadLetterFilter(until=NOON + _MINUTE), 3),
            (DeadLetterFilter(destination_id=MAIN, code="400", until=NOON + _MINUTE), 1),
            (DeadLetterFilter(destination_id=OTHER, event_name="Lead"), 0),
        ],
    )
    async def test_filter_means_what_matches_all_of_it(self, bench: Bench, where: DeadLetterFilter, count: int):
        """Browsing, counting and discarding agree on what a filter means, and a dry run changes nothing."""
        await self.put_dead_letters(bench)
        assert len(await bench.queue.browse_dead_letters(where)) == count
        assert sum(group.count for group in await bench.queue.count_dead_letters(where)) == count
        assert await bench.queue.discard(where, dry_run=True) == count
        assert len(await bench.queue.browse_dead_letters()) == 4
        assert await bench.queue.discard(where) == count
        assert len(await bench.queue.browse_dead_letters()) == 4 - count

    async def test_dead_letters_are_counted_by_reason(self, bench: Bench):
        """Each group names destination, code and reason, how many there are, and when the latest was rejected."""
        await self.put_dead_letters(bench)
        first, *others = await bench.queue.count_dead_letters()
        assert (first.destination_id, first.code, first.reason) == (MAIN, "400", "100/2804050")
        assert (first.count, first.last_at) == (2, NOON + timedelta(hours=1))
        assert {(group.destination_id, group.reason) for group in others} == {
            (MAIN, "missing_value"),
            (OTHER, "100/2804050"),
        }

    async def test_requeue_by_filter_tells_first_what_it_would_do(self, bench: Bench):
        """A dry run gives the report of the real one, and changes nothing."""
        await self.put_dead_letters(bench)
        where = DeadLetterFilter(destination_id=MAIN)
        planned = await bench.queue.requeue(where, dry_run=True)
        assert (planned.requeued, planned.refused) == (2, {"not_requeueable": 1})
        assert (await bench.queue.counts()).events.pending.total == 0
        assert await bench.queue.requeue(where) == planned
        assert get_event_ids(await lease(bench.queue)) == ["m1", "m2"]

    async def test_discarded_dead_letter_stays_rejected(self, bench: Bench):
        """A discarded dead letter is gone with its payload and can't be requeued; the ledger still counts it."""
        await self.put_dead_letters(bench)
        before = await bench.queue.counts()
        ids = [letter.id for letter in await bench.queue.browse_dead_letters()]
        assert await bench.queue.discard([*ids[:2], 987_654]) == 2
        assert await bench.queue.discard(ids[:2]) == 0
        assert (await bench.queue.requeue(ids[:2])).refused == {"unknown": 2}
        await bench.reopen()
        after = await bench.queue.counts()
        assert after.events == before.events
        assert (after.dead_letters, after.imbalance, after.dead_letter_imbalance) == (2, 0, 0)

    # --- what a person gives up ---

    async def test_what_waits_can_be_given_up(self, bench: Bench):
        """Due or retried, it ends as rejected without a dead letter; what is held, of others or later stays."""
        await bench.queue.put([build_call(f"m{number}") for number in range(4)])
        await bench.queue.put([build_call("other", destination_id=OTHER)])
        retried, held, *rest = await lease(bench.queue)
        await bench.queue.retry_at([retried], NOON + timedelta(hours=1), "503")
        await bench.queue.release(rest)
        bench.clock.advance(timedelta(seconds=1))
        await bench.queue.put([build_call("later", received_at=bench.clock.now())])
        assert await bench.queue.discard_waiting(MAIN, bench.clock.now(), dry_run=True) == 4
        assert (await bench.queue.counts()).events.pending.total == 6
        assert await bench.queue.discard_waiting(MAIN, bench.clock.now()) == 3
        assert await bench.queue.discard_waiting(MAIN, bench.clock.now()) == 0
        await bench.queue.ack([held], None)
        await bench.reopen()
        assert get_event_ids(await lease(bench.queue)) == ["later"]
        assert get_event_ids(await lease(bench.queue, OTHER)) == ["other"]
        counts = await bench.queue.counts()
        assert counts.events.rejected == {"DISCARDED/discarded_by_operator": 3}
        assert (counts.events.delivered, counts.dead_letters) == (1, 0)
        assert (counts.imbalance, counts.dead_letter_imbalance) == (0, 0)
        assert (await bench.queue.read_backlogs())[MAIN].dead_letters == 0

    async def test_what_is_being_given_up_is_not_leased(self, bench: Bench):
        """A lease that begins meanwhile gets only what stays."""
        await bench.queue.put([build_call("m1"), build_call("m2")])
        bench.clock.advance(timedelta(seconds=1))
        giving_up = asyncio.create_task(bench.queue.discard_waiting(MAIN, bench.clock.now()))
        leasing = asyncio.create_task(lease(bench.queue, limit=1))
        discarded = await giving_up
        await bench.queue.put([build_call("later")])
        leased = get_event_ids(await leasing)
        assert discarded == (2 if leased == ["later"] else 1)

    # --- where an event is ---

    async def test_an_event_is_found_by_its_message_id(self, bench: Bench):
        """In whatever state it is, with what is known of it; what was filtered is known as accepted."""
        names = ["waits", "retried", "delivered", "refused", "late", "given-up"]
        await bench.queue.put([build_call(name, event_name="Lead") for name in names])
        filtered = build_discarded(state="filtered", code="NO_MATCHING_MAPPING")
        await bench.queue.put([build_call("filtered", discarded=[filtered])])
        await bench.queue.put([build_call("mapping", discarded=[build_discarded(reason="missing_value")])])
        leased = {event.message_id: event for event in await lease(bench.queue)}
        await bench.queue.retry_at([leased["retried"]], NOON + _MINUTE, "unavailable: HTTP 503")
        await bench.queue.ack([leased["delivered"]], "trace-7")
        await bench.queue.dead_letter([leased["refused"]], REFUSED_BY_META)
        await bench.queue.expire([leased["late"]])
        await bench.queue.release([leased["given-up"]])
        bench.clock.advance(timedelta(seconds=1))
        (retried,) = (await bench.queue.find_events("retried")).events
        assert (retried.state, retried.attempts, retried.due_at) == ("pending", 1, NOON + _MINUTE)
        assert retried.detail == "unavailable: HTTP 503"
        assert await bench.queue.discard_waiting(MAIN, bench.clock.now()) == 2
        told = {name: await bench.queue.find_events(name) for name in [*names, "filtered", "mapping"]}
        assert {name: found.accepted_at for name, found in told.items()} == dict.fromkeys(told, (NOON,))
        assert told["filtered"].events == ()
        one = {name: found.events[0] for name, found in told.items() if found.events}
        assert {name: (event.state, event.code, event.reason) for name, event in one.items()} == {
            "waits": ("pending", "", ""),
            "retried": ("rejected", "DISCARDED", "discarded_by_operator"),
            "delivered": ("delivered", "", ""),
            "refused": ("rejected", "400", "100/2804050"),
            "late": ("expired", "MESSAGE_REJECTED", "event_too_old"),
            "given-up": ("rejected", "DISCARDED", "discarded_by_operator"),
            "mapping": ("rejected", "MESSAGE_REJECTED", "missing_value"),
        }
        assert (one["delivered"].fbtrace_id, one["delivered"].attempts, one["delivered"].ended_at) == (
            "trace-7",
            1,
            NOON,
        )
        assert (one["refused"].detail, one["refused"].fbtrace_id) == ("Invalid parameter", "trace-1")
        assert one["refused"].dead_letter_id is not None
        assert (await bench.queue.find_events("waits", SourceId("app"))).events == ()
        assert await bench.queue.find_events("never-came") == FoundEvents((), ())

    async def test_an_event_is_found_by_the_id_that_its_call_gave_it(self, bench: Bench):
        """Its event_id, when that is not the messageId; with the payload, for as long as that is kept."""
        payload = b'{"event_name":"Lead","user_data":{"em":["00"]}}'
        await bench.queue.put([build_call("m1", event_id="order-7", payload=payload), build_call("m2")])
        (found,) = (await bench.queue.find_events("order-7")).events
        assert (found.message_id, found.event_id, found.state) == ("m1", "order-7", "pending")
        assert found.server_event == {"event_name": "Lead", "user_data": {"em": ["00"]}}
        await bench.queue.ack(await lease(bench.queue), "trace-1")
        assert [event.server_event for event in (await bench.queue.find_events("m1")).events] == [found.server_event]
        bench.clock.advance(timedelta(hours=73))
        await bench.queue.prune()
        (kept,) = (await bench.queue.find_events("order-7")).events
        assert (kept.state, kept.server_event, kept.is_damaged) == ("delivered", None, False)

    async def test_not_too_many_are_found(self, bench: Bench):
        """A sender gives all its events one event_id."""
        await bench.queue.put([build_call(f"m{number}", event_id="same") for number in range(MOST_FOUND + 5)])
        assert len((await bench.queue.find_events("same")).events) == MOST_FOUND

    async def test_an_event_is_found_when_repeats_are_no_longer_noticed(self, bench: Bench):
        """Of a call of last week its dead letter is still there."""
        await bench.queue.put([build_call("m1")])
        await bench.queue.dead_letter(await lease(bench.queue), REFUSED_BY_META)
        bench.clock.advance(timedelta(days=6))
        await bench.queue.prune()
        found = await bench.queue.find_events("m1")
        assert (found.accepted_at, [event.state for event in found.events]) == ((), ["rejected"])

    # --- what happened over time ---

    async def test_statistics_tell_what_happened_when(self, bench: Bench):
        """Each step of the trend holds what happened in it, and the totals the whole window, also after reopening."""
        calls = [build_call(match_keys=("em", "fbc")), build_call(match_keys=("em",)), build_call(event_name="Lead")]
        filtered = build_discarded(state="filtered", code="NO_MATCHING_MAPPING")
        await bench.queue.put([*calls, build_call("x", discarded=[build_discarded(), filtered])])
        bench.clock.advance(timedelta(minutes=2))
        first, second, third = await lease(bench.queue)
        await bench.queue.ack([first, second], None)
        await bench.queue.dead_letter([third], REFUSED_BY_META)
        await bench.reopen()
        told = await bench.queue.read_statistics(NOON, NOON + timedelta(minutes=3), _MINUTE)
        assert (told.since, told.until, told.step) == (NOON, NOON + timedelta(minutes=3), _MINUTE)
        assert told.events == EventFlow(accepted=5, delivered=2, filtered=1, rejected=2)
        assert (told.calls.received, told.calls.accepted) == (4, 4)
        assert [step.events for step in told.trend] == [
            EventFlow(accepted=5, filtered=1, rejected=1),
            EventFlow(),
            EventFlow(delivered=2, rejected=1),
        ]
        assert told.reasons == {
            "filtered": {"NO_MATCHING_MAPPING": 1},
            "rejected": {"MESSAGE_REJECTED/missing_value": 1, "400/100/2804050": 1},
        }
        assert told.by_event_name["Lead"] == EventFlow(accepted=1, rejected=1)
        assert told.by_source == {WEBSITE: told.events}
        assert told.by_destination == {MAIN: told.events}
        assert told.coverage["Purchase"] == MatchKeyCoverage(events=2, with_key={"em": 2, "fbc": 1})
        assert told.coverage["Lead"] == MatchKeyCoverage(events=1)
        hours = await bench.queue.read_statistics(NOON - timedelta(hours=1), NOON + _MINUTE, timedelta(hours=1))
        assert [step.events for step in hours.trend] == [EventFlow(), told.events]

    async def test_statistics_of_one_source_or_destination(self, bench: Bench):
        """What concerns others is left out; calls are those of all destinations."""
        await bench.queue.put([build_call(), build_call(destination_id=OTHER), build_call(source_id="app")])
        window = (NOON, NOON + _MINUTE, _MINUTE)
        of_other = await bench.queue.read_statistics(*window, destination_id=OTHER)
        assert (of_other.events.accepted, of_other.calls.accepted, set(of_other.by_destination)) == (1, 3, {OTHER})
        of_app = await bench.queue.read_statistics(*window, source_id="app")
        assert (of_app.events.accepted, of_app.calls.accepted, set(of_app.by_source)) == (1, 1, {"app"})

    async def test_latency_is_from_receipt_to_answer(self, bench: Bench):
        """Of 20 events one takes 100 seconds and the others two: half of them, and 95 % of them, took two."""
        await bench.queue.put(
            [build_call(received_at=NOON - timedelta(seconds=98)), *(build_call() for _ in range(19))]
        )
        bench.clock.advance(timedelta(seconds=2))
        await bench.queue.ack(await lease(bench.queue), None)
        told = await bench.queue.read_statistics(NOON, NOON + _MINUTE, _MINUTE)
        assert told.latency.p50_seconds == pytest.approx(2, rel=0.2)
        assert told.latency.p95_seconds == pytest.approx(2, rel=0.2)
        assert told.latency_by_destination == {MAIN: told.latency}
        assert told.trend[0].latency == told.latency
        await bench.queue.put([build_call(received_at=NOON - timedelta(seconds=98))])
        await bench.queue.ack(await lease(bench.queue), None)
        told = await bench.queue.read_statistics(NOON, NOON + _MINUTE, _MINUTE)
        assert told.latency.p95_seconds == pytest.approx(100, rel=0.2)

    async def test_too_many_steps_are_refused(self, bench: Bench):
        """A window of more than 2,000 steps is refused with a sentence."""
        with pytest.raises(ValueError, match="2,000 steps"):
            await bench.queue.read_statistics(NOON, NOON + timedelta(days=2), _MINUTE)

    async def test_backlog_of_each_destination(self, bench: Bench):
        """Each destination tells what waits for it, since when, and its dead letters."""
        await self.put_dead_letters(bench)
        await bench.queue.put([build_call(received_at=bench.clock.now()) for _ in range(3)])
        held = await lease(bench.queue, limit=2)
        await bench.queue.retry_at(held[:1], bench.clock.now() + _MINUTE, "503")
        bench.clock.advance(timedelta(seconds=5))
        backlogs = await bench.queue.read_backlogs()
        assert backlogs == {
            MAIN: Backlog(PendingCounts(ready=1, leased=1, retrying=1), 5.0, dead_letters=3),
            OTHER: Backlog(PendingCounts(ready=0, leased=0, retrying=0), 0.0, dead_letters=1),
        }

    async def test_counts_since(self, bench: Bench):
        """Counted since a time is what happened from then on; what waits is what waits now, and so is the balance."""
        await bench.queue.put([build_call("m1"), build_call("m2", source_id="app")])
        bench.clock.advance(timedelta(minutes=90))
        await bench.queue.put([build_call("m3")])
        await bench.queue.ack(await lease(bench.queue, limit=1), None)
        bench.clock.advance(timedelta(minutes=10))
        later = await bench.queue.counts(since=NOON + timedelta(minutes=80))
        assert (later.calls.accepted, later.events.accepted, later.events.delivered) == (1, 1, 1)
        assert (later.events.pending.total, later.imbalance) == (2, 0)
        assert (await bench.queue.counts(since=NOON)).events.accepted == 3
        assert (await bench.queue.counts(since=NOON + timedelta(minutes=95))).events.accepted == 0
        of_app = await bench.queue.counts(source_id="app")
        assert (of_app.calls.accepted, of_app.events.accepted, of_app.events.pending.total) == (1, 1, 1)
        assert of_app.imbalance == 0

    # --- counts, retention, close ---

    async def test_counts_add_up_after_every_kind_of_end(self, bench: Bench):
        """Calls and events are counted under the state in which they are, and the sums agree."""
        discarded = [build_discarded(), build_discarded(state="filtered", code="NO_DESTINATION", destination_id=None)]
        calls = [build_call(f"m{n}") for n in range(7)]
        await bench.queue.put(
            [*calls, calls[0], build_call("x", discarded=discarded)], [RefusedCall(WEBSITE, "id_required")]
        )
        events = await lease(bench.queue, limit=6)
        await bench.queue.ack(events[:2], None)
        await bench.queue.dead_letter(events[2:3], REFUSED_BY_META)
        await bench.queue.expire(events[3:4])
        await bench.queue.retry_at(events[4:5], NOON + _MINUTE, "503")
        bench.clock.advance(timedelta(seconds=5))
        ledger = await bench.queue.counts()
        calls_counted, counted = ledger.calls, ledger.events
        assert (calls_counted.received, calls_counted.accepted, calls_counted.duplicate) == (10, 8, 1)
        assert calls_counted.invalid == {"id_required": 1}
        assert (counted.accepted, counted.delivered, counted.expired, counted.erased) == (9, 2, 1, 0)
        assert (counted.filtered, counted.rejected) == (
            {"NO_DESTINATION": 1},
            {
                "400/100/2804050": 1,
                "MESSAGE_REJECTED/missing_value": 1,
            },
        )
        assert (counted.pending.ready, counted.pending.leased, counted.pending.retrying) == (1, 1, 1)
        assert (ledger.imbalance, ledger.oldest_pending_seconds) == (0, 5.0)
        of_main = await bench.queue.counts(MAIN)
        assert (of_main.events.accepted, of_main.events.filtered, of_main.imbalance) == (8, {}, 0)

    async def test_retention_ends_dead_letters_but_not_their_count(self, bench: Bench):
        """After 30 days a dead letter is deleted; the ledger counts it as rejected for good."""
        await bench.queue.put([build_call("m1")])
        await bench.queue.dead_letter(await lease(bench.queue), REFUSED_BY_META)
        bench.clock.advance(timedelta(days=30))
        await bench.queue.prune()
        assert len(await bench.queue.browse_dead_letters()) == 1
        bench.clock.advance(_MINUTE)
        await bench.queue.prune()
        assert await bench.queue.browse_dead_letters() == []
        ledger = await bench.queue.counts()
        assert ledger.dead_letter_imbalance == 0
        assert (ledger.events.rejected, ledger.imbalance) == ({"400/100/2804050": 1}, 0)

    async def test_retention_spares_what_waits(self, bench: Bench):
        """An event that waits is never pruned, however old it is."""
        await bench.queue.put([build_call("m1")])
        bench.clock.advance(timedelta(days=90))
        await bench.queue.prune()
        assert get_event_ids(await lease(bench.queue)) == ["m1"]

    async def test_closing_ends_waiting_leases_empty_handed(self, bench: Bench):
        """A lease that waits when the queue is closed returns nothing."""
        waiting = asyncio.create_task(lease(bench.queue))
        await asyncio.sleep(0)
        await bench.queue.close()
        assert list(await waiting) == []

    async def test_closing_finishes_what_is_being_written(self, bench: Bench):
        """A put that was under way when the queue is closed is stored; one that comes later is refused."""
        puts = [asyncio.create_task(bench.queue.put([build_call(f"m{n}")])) for n in range(5)]
        await asyncio.sleep(0)
        await bench.queue.close()
        await asyncio.gather(*puts)
        with pytest.raises(QueueUnavailable):
            await bench.queue.put([build_call("late")])
        await bench.reopen()
        assert len(await lease(bench.queue)) == 5
