"""How long what has ended is kept, and how it is deleted: a little in each transaction, so that ingest hardly waits.

What waits is never touched, however old it is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import apsw

from signalpost import failpoints
from signalpost.queue import dead_letters
from signalpost.queue.ledger import HOUR, MINUTE, LedgerStore, Span, delete_old_counts
from signalpost.queue.seen_calls import SeenCalls
from signalpost.queue.settling import bind

ROWS_PER_STEP: Final = 500
_LOG_ROWS_PER_STEP: Final = 20
_PAGES_PER_STEP: Final = 500
_FREE_PAGES_KEPT: Final = 4096
_NEVER: Final = 1 << 62


@dataclass(frozen=True, slots=True)
class Retention:
    """How long each thing is kept.

    delivered_payloads: zero deletes a payload as soon as Meta has taken it. delivered_payload_bytes: at most so many
    are kept; the oldest go first.
    """

    dedupe_keys: timedelta = timedelta(hours=24)
    delivered_payloads: timedelta = timedelta(hours=72)
    delivered_payload_bytes: int = 1 << 30
    ended_events: timedelta = timedelta(days=7)
    dead_letters: timedelta = timedelta(days=30)
    ledger_minutes: timedelta = timedelta(hours=48)
    ledger_hours: timedelta = timedelta(days=400)


# Delete the oldest rows of the log of calls seen.
_PRUNE_DEDUPE_KEYS: Final = """
    DELETE FROM dedupe_keys WHERE id IN
        (SELECT id FROM (SELECT id, seen_at FROM dedupe_keys ORDER BY id LIMIT ?2) WHERE seen_at < ?1)
    RETURNING digests"""

# Take the oldest delivered events off the list of kept payloads: those that are too old, or as many as are too much.
_FIND_OLD_PAYLOADS: Final = """
    SELECT id, event, size FROM (SELECT id, event, size, ended_at FROM kept_payloads ORDER BY id LIMIT ?2)
    WHERE ended_at < ?1"""
_FORGET_PAYLOADS: Final = "DELETE FROM kept_payloads WHERE id IN carray(?1)"

# Delete payloads.
_DELETE_PAYLOADS: Final = "DELETE FROM payloads WHERE id IN carray(?1)"

# Delete the oldest metadata of ended events.
_PRUNE_ENDED: Final = """
    DELETE FROM ended_events WHERE id IN
        (SELECT id FROM (SELECT id, ended_at FROM ended_events ORDER BY id LIMIT ?2) WHERE ended_at < ?1)"""

# Find the oldest dead letters.
_FIND_OLD_DEAD_LETTERS: Final = "SELECT id FROM dead_letters WHERE rejected_at < ?1 ORDER BY rejected_at LIMIT ?2"

# Find by how many bytes the payloads of delivered events exceed what may be kept.
_FIND_EXCESS: Final = """
    SELECT coalesce(max(count), 0) - ?1 FROM ledger
    WHERE span = 0 AND start = 0 AND source_id = '' AND state = 'kept_bytes'"""

RetentionStep = Callable[[apsw.Connection], bool]
"""Deletes some rows; True when there may be more to delete."""


def build_steps(retention: Retention, ledger: LedgerStore, seen: SeenCalls, now_ms: int) -> tuple[RetentionStep, ...]:
    """Everything that is due now, each step to be repeated in a transaction of its own until it returns False."""

    def before(kept: timedelta) -> int:
        return now_ms - kept // timedelta(milliseconds=1)

    return (
        lambda connection: _prune_dedupe_keys(connection, seen, before(retention.dedupe_keys)),
        lambda connection: prune_payloads(connection, ledger, now_ms, before(retention.delivered_payloads)),
        lambda connection: _prune_ended(connection, before(retention.ended_events)),
        lambda connection: _prune_dead_letters(connection, ledger, now_ms, before(retention.dead_letters)),
        lambda connection: _prune_ledger(connection, MINUTE, before(retention.ledger_minutes)),
        lambda connection: _prune_ledger(connection, HOUR, before(retention.ledger_hours)),
        give_back_space,
    )


def prune_payloads(connection: apsw.Connection, ledger: LedgerStore, now_ms: int, before_ms: int) -> bool:
    """Delete the oldest payloads of delivered events; their metadata stay."""
    rows: list[tuple[Any, ...]] = connection.execute(_FIND_OLD_PAYLOADS, (before_ms, ROWS_PER_STEP)).fetchall()
    _delete_payloads(connection, ledger, now_ms, rows)
    failpoints.reach("in_retention")
    return len(rows) == ROWS_PER_STEP


def limit_kept_payloads(
    connection: apsw.Connection, ledger: LedgerStore, now_ms: int, most_bytes: int, limit: int
) -> None:
    """Delete up to `limit` of the oldest payloads while more bytes are kept than may be."""
    excess: int = connection.execute(_FIND_EXCESS, (most_bytes,)).get
    if excess <= 0:
        return
    rows: list[tuple[Any, ...]] = []
    oldest: list[tuple[Any, ...]] = connection.execute(_FIND_OLD_PAYLOADS, (_NEVER, limit)).fetchall()
    for row in oldest:
        if excess <= 0:
            break
        rows.append(row)
        excess -= row[2]
    _delete_payloads(connection, ledger, now_ms, rows)


def _delete_payloads(
    connection: apsw.Connection, ledger: LedgerStore, now_ms: int, rows: Sequence[tuple[Any, ...]]
) -> None:
    if rows:
        ids, events, sizes = zip(*rows, strict=True)
        connection.execute(_DELETE_PAYLOADS, (bind(events),))
        connection.execute(_FORGET_PAYLOADS, (bind(ids),))
        ledger.add(now_ms, {("", "", "", "kept_bytes", ""): -sum(sizes)})


def give_back_space(connection: apsw.Connection, free_pages_kept: int = _FREE_PAGES_KEPT) -> bool:
    """Shorten the file by some of its free pages, as long as many are free; new events use up the others."""
    if connection.pragma("freelist_count") <= free_pages_kept:
        return False
    connection.execute(f"PRAGMA incremental_vacuum({_PAGES_PER_STEP})").fetchall()
    return True


def _prune_dedupe_keys(connection: apsw.Connection, seen: SeenCalls, before_ms: int) -> bool:
    log_rows: list[tuple[Any, ...]] = connection.execute(_PRUNE_DEDUPE_KEYS, (before_ms, _LOG_ROWS_PER_STEP)).fetchall()
    for (log_row,) in log_rows:
        seen.forget(log_row)
    return len(log_rows) == _LOG_ROWS_PER_STEP


def _prune_ended(connection: apsw.Connection, before_ms: int) -> bool:
    connection.execute(_PRUNE_ENDED, (before_ms, ROWS_PER_STEP))
    return connection.changes() == ROWS_PER_STEP


def _prune_dead_letters(connection: apsw.Connection, ledger: LedgerStore, now_ms: int, before_ms: int) -> bool:
    found: Sequence[int] = [id_ for (id_,) in connection.execute(_FIND_OLD_DEAD_LETTERS, (before_ms, ROWS_PER_STEP))]
    if found:
        dead_letters.delete(connection, ledger, found, now_ms, "aged_out")
    return len(found) == ROWS_PER_STEP


def _prune_ledger(connection: apsw.Connection, span: Span, before_ms: int) -> bool:
    return delete_old_counts(connection, span, before_ms // 60_000, ROWS_PER_STEP) == ROWS_PER_STEP
