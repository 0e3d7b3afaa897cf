"""Reads that may take a while: in a thread, one at a time, and never for long.

A read that lasts keeps the write-ahead log from being reused, so that it would grow for as long.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

import apsw

from signalpost.model.errors import QueueUnavailable
from signalpost.queue.database import open_for_reading

_STEPS_BETWEEN_LOOKS: Final = 100_000
"""Instructions of SQLite's machine, a few milliseconds of them."""

T = TypeVar("T")


class BoundedReader:
    """A connection of its own that can't write."""

    def __init__(self, path: Path, *, longest_seconds: float) -> None:
        self._connection = open_for_reading(path)
        self._connection.set_progress_handler(self._is_too_long, _STEPS_BETWEEN_LOOKS)
        self._longest_seconds = longest_seconds
        self._one_at_a_time = threading.Lock()
        self._ends_at = 0.0
        self._is_closed = False

    async def read(self, query: Callable[[apsw.Connection], T]) -> T:
        """Run a query; raises QueueUnavailable when it takes too long or the queue is closed."""
        return await asyncio.to_thread(self._read, query)

    async def close(self) -> None:
        """Wait for the read that runs, and let go of the file."""
        await asyncio.to_thread(self._close)

    def _read(self, query: Callable[[apsw.Connection], T]) -> T:
        with self._one_at_a_time:
            if self._is_closed:
                raise QueueUnavailable("The queue is closed.")
            self._ends_at = time.monotonic() + self._longest_seconds
            try:
                return query(self._connection)
            except apsw.InterruptError:
                raise QueueUnavailable(
                    f"This look into the queue took more than {self._longest_seconds:g} seconds; narrow it down."
                ) from None

    def _close(self) -> None:
        with self._one_at_a_time:
            self._is_closed = True
            self._connection.close()

    def _is_too_long(self) -> bool:
        return time.monotonic() > self._ends_at
