"""What the write thread does beside the groups: look for room every second, checkpoint, make room before it runs out.

It alone checkpoints, so that no two ever meet, and often enough that the write-ahead log stays small.
"""

import contextlib
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

import apsw

from signalpost import failpoints
from signalpost.queue.instants import to_milliseconds
from signalpost.queue.ledger import LedgerStore
from signalpost.queue.retention import give_back_space, prune_payloads
from signalpost.queue.room import Room

SECONDS_BETWEEN_LOOKS: Final = 1.0
# 16 MiB of log: seldom enough to sync the file little, often enough to keep the log far below its limit of 64 MiB.
_PAGES_BETWEEN_CHECKPOINTS: Final = 4_096
# A reader that looks for long keeps the log from being reused; from here on the writer waits for it.
_PAGES_TOO_MANY: Final = 12_288

# Sum up the bytes that wait, by source.
_SUM_WAITING: Final = """
    SELECT source_id, sum(count) FROM ledger WHERE span = 0 AND state = 'waiting_bytes' GROUP BY source_id"""


class Upkeep:
    """Works on the writer's connection, between its transactions. room: None when nobody watches the disk."""

    def __init__(
        self,
        connection: apsw.Connection,
        ledger: LedgerStore,
        room: Room | None,
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
    ) -> None:
        self._connection = connection
        self._ledger = ledger
        self._room = room
        self._now = now
        self._monotonic = monotonic
        self._next_look = 0.0
        self.log_pages = 0
        connection.set_wal_hook(self._note_commit)

    def after_group(self) -> None:
        """Do what is due. Raises apsw.IOError when the disk fails."""
        if self.log_pages >= _PAGES_BETWEEN_CHECKPOINTS:
            self._checkpoint()
        if self._room is not None:
            self._look(self._room)

    def tell_full(self) -> None:
        """A write failed for lack of room."""
        if self._room is not None:
            self._room.tell_full()

    def _note_commit(self, _connection: apsw.Connection, _database: str, pages: int) -> int:
        self.log_pages = pages
        return apsw.SQLITE_OK

    def _checkpoint(self) -> None:
        failpoints.reach("in_checkpoint")
        mode = apsw.SQLITE_CHECKPOINT_RESTART if self.log_pages >= _PAGES_TOO_MANY else apsw.SQLITE_CHECKPOINT_PASSIVE
        with contextlib.suppress(apsw.BusyError, apsw.FullError):
            in_log, copied = self._connection.wal_checkpoint(mode=mode)
            # The next commit starts the log anew when all of it was copied, and tells its length then.
            self.log_pages = 0 if in_log == copied else self.log_pages

    def _look(self, room: Room) -> None:
        room.look()
        if self._monotonic() < self._next_look:
            return
        self._next_look = self._monotonic() + SECONDS_BETWEEN_LOOKS
        waiting: list[tuple[Any, ...]] = self._connection.execute(_SUM_WAITING).fetchall()
        room.look(dict(waiting))
        if room.is_tight:
            self._make_room(room)

    def _make_room(self, room: Room) -> None:
        """Let go of what is kept for the console alone, and shorten the file."""
        now_ms = to_milliseconds(self._now())
        try:
            with self._connection:
                prune_payloads(self._connection, self._ledger, now_ms, now_ms + 1)
            with self._connection:
                give_back_space(self._connection, free_pages_kept=0)
        except apsw.FullError:
            room.tell_full()
        except apsw.CorruptError:
            return  # the file can't be shortened; what can be delivered still is
