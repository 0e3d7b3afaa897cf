"""What one lease goes through: checked, cut into batches, sent, searched for bad events, settled.

Every event that comes in is settled or given back. Accepted parts are settled as soon as they are answered, so that a
crash repeats nothing that was settled. Trouble that is not the events' own ends the round.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Final, assert_never

from signalpost import failpoints
from signalpost.deliver.batches import group_into_batches, split_expired
from signalpost.deliver.bisection import Bisection, Suspects
from signalpost.deliver.gate import Gate
from signalpost.deliver.guards import TrickleGuard
from signalpost.deliver.local_check import split_unsendable
from signalpost.deliver.parts import DeliveryParts, WorkerSettings
from signalpost.deliver.retry import DeadLetter, Decision, Done, Expire, PauseDestination, RetryAt, Split, decide
from signalpost.deliver.settlement import Settlement
from signalpost.model.delivery import Answer, Batch, DeadReason, QueuedEvent, Target, Unauthorized, Unavailable
from signalpost.model.ids import DatasetId, DestinationId

UNSENDABLE: Final = DeadLetter(
    DeadReason("MESSAGE_REJECTED", "unsendable_payload", "The stored event lacks what Meta demands of every event.")
)
_NO_TOKEN: Final = Answer(Unauthorized("token", "the destination has no access token"))
_UNKNOWN_CLOCK_SECONDS: Final = 30.0
_SECOND: Final = timedelta(seconds=1)

Send = Callable[[Batch, Target], Awaitable[Answer]]


class Sender:
    """Sends one destination's events while its gate is open. is_stopping: True when no more requests may be made."""

    def __init__(
        self,
        destination_id: DestinationId,
        parts: DeliveryParts,
        settings: WorkerSettings,
        gate: Gate,
        is_stopping: Callable[[], bool],
    ) -> None:
        self._destination_id = destination_id
        self._parts = parts
        self._queue = parts.queue
        self._clock = parts.clock
        self._settings = settings
        self._gate = gate
        self._is_stopping = is_stopping
        self._settlement = Settlement(destination_id, parts, settings, is_stopping)
        self.guard = TrickleGuard()
        self.suspects = Suspects()

    @property
    def may_send(self) -> bool:
        """Whether another request may be made now."""
        return self._gate.is_open(self._clock.monotonic()) and not self._is_stopping()

    async def deliver(self, leased: Sequence[QueuedEvent]) -> None:
        """Send what is leased, and settle it or give it back."""
        now = self._clock.now()
        fresh, expired = split_expired(leased, now)
        if expired and not await self._may_judge_age(expired):
            await self._queue.release(leased)
            return
        sendable, unsendable = split_unsendable(fresh)
        await self._settlement.settle_alike(expired, Expire(), sendable)
        await self._settlement.settle_alike(unsendable, UNSENDABLE, sendable)
        batches = deque(group_into_batches(sendable, self._settings.batch, now, self.suspects.find_part))
        while batches and self.may_send:
            await self._search(batches.popleft(), batches)
        await self._queue.release([event for batch in batches for event in batch.events])

    async def _search(self, batch: Batch, later: Sequence[Batch]) -> None:
        """Send a batch; halve what is refused until each bad event is alone. later: the rest of the lease."""
        search = Bisection(batch)
        while self.may_send and (part := search.next_part()):
            changes_seen = self._gate.changes_seen
            waiting = [*search.waiting, *(event for other in later for event in other.events)]
            await self._queue.extend([*part.events, *waiting], self._settings.lease_for)
            if search.has_refused:
                self._parts.telemetry.bisected(self._destination_id)
            decision = await self._attempt(part, self._parts.send)
            failpoints.reach("mid_bisect" if search.has_refused else "after_answer_before_settle")
            match decision:
                case Split():
                    search.split(part)
                case DeadLetter() | Expire():
                    for bad, ended in search.isolate(part, decision):
                        await self._give_up(bad, ended, waiting, changes_seen, has_mates=search.has_accepted)
                case Done():
                    search.accepted()
                    self.guard.reset()
                    await self._settle(part, decision, waiting)
                case RetryAt() | PauseDestination():
                    self.suspects.remember([part] if search.has_refused else [])
                    await self._settlement.settle(part, decision, waiting)
                case unreachable:
                    assert_never(unreachable)
            if search.is_systemic:
                self._pause(PauseDestination("systemic_rejection", _tell_end(decision)), part.dataset_id, changes_seen)
        if search.has_refused:
            self.suspects.remember(search.parts)
        await self._queue.release(search.waiting)

    async def _give_up(
        self,
        bad: Batch,
        ended: DeadLetter | Expire,
        waiting: Sequence[QueuedEvent],
        changes_seen: int,
        *,
        has_mates: bool,
    ) -> None:
        """Settle a single refused event, unless refusals like it have become suspicious.

        has_mates: other events of its batch were accepted, so the fault is its own.
        """
        if isinstance(ended, DeadLetter) and not has_mates:
            self.guard.refused(ended.reason.reason, is_known=ended.is_known)
        if self.guard.is_unknown:
            pause = PauseDestination("unknown_error", _tell_end(ended))
            self._pause(pause, bad.dataset_id, changes_seen)
            self.suspects.remember([bad])
            await self._settlement.settle(bad, pause, waiting)
            return
        await self._settle(bad, ended, waiting)
        if self.guard.is_systemic:
            self._pause(PauseDestination("systemic_rejection", _tell_end(ended)), bad.dataset_id, changes_seen)

    async def _settle(self, part: Batch, decision: Done | DeadLetter | Expire, waiting: Sequence[QueuedEvent]) -> None:
        await self._settlement.settle(part, decision, waiting)
        self.suspects.forget(part.events)

    async def _attempt(self, part: Batch, send: Send) -> Decision:
        """Make one request and decide; the destination as a whole pauses or rests from here on."""
        attempt, changes_seen = self._gate.begin(len(part.events), self._clock.monotonic()), self._gate.changes_seen
        answer = await self._ask(part, send)
        now, monotonic = self._clock.now(), self._clock.monotonic()
        failures = self._gate.end(attempt, answer, monotonic, now)
        decision = decide(answer.outcome, part, failures, now, self._parts.jitter(), self._settings.retry)
        match decision:
            case RetryAt(when, detail):
                self._gate.rest((when - now) / _SECOND, detail, monotonic)
            case PauseDestination():
                self._pause(decision, part.dataset_id, changes_seen)
        if skew := self.find_skew(answer):
            self._pause(PauseDestination("clock_skew", _tell_skew(skew)), part.dataset_id, changes_seen)
        return decision

    async def _ask(self, part: Batch, send: Send) -> Answer:
        target = self._parts.find_target(part.destination_id, part.dataset_id)
        if target is None:
            return _NO_TOKEN
        sent_at = self._clock.monotonic()
        answer = await send(part, target)
        self._parts.telemetry.attempted(self._destination_id, answer.outcome, self._clock.monotonic() - sent_at)
        return answer

    async def probe(self, dataset_id: DatasetId) -> Answer:
        """Ask with an empty request, which records nothing."""
        return await self._ask(Batch(self._destination_id, dataset_id, ()), self._send_nothing)

    async def _send_nothing(self, _part: Batch, target: Target) -> Answer:
        return await self._parts.probe(target)

    def find_skew(self, answer: Answer) -> timedelta | None:
        """How far the wall clock is ahead of Meta's, when that is too far for judging ages; None when it is not."""
        monotonic = self._clock.monotonic()
        # Whoever gives no usable answer may be anybody, with any clock.
        if answer.answered_at is not None and not isinstance(answer.outcome, Unavailable):
            self._parts.clock_guard.note(answer.answered_at, monotonic)
        return self._parts.clock_guard.find_excess(self._clock.now(), monotonic)

    async def _may_judge_age(self, expired: Sequence[QueuedEvent]) -> bool:
        """Whether the clock that calls these expired has been checked against Meta's; if not, ask Meta."""
        if not self._trusts_clock():
            await self._attempt(Batch(self._destination_id, expired[0].dataset_id, ()), self._send_nothing)
        if self._trusts_clock():
            return self.may_send
        self._gate.rest(_UNKNOWN_CLOCK_SECONDS, "Meta's clock is not known", self._clock.monotonic())
        return False

    def _trusts_clock(self) -> bool:
        return self._parts.clock_guard.is_trusted(self._clock.now(), self._clock.monotonic())

    def _pause(self, pause: PauseDestination, dataset_id: DatasetId, changes_seen: int) -> None:
        now, at = self._clock.monotonic(), self._clock.now()
        if self._gate.pause(pause.reason, pause.detail, dataset_id, changes_seen, now, at):
            self._parts.telemetry.paused(self._destination_id, pause.reason, pause.detail)


def _tell_end(decision: Decision) -> str:
    return decision.reason.detail if isinstance(decision, DeadLetter) else "Meta refuses the events for their age"


def _tell_skew(skew: timedelta) -> str:
    direction = "ahead of" if skew > timedelta(0) else "behind"
    return f"this machine's clock is {abs(skew) // _SECOND} seconds {direction} Meta's"
