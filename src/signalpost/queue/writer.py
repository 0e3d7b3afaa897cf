"""The write thread: it alone owns the read-write connection, and it alone commits, syncs and checkpoints.

Group commit without a timer: whatever waits when the last commit has ended goes into the next transaction together, and
is answered only after COMMIT has returned, that is, after the write-ahead log was synced.
"""

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final

import apsw
import msgspec

from signalpost import failpoints
from signalpost.model.destination_state import DAMAGE_FIX
from signalpost.model.errors import QueueUnavailable
from signalpost.queue.puts import PreparedPut, PutStore, StoredPut
from signalpost.queue.seen_calls import SeenCalls
from signalpost.queue.upkeep import SECONDS_BETWEEN_LOOKS, Upkeep

_ROWS_PER_GROUP: Final = 500

# What fails whoever asks; trying the members of a group one by one would only fail once for each.
_FAILS_ALL: Final = (apsw.FullError, apsw.BusyError, apsw.CantOpenError, apsw.ReadOnlyError)

SettlingStep = Callable[[apsw.Connection], Any]
"""A settling call's statements, run inside the transaction; what it returns becomes the answer."""


class _Write(msgspec.Struct, eq=False):
    """One call of the queue that waits for its commit."""

    work: PreparedPut | SettlingStep
    rows: int
    answer: asyncio.Future[Any]


