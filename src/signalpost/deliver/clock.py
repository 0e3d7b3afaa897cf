"""The clocks that delivery goes by. Tests put their own in place."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

LARGEST_SKEW: Final = timedelta(minutes=5)


class Clock:
    """The wall clock for ages of events; a clock that nobody sets, in seconds, for every wait."""

    def now(self) -> datetime:
        """The wall clock."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds since some moment."""
        return time.monotonic()

    def call_later(self, seconds: float, callback: Callable[[], object]) -> asyncio.TimerHandle:
        """Call back once, after so many seconds of `monotonic`."""
        return asyncio.get_running_loop().call_later(seconds, callback)


class ClockGuard:
    """Compares the wall clock with Meta's, which every answer names; no event expires by a clock that nobody checked.

    Between two answers Meta's clock is carried on by the monotonic one, so that a wall clock that jumps is noticed
    before the next answer. One for the whole process.
    """

    def __init__(self) -> None:
        self._meta_time: tuple[datetime, float] | None = None

    def note(self, answered_at: datetime, monotonic: float) -> None:
        """An answer of Meta's named this instant."""
        self._meta_time = answered_at, monotonic

    def find_skew(self, now: datetime, monotonic: float) -> timedelta | None:
        """How far the wall clock is ahead of Meta's; None before the first answer of this run."""
        if self._meta_time is None:
            return None
        answered_at, noted_at = self._meta_time
        return now - answered_at - timedelta(seconds=monotonic - noted_at)

    def find_excess(self, now: datetime, monotonic: float) -> timedelta | None:
        """The skew when it is too large to judge the age of an event by the wall clock; else None."""
        skew = self.find_skew(now, monotonic)
        return skew if skew is not None and abs(skew) > LARGEST_SKEW else None

    def is_trusted(self, now: datetime, monotonic: float) -> bool:
        """Whether the wall clock was compared with Meta's in this run, and was right."""
        return self._meta_time is not None and self.find_excess(now, monotonic) is None
