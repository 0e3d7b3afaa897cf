"""Whether a destination may be sent to now; if not, why, and until when. Pure: the clocks are arguments.

`now` is always in seconds on the monotonic clock; `at` is the wall clock, for people only.
"""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from signalpost.deliver.breaker import Breaker, BreakerPolicy
from signalpost.deliver.pace import Pace, PacePolicy
from signalpost.deliver.probes import PROBE_UNANSWERED_DELAY, find_probe_delay
from signalpost.deliver.retry import RetryPolicy, find_throttle_delay
from signalpost.model.delivery import (
    Accepted,
    Answer,
    Outcome,
    PauseReason,
    Throttled,
    Unauthorized,
    Unavailable,
    Unclear,
)
from signalpost.model.destination_state import DestinationState, Pause
from signalpost.model.ids import DatasetId, DestinationId


class Send(msgspec.Struct, frozen=True):
    """Lease a batch and send it."""


class Probe(msgspec.Struct, frozen=True):
    """Ask with an empty request for this dataset whether the pause is over."""

    dataset_id: DatasetId


class Wait(msgspec.Struct, frozen=True):
    """Nothing to do for so many seconds, or until something changes."""

    seconds: float = math.inf


Step = Send | Probe | Wait


class Attempt(msgspec.Struct, frozen=True):
    """What was so when a request was begun; requests under way side by side must not count as a row of failures."""

    last_kind: type[Outcome]
    in_a_row: int
    event_count: int


@dataclass(slots=True)
class _Paused:
    reason: PauseReason
    detail: str
    dataset_id: DatasetId
    since: datetime
    probes_made: int = 0
    next_probe_at: float = math.inf


