"""The emulator's time: the computer's, moved by whatever a test asked for."""

import time
from collections.abc import Callable
from datetime import UTC, datetime


class EmulatorClock:
    """Seconds since 1970 that keep ticking after they were moved."""

    def __init__(self, read_time: Callable[[], float] = time.time) -> None:
        self._read_time = read_time
        self._offset_seconds = 0.0

    def now(self) -> float:
        return self._read_time() + self._offset_seconds

    def move_to(self, instant: datetime) -> None:
        self._offset_seconds = instant.timestamp() - self._read_time()

    def advance(self, seconds: float) -> None:
        self._offset_seconds += seconds

    def reset(self) -> None:
        self._offset_seconds = 0.0


def format_instant(seconds: float) -> str:
    """Return an instant as ISO 8601 in UTC with milliseconds, for example 2026-11-21T22:32:04.512Z."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
