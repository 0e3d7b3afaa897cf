"""Reads that may take a while: in a thread, one at a time, and never for long.

A read that lasts keeps the write-ahead log from being reused, so that it would grow for as long.
"""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import apsw

from signalpost.model.destination_state import DAMAGE_FIX
from signalpost.model.errors import QueueUnavailable
from signalpost.queue.database import open_for_reading

T = TypeVar("T")


class BoundedReader:
    """A connection of its own that can't write."""

    def __init__(self, path: Path, *, longest_seconds: float) -> None:
        self._connection = open_for_reading(path)
        self._longest_seconds = longest_seconds
        self._one_at_a_time = threading.Lock()
        self._is_closed = False

    async def read(self, query: Callable[[apsw.Connection], T]) -> T:
        """Run a query; raises QueueUnavailable when it takes too long, and when the queue is closed or damaged."""
        return await asyncio.to_thread(self._read, query)

    async def close(self) -> None:
        """Wait for the read that runs, and let go of the file."""
        await asyncio.to_thread(self._close)

    def _read(self, query: Callable[[apsw.Connection], T]) -> T:
        with self._one_at_a_time:
            if self._is_closed:
                raise QueueUnavailable("The queue is closed.")
            # SQLite's progress handler is not asked while it counts a whole table; an interrupt is heeded at each page.
            alarm = threading.Timer(self._longest_seconds, self._connection.interrupt)
            alarm.start()
            try:
                return query(self._connection)
            except apsw.InterruptError:
                raise QueueUnavailable(
                    f"This look into the queue took more than {self._longest_seconds:g} seconds; narrow it down."
                ) from None
            except apsw.CorruptError as error:
                raise QueueUnavailable(f"The queue's file is damaged where this look leads. {DAMAGE_FIX}") from error
            finally:
                alarm.cancel()

    def _close(self) -> None:
        with self._one_at_a_time:
            self._is_closed = True
            self._connection.close()