class Gate:
    """The state of one destination: paused, resting, or open at some pace."""

    def __init__(self, breaker: BreakerPolicy, pace: PacePolicy, retry: RetryPolicy) -> None:
        self._breaker = Breaker(breaker)
        self._pace = Pace(pace)
        self._full_usage = pace.full_usage
        self._full_in_a_row = 0
        self._retry = retry
        self._paused: _Paused | None = None
        self._resumed_by_probe: PauseReason | None = None
        self._rests_until = -math.inf
        self._rests_because = ""
        self.changes_seen = 0
        self._last_kind: type[Outcome] = Accepted
        self._in_a_row = 0
        self._last_answer: tuple[Answer, datetime] | None = None

    @property
    def pause_reason(self) -> PauseReason | None:
        """None while the destination is not paused."""
        return self._paused.reason if self._paused is not None else None

    def find_step(self, now: float, in_flight: int) -> Step:
        """What the worker is to do next. in_flight: batches under way."""
        if self._paused is not None:
            wait = self._paused.next_probe_at - now
            return Wait(wait) if wait > 0 else Probe(self._paused.dataset_id)
        wait = max(self._rests_until, self._pace.free_at) - now
        if wait > 0:
            return Wait(wait)
        return Send() if in_flight < self._breaker.allowed_in_flight else Wait()

    def is_open(self, now: float) -> bool:
        """Whether the next request of a batch that is under way may go out; the pace holds between batches only."""
        return self._paused is None and now >= self._rests_until

    def begin(self, count: int, now: float) -> Attempt:
        """A request with so many events goes out."""
        self._pace.sent(count, now)
        return Attempt(self._last_kind, self._in_a_row, count)

    def end(self, attempt: Attempt, answer: Answer, now: float, at: datetime) -> int:
        """The request was answered, or was not. Return how many outcomes of its kind were in a row before it."""
        kind = type(answer.outcome)
        failures = attempt.in_a_row if kind is attempt.last_kind else 0
        self._last_kind, self._in_a_row = kind, failures + 1
        self._last_answer = answer, at
        if isinstance(answer.outcome, Unavailable):
            self._breaker.failed(failures + 1)
            self._pace.failed(now)
            return failures
        if self._breaker.answered():
            self._pace.recovered(now)
        if isinstance(answer.outcome, Accepted | Unclear):
            self._breaker.succeeded()
            self._pace.taken(attempt.event_count, now)
            self._resumed_by_probe = None
            self._follow_usage(answer, now)
        return failures

    def rest(self, seconds: float, because: str, now: float) -> None:
        """Send nothing for so long; a longer rest that was asked for before holds."""
        if now + seconds > self._rests_until:
            self._rests_until, self._rests_because = now + seconds, because

    def pause(
        self, reason: PauseReason, detail: str, dataset_id: DatasetId, changes_seen: int, now: float, at: datetime
    ) -> bool:
        """Stop until somebody or a probe resumes. False when it was paused already, or the settings changed since.

        changes_seen: as they were when the request began that this is about.
        """
        if self._paused is not None or changes_seen != self.changes_seen:
            return False
        self._paused = _Paused(reason, detail, dataset_id, at)
        # A probe that lets go what then fails again has proved nothing: it is not believed a second time.
        self._schedule_probe(find_probe_delay(reason, int(reason == self._resumed_by_probe)), now)
        return True

    def probed(self, answer: Answer, skew: timedelta | None, now: float, at: datetime) -> bool:
        """A probe was answered, or was not. True when it ends the pause. skew: when the clocks are too far apart."""
        paused = self._paused
        if paused is None:
            return False
        self._last_answer = answer, at
        match answer.outcome:
            case Unavailable() | Throttled():
                self._schedule_probe(PROBE_UNANSWERED_DELAY, now)
                return False
            case Unauthorized(reason, detail):
                paused.reason, paused.detail = reason, detail
            case _ if skew is None:
                self._resumed_by_probe = paused.reason
                self._paused = None
                return True
        paused.probes_made += 1
        self._schedule_probe(find_probe_delay(paused.reason, paused.probes_made), now)
        return False

    def resume(self) -> bool:
        """Try again at once: the settings have changed, or a person says so. True when that ends a pause."""
        self.changes_seen += 1
        self._resumed_by_probe = None
        was_paused, self._paused = self._paused is not None, None
        return was_paused

    def end_rest(self) -> None:
        """Do not wait any longer, whoever asked for it."""
        self._rests_until = self._pace.free_at = -math.inf

    def describe(
        self, destination_id: DestinationId, *, in_flight: int, suspects: int, now: float, at: datetime
    ) -> DestinationState:
        """The state as people read it."""
        answer, answered_at = self._last_answer or (None, None)
        outcome = answer.outcome if answer is not None else None
        is_resting = self._rests_until > now
        return DestinationState(
            destination_id=destination_id,
            pause=self._describe_pause(now, at),
            rests_until=at + timedelta(seconds=self._rests_until - now) if is_resting else None,
            rests_because=self._rests_because if is_resting else "",
            is_breaker_open=self._breaker.is_open,
            consecutive_failures=self._in_a_row if self._last_kind is Unavailable else 0,
            usage=answer.usage if answer is not None else None,
            events_per_second=self._pace.find_limit(now),
            batches_in_flight=in_flight,
            suspects=suspects,
            last_outcome=type(outcome).__name__.lower() if outcome is not None else "",
            last_detail=getattr(outcome, "detail", ""),
            last_answer_at=answered_at,
        )

    def _describe_pause(self, now: float, at: datetime) -> Pause | None:
        paused = self._paused
        if paused is None:
            return None
        wait = paused.next_probe_at - now
        next_probe_at = at + timedelta(seconds=max(wait, 0)) if wait < math.inf else None
        return Pause(paused.reason, paused.detail, paused.since, next_probe_at)

    def _schedule_probe(self, delay: timedelta | None, now: float) -> None:
        if self._paused is not None:
            self._paused.next_probe_at = now + delay.total_seconds() if delay is not None else math.inf

    def _follow_usage(self, answer: Answer, now: float) -> None:
        if answer.usage is None or answer.usage < self._full_usage:
            self._full_in_a_row = 0
        else:
            # Meta still took this request, and would refuse the next ones: wait as if it had refused this one.
            wait = answer.wait_seconds or find_throttle_delay(self._full_in_a_row, self._retry).total_seconds()
            self._full_in_a_row += 1
            self.rest(wait, f"{answer.usage:.0%} of Meta's rate limit is used up", now)
        if answer.usage is not None:
            self._pace.note_usage(answer.usage, now)
