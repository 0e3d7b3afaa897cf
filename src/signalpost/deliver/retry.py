"""Should it be tried again, and when? One pure function from what Meta answered to what we do next.

There is no limit to the attempts: an event is tried until Meta takes it, refuses it, or would refuse it for its age.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import assert_never

import msgspec

from signalpost.model.delivery import (
    Accepted,
    Batch,
    DeadReason,
    Outcome,
    PauseReason,
    Rejected,
    Throttled,
    Unauthorized,
    Unavailable,
    Unclear,
)

TOO_OLD = "100/2804003"
RECEIPT_MISMATCH = "receipt_mismatch"


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long to wait: after failures a random part of a delay that doubles; when throttled, what Meta names.

    After `opens_after` failures in a row (the breaker) at least `probe_interval`. throttle_delay: when Meta names none;
    it doubles too.
    """

    first_delay: timedelta = timedelta(seconds=1)
    max_delay: timedelta = timedelta(seconds=300)
    opens_after: int = 5
    probe_interval: timedelta = timedelta(seconds=30)
    throttle_delay: timedelta = timedelta(seconds=60)
    max_throttle_delay: timedelta = timedelta(minutes=15)


class Done(msgspec.Struct, frozen=True):
    """Delivered."""

    fbtrace_id: str | None
    flags: tuple[str, ...] = ()


class RetryAt(msgspec.Struct, frozen=True):
    """Try again at `when`; until then the destination rests. `charge`: whether it counts as an attempt."""

    when: datetime
    detail: str
    charge: bool = True


class Split(msgspec.Struct, frozen=True):
    """Something in it is refused: send the halves."""


class DeadLetter(msgspec.Struct, frozen=True):
    """The single event can't be delivered. is_known: whether such refusals are known to be about data."""

    reason: DeadReason
    is_known: bool = True


class Expire(msgspec.Struct, frozen=True):
    """The single event is older than Meta takes."""


class PauseDestination(msgspec.Struct, frozen=True):
    """The destination is at fault: its events stay pending until its settings change."""

    reason: PauseReason
    detail: str


Decision = Done | RetryAt | Split | DeadLetter | Expire | PauseDestination


def decide(
    outcome: Outcome, batch: Batch, failures: int, now: datetime, jitter: float, policy: RetryPolicy
) -> Decision:
    """What to do with a batch after one attempt.

    failures: how many outcomes of this same kind the destination had in a row before this one. jitter: 0 to 1, drawn by
    the caller.
    """
    match outcome:
        case Accepted(fbtrace_id):
            return Done(fbtrace_id)
        case Unclear(events_received, fbtrace_id):
            if all(event.is_unclear for event in batch.events):
                return Done(fbtrace_id, (RECEIPT_MISMATCH,))
            detail = f"unclear: Meta counted {events_received} of {len(batch.events)} events"
            return RetryAt(now + policy.first_delay, detail)
        case Unavailable(detail, wait_seconds):
            wait = max(find_backoff(failures, jitter, policy), timedelta(seconds=wait_seconds or 0))
            return RetryAt(now + wait, f"unavailable: {detail}")
        case Throttled(wait_seconds, detail):
            wait = find_throttle_delay(failures, policy) if wait_seconds is None else timedelta(seconds=wait_seconds)
            return RetryAt(now + wait, f"throttled: {detail}", charge=False)
        case Unauthorized(reason, detail):
            return PauseDestination(reason, detail)
        case Rejected(code, detail, fbtrace_id, is_known):
            if len(batch.events) > 1:
                return Split()
            if code == TOO_OLD:
                return Expire()
            return DeadLetter(DeadReason("400", code, detail, fbtrace_id), is_known)
        case unreachable:
            assert_never(unreachable)


def find_backoff(failures: int, jitter: float, policy: RetryPolicy) -> timedelta:
    """Full jitter: anywhere between nothing and a delay that doubles with each failure up to the longest.

    failures: those in a row before this one. Once the breaker is open Meta is tried every 30 seconds at most.
    """
    delay = jitter * _double(policy.first_delay, failures, policy.max_delay)
    return max(delay, policy.probe_interval) if failures + 1 >= policy.opens_after else delay


def find_throttle_delay(failures: int, policy: RetryPolicy) -> timedelta:
    """The whole of a delay that doubles: Meta has asked for silence."""
    return _double(policy.throttle_delay, failures, policy.max_throttle_delay)


def _double(delay: timedelta, times: int, longest: timedelta) -> timedelta:
    return min(longest, delay * (1 << min(times, 20)))
