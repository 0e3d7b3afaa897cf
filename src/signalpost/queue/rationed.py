"""Readings that grow with the number of rows, and are asked for often: rationed, so that they never cost much."""

import time
from collections.abc import Callable
from typing import Final, Generic, TypeVar

_SHARE: Final = 100
_FREE_SECONDS: Final = 0.005

Value = TypeVar("Value")


class Rationed(Generic[Value]):
    """Makes a reading anew only after a hundred times as long as it took: it costs at most 1 % of a core.

    One that took less than 5 ms is made every time. Not for two threads at once.
    """

    def __init__(
        self, monotonic: Callable[[], float], processor_seconds: Callable[[], float] = time.thread_time
    ) -> None:
        self._monotonic = monotonic
        self._processor_seconds = processor_seconds
        self._latest: tuple[Value, float] | None = None

    def read(self, make: Callable[[], Value]) -> Value:
        """The reading, made now or a while ago."""
        if self._latest is not None and self._monotonic() < self._latest[1]:
            return self._latest[0]
        began = self._processor_seconds()
        value = make()
        cost = self._processor_seconds() - began
        self._latest = (value, self._monotonic() + cost * _SHARE) if cost >= _FREE_SECONDS else None
        return value