class Writer:
    """Takes writes from the event loop and answers each once it is durable, or with QueueUnavailable."""

    def __init__(
        self,
        connection: apsw.Connection,
        puts: PutStore,
        seen: SeenCalls,
        upkeep: Upkeep,
        *,
        abort: Callable[[], object],
        on_trouble: Callable[[str], object],
        on_commit: Callable[[float, int], object],
    ) -> None:
        self._connection = connection
        self._puts = puts
        self._seen = seen
        self._upkeep = upkeep
        self._abort = abort
        self._on_trouble = on_trouble
        self._on_commit = on_commit
        self._waiting_puts: deque[_Write] = deque()
        self._waiting_settles: deque[_Write] = deque()
        self._group: list[_Write] = []
        self._changed = threading.Condition()
        self._closed_because: str | None = None
        self._thread = threading.Thread(target=self._run, name="queue-writer", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether anything can still be written."""
        return self._thread.is_alive() and self._closed_because is None

    async def put(self, put: PreparedPut) -> StoredPut:
        """Store one request; returns after its commit."""
        stored: StoredPut = await self._submit(self._waiting_puts, put, put.size)
        return stored

    async def settle(self, step: SettlingStep, rows: int) -> Any:
        """Run one settling step; returns after its commit."""
        return await self._submit(self._waiting_settles, step, rows)

    async def close(self) -> None:
        """Write what waits, let go of the file, end the thread."""
        with self._changed:
            self._closed_because = self._closed_because or "the queue is closed"
            self._changed.notify()
        await asyncio.to_thread(self._thread.join)

    def _submit(self, lane: deque[_Write], work: PreparedPut | SettlingStep, rows: int) -> asyncio.Future[Any]:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        with self._changed:
            if self._closed_because is not None:
                raise QueueUnavailable(f"Nothing was stored: {self._closed_because}.")
            lane.append(_Write(work, rows, answer))
            self._changed.notify()
        return answer

    def _run(self) -> None:
        try:
            while self._take_group():
                if self._group:
                    self._write_group(self._group)
                self._upkeep.after_group()
            self._connection.close()
        except BaseException as error:  # noqa: BLE001 - a write thread that died in silence would let every put hang
            self._give_up(error)

    def _take_group(self) -> bool:
        """Wait for work, a second at most; False when there is none and the queue is closed."""
        with self._changed:
            if not (self._waiting_puts or self._waiting_settles or self._closed_because):
                self._changed.wait(SECONDS_BETWEEN_LOOKS)
            # One full share each: ingest waits behind one group of settling at most, however much of it has piled up.
            self._group = [*_take_share(self._waiting_puts), *_take_share(self._waiting_settles)]
            return bool(self._group) or self._closed_because is None

    def _write_group(self, group: list[_Write]) -> None:
        """Make a group durable together; when one member spoils it, each alone, so that only that one fails."""
        try:
            answers = self._commit(group)
        except apsw.IOError as error:
            # The index of the log could not grow: that is a full disk too, and nothing was written yet.
            if getattr(error, "extendedresult", 0) != apsw.SQLITE_IOERR_SHMSIZE:
                raise
            self._undo()
            self._upkeep.tell_full()
            self._refuse(group, error)
        except Exception as error:  # noqa: BLE001 - whatever a member raises is that member's answer
            self._undo()
            if isinstance(error, apsw.FullError):
                self._upkeep.tell_full()
            if len(group) == 1 or isinstance(error, _FAILS_ALL):
                self._refuse(group, error)
            else:
                for member in group:
                    self._write_group([member])
        else:
            _answer(group, answers)

    def _commit(self, group: list[_Write]) -> list[Any]:
        began = time.perf_counter()
        puts = [write.work for write in group if isinstance(write.work, PreparedPut)]
        self._connection.execute("BEGIN IMMEDIATE")
        # In the order of the group: a group's puts stand before its settling calls.
        answers: list[Any] = list(self._puts.store(puts)) if puts else []
        answers += [write.work(self._connection) for write in group if not isinstance(write.work, PreparedPut)]
        if puts:
            failpoints.reach("in_group")
        self._connection.execute("COMMIT")
        if puts:
            failpoints.reach("after_commit_before_answer")
        # Dying here loses nothing: the log of calls seen was committed with the events, and is read again at the start.
        self._seen.commit()
        self._on_commit(time.perf_counter() - began, sum(write.rows for write in group))
        return answers

    def _undo(self) -> None:
        self._seen.rollback()
        # A full disk has rolled the transaction back already, and a second ROLLBACK would be an error of its own.
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def _refuse(self, group: list[_Write], error: BaseException) -> None:
        # Only SQLite's own words are safe to repeat: the text of another exception may quote an event.
        told = f"{type(error).__name__}: {error}" if isinstance(error, apsw.Error) else type(error).__name__
        self._on_trouble(f"{told}. {DAMAGE_FIX}" if isinstance(error, apsw.CorruptError) else told)
        _answer(group, [_build_refusal(error) for _ in group])

    def _give_up(self, error: BaseException) -> None:
        """Refuse everything and end the process.

        After a failed sync the kernel may have dropped the pages, so a second sync proves nothing: only a fresh start,
        which reads what the disk really holds, may go on.
        """
        with self._changed:
            self._closed_because = "writing failed"
            lost = [*self._group, *self._waiting_puts, *self._waiting_settles]
            self._waiting_puts.clear()
            self._waiting_settles.clear()
        self._refuse(lost, error)
        self._abort()


def _take_share(lane: deque[_Write]) -> Iterable[_Write]:
    """Take writes from the front until a group's rows are reached; the first one always, however large."""
    rows = 0
    while lane and (not rows or rows + lane[0].rows <= _ROWS_PER_GROUP):
        rows += lane[0].rows
        yield lane.popleft()


def _build_refusal(error: BaseException) -> QueueUnavailable:
    refusal = QueueUnavailable(f"Nothing was stored: {type(error).__name__}.")
    refusal.__cause__ = error
    return refusal


def _answer(group: list[_Write], answers: list[Any]) -> None:
    """Wake the callers, all of a group with one call into their event loop."""
    if group:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            group[0].answer.get_loop().call_soon_threadsafe(_set_answers, group, answers)


def _set_answers(group: list[_Write], answers: list[Any]) -> None:
    for write, answer in zip(group, answers, strict=True):
        if write.answer.done():  # its caller has gone away; the write counts all the same
            continue
        if isinstance(answer, QueueUnavailable):
            write.answer.set_exception(answer)
        else:
            write.answer.set_result(answer)
