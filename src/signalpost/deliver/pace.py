"""How many events a second a destination is sent. Pure: seconds on the monotonic clock are an argument.

Three things hold it back: a limit that is configured; Meta's usage headers; and, in the first minute after an outage,
what it was sent before, so that everything that waited does not arrive at once.
"""

import math
from dataclasses import dataclass

_METER_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class PacePolicy:
    """Events a second; 0 of `rate_limit` is no limit.

    high_usage: from this share of Meta's limits on the pace is halved; it comes back by `recovery` of it a minute.
    full_usage: from here on nothing is sent for a while. after_outage_seconds: how long the pace stays within
    `after_outage_times` what it was before, but never under `least_after_outage`.
    """

    rate_limit: float = 0
    high_usage: float = 0.80
    full_usage: float = 0.95
    recovery: float = 0.10
    after_outage_seconds: float = 60
    after_outage_times: float = 2
    least_after_outage: float = 500


class RateMeter:
    """Events a second over about the last minute: each counts less the longer ago it was."""

    def __init__(self) -> None:
        self._started_at: float | None = None
        self._read_at = 0.0
        self._weighed = 0.0

    def add(self, count: int, now: float) -> None:
        """So many events were taken."""
        if self._started_at is None:
            self._started_at = self._read_at = now
        self._decay(now)
        self._weighed += count

    def read(self, now: float) -> float:
        """0 before the first."""
        if self._started_at is None:
            return 0.0
        self._decay(now)
        # So soon after the start not a whole minute has been seen.
        seen = 1 - math.exp(-max(now - self._started_at, 1.0) / _METER_SECONDS)
        return self._weighed / _METER_SECONDS / seen

    def _decay(self, now: float) -> None:
        self._weighed *= math.exp(-(now - self._read_at) / _METER_SECONDS)
        self._read_at = now


class Pace:
    """Says when the next batch may go. Every batch costs the time that its events take at the pace of the moment."""

    def __init__(self, policy: PacePolicy) -> None:
        self._policy = policy
        self._meter = RateMeter()
        self._before_outage: float | None = None
        self._slow_until = -math.inf
        self._slow_rate = 0.0
        self._usage_base: float | None = None
        self._usage_share = 1.0
        self._usage_changed_at = 0.0
        self.free_at = -math.inf

    def sent(self, count: int, now: float) -> None:
        """A batch goes out now."""
        rate = self.find_limit(now)
        if rate is not None:
            self.free_at = max(now, self.free_at) + count / rate

    def taken(self, count: int, now: float) -> None:
        """Meta took so many events: what was sent in vain tells nothing of what is usual."""
        self._meter.add(count, now)

    def failed(self, now: float) -> None:
        """An outage begins, or goes on: remember what was usual before it."""
        if self._before_outage is None:
            self._before_outage = self._meter.read(now)

    def recovered(self, now: float) -> None:
        """The outage is over."""
        if self._before_outage:
            policy = self._policy
            self._slow_until = now + policy.after_outage_seconds
            self._slow_rate = max(self._before_outage * policy.after_outage_times, policy.least_after_outage)
        self._before_outage = None

    def note_usage(self, usage: float, now: float) -> None:
        """An answer says how much of Meta's limits is used up. Halves the pace at most once a minute."""
        if usage < self._policy.high_usage:
            return
        is_fresh = self._usage_base is None or now - self._usage_changed_at >= _METER_SECONDS
        if is_fresh:
            share = self._find_usage_share(now)
            self._usage_base = self._usage_base or self._policy.rate_limit or max(self._meter.read(now), 1.0)
            self._usage_share = share / 2
            self._usage_changed_at = now

    def find_limit(self, now: float) -> float | None:
        """Events a second that are allowed now; None when there is no limit."""
        limits = [self._policy.rate_limit] if self._policy.rate_limit else []
        if now < self._slow_until:
            limits.append(self._slow_rate)
        share = self._find_usage_share(now)
        if self._usage_base is not None and share < 1:
            limits.append(self._usage_base * share)
        elif share >= 1:
            self._usage_base = None
        return min(limits, default=None)

    def _find_usage_share(self, now: float) -> float:
        if self._usage_base is None:
            return 1.0
        minutes = (now - self._usage_changed_at) / _METER_SECONDS
        return min(1.0, self._usage_share + self._policy.recovery * minutes)
