"""Saves what can be read of a damaged queue into a new file. The damaged one is only read.

SQLite gives up at the first page that makes no sense. So each table is read in ranges of ids, and a range that can't be
read is halved until only the ids on the damaged pages are left out.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import apsw
import msgspec

from signalpost.model.errors import SignalpostError
from signalpost.queue.checksums import is_sound
from signalpost.queue.database import open_for_reading, open_for_writing
from signalpost.queue.migrations import SCHEMA, check_file

_TABLES: Final = ("queued_events", "dead_letters", "payloads", "ended_events", "kept_payloads", "dedupe_keys")
_IDS_AT_ONCE: Final = 1_000
_UNREADABLE: Final = (apsw.CorruptError, apsw.NotADBError, apsw.IOError, apsw.ConstraintError, apsw.MismatchError)

# Read what a checksum is over; events and dead letters have the same columns.
_READ_FOR_CHECK: Final = """
    SELECT destination_id, dataset_id, event_id, event_time, expires_at, checksum, payload
    FROM {table} AS stored LEFT JOIN payloads ON payloads.id = stored.id WHERE checksum IS NOT NULL"""

# Delete payloads whose row is lost: nothing else would ever delete them.
_DROP_ORPHANS: Final = """
    DELETE FROM payloads WHERE id NOT IN (
        SELECT id FROM queued_events UNION ALL SELECT id FROM dead_letters UNION ALL SELECT event FROM kept_payloads)"""

Row = tuple[Any, ...]


class RecoveryFailed(SignalpostError):
    """Nothing was recovered; the message says why."""


class RecoveryReport(msgspec.Struct, frozen=True):
    """What was saved of the events that wait and of the dead letters.

    kept: rows whose checksum is right, damaged: rows whose bytes have changed; those become dead letters (corrupt_row)
    instead of being sent. lost: events that the ledger says wait, and that could not be read; None when the ledger
    itself has suffered.
    """

    kept_events: int
    damaged_events: int
    kept_dead_letters: int
    damaged_dead_letters: int
    lost_events: int | None


def recover(damaged: Path, target: Path) -> RecoveryReport:
    """Write every readable row of the queue `damaged` into the new file `target`. Raises RecoveryFailed."""
    if not damaged.is_file():
        raise RecoveryFailed(f"There is no file {damaged}: name a queue.db.")
    if target.exists():
        raise RecoveryFailed(f"{target} is there already; name a new file.")
    source = _open_damaged(damaged)
    into = open_for_writing(target)
    try:
        highest_id = _find_highest_id(source)
        for table in _TABLES:
            _copy(into, table, _read_rows(source, table, 0, highest_id + 1))
        is_whole = _copy(into, "ledger", _read_from_both_ends(source))
        into.execute(_DROP_ORPHANS)
        into.execute("UPDATE sqlite_sequence SET seq = max(seq, ?)", (highest_id,))
        kept_events, damaged_events = _check(into, "queued_events")
        kept_letters, damaged_letters = _check(into, "dead_letters")
        lost = _count_waiting(into) - kept_events - damaged_events if is_whole else None
    finally:
        into.close()
        source.close()
    return RecoveryReport(kept_events, damaged_events, kept_letters, damaged_letters, lost)


def _open_damaged(damaged: Path) -> apsw.Connection:
    try:
        source = open_for_reading(damaged)
        check_file(source)
        schema: int = source.pragma("user_version")
    except apsw.Error as error:
        raise RecoveryFailed(
            f"{damaged} can't be opened at all ({type(error).__name__}); restore the latest backup instead."
        ) from error
    if schema != SCHEMA:
        raise RecoveryFailed(f"{damaged} has schema {schema}; recover it with the Signalpost that wrote it.")
    return source


def _find_highest_id(source: apsw.Connection) -> int:
    """The highest id that was ever given, as far as anything still tells."""
    found = [0]
    for query in ("SELECT max(seq) FROM sqlite_sequence", *(f"SELECT max(id) FROM {table}" for table in _TABLES)):  # noqa: S608
        try:
            found.append(source.execute(query).get or 0)
        except _UNREADABLE:
            continue
    return max(found)


def _read_rows(source: apsw.Connection, table: str, start: int, end: int) -> Iterator[Row]:
    """The rows with start <= id < end, without those on pages that can't be read."""
    for first in range(start, end, _IDS_AT_ONCE):
        yield from _read_range(source, table, first, min(first + _IDS_AT_ONCE, end))


def _read_range(source: apsw.Connection, table: str, start: int, end: int) -> Sequence[Row]:
    try:
        return source.execute(f"SELECT * FROM {table} WHERE id >= ? AND id < ?", (start, end)).fetchall()  # noqa: S608
    except _UNREADABLE:
        if end - start == 1:
            return ()
    middle = (start + end) // 2
    return [*_read_range(source, table, start, middle), *_read_range(source, table, middle, end)]


def _read_from_both_ends(source: apsw.Connection) -> Iterator[Row | None]:
    """The counters of the ledger, which has no ids: up to the damaged page, and again from the other side.

    Yields None where it stopped at a damaged page.
    """
    key = "span, start, source_id, destination_id, event_name, state, code"
    for order in (key, ", ".join(f"{column} DESC" for column in key.split(", "))):
        try:
            yield from source.execute(f"SELECT * FROM ledger ORDER BY {order}")  # noqa: S608
        except _UNREADABLE:
            yield None
        else:
            return


def _copy(into: apsw.Connection, table: str, rows: Iterator[Row] | Iterator[Row | None]) -> bool:
    """Insert the rows; returns whether all of them could be read and stored."""
    is_whole = True
    with into:
        for row in rows:
            try:
                if row is None:
                    is_whole = False
                else:
                    into.execute(f"INSERT OR IGNORE INTO {table} VALUES ({', '.join('?' * len(row))})", row)  # noqa: S608
            except _UNREADABLE:  # a value that is no longer of its column's type
                is_whole = False
    return is_whole


def _check(into: apsw.Connection, table: str) -> tuple[int, int]:
    """How many rows are what had been stored, and how many are not."""
    total: int = into.execute(f"SELECT count(*) FROM {table}").get  # noqa: S608
    damaged = 0
    for destination, dataset, event_id, event_time, expires_at, checksum, payload in into.execute(
        _READ_FOR_CHECK.format(table=table)
    ):
        of_event = destination, dataset, event_id, event_time, expires_at
        damaged += not is_sound(checksum, *of_event, payload=payload or b"")
    return total - damaged, damaged


def _count_waiting(into: apsw.Connection) -> int:
    """How many events wait, by the counters."""
    query = """
        SELECT coalesce(sum(CASE WHEN state IN ('accepted', 'requeued') THEN count
            WHEN state IN ('delivered', 'filtered', 'rejected', 'expired', 'erased') THEN -count ELSE 0 END), 0)
        FROM ledger WHERE span = 0"""
    return int(into.execute(query).get)
