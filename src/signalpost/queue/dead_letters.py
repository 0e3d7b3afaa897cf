"""Dead letters: which ones match a filter, what requeueing them would do, and doing it or discarding them.

Requeued, an event waits again with the same id, payload and event_id; discarded, it is gone but stays `rejected` in the
ledger. What is written runs in the write thread, inside the open transaction.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import apsw
import msgspec

from signalpost import failpoints
from signalpost.model.dead_letters import DeadLetter, DeadLetterFilter, DeadLetterGroup, RequeueReport
from signalpost.model.ids import DatasetId, DestinationId
from signalpost.queue.checksums import build_checksum, is_sound
from signalpost.queue.instants import from_milliseconds, to_milliseconds_after
from signalpost.queue.ledger import EventState, LedgerCounts, LedgerStore
from signalpost.queue.settling import MESSAGE_REJECTED, bind

# What a filter lets through.
_MATCHING: Final = """
    (?1 IS NULL OR destination_id = ?1) AND (?2 IS NULL OR source_id = ?2) AND (?3 IS NULL OR code = ?3)
    AND (?4 IS NULL OR reason = ?4) AND (?5 IS NULL OR event_name = ?5) AND (?6 IS NULL OR rejected_at >= ?6)
    AND (?7 IS NULL OR rejected_at < ?7)"""

_COLUMNS: Final = """
    letters.id, source_id, message_id, destination_id, dataset_id, event_name, event_id, event_time, rejected_at,
    code, reason, detail, fbtrace_id, attempts, expires_at, checksum, payload"""

# Read dead letters in the order of their ids, or in the opposite one.
_BROWSE: Final = f"""
    SELECT {_COLUMNS} FROM dead_letters AS letters LEFT JOIN payloads ON payloads.id = letters.id
    WHERE letters.id > ?8 AND {_MATCHING} ORDER BY letters.id LIMIT ?9"""  # noqa: S608
_BROWSE_BACKWARDS: Final = f"""
    SELECT {_COLUMNS} FROM dead_letters AS letters LEFT JOIN payloads ON payloads.id = letters.id
    WHERE letters.id < ?8 AND {_MATCHING} ORDER BY letters.id DESC LIMIT ?9"""  # noqa: S608

# Read the named ones.
_READ: Final = f"""
    SELECT {_COLUMNS} FROM dead_letters AS letters LEFT JOIN payloads ON payloads.id = letters.id
    WHERE letters.id IN carray(?1) ORDER BY letters.id"""  # noqa: S608

# Find the ids of the next ones that match.
_FIND: Final = f"SELECT id FROM dead_letters WHERE id > ?8 AND {_MATCHING} ORDER BY id LIMIT ?9"  # noqa: S608

# Find the next group in the order of the index: a leap to beyond the latest of this one.
_FIND_GROUP: Final = """
    SELECT destination_id, code, reason FROM dead_letters
    WHERE (destination_id, code, reason, rejected_at) > (?1, ?2, ?3, 1 << 62)
    ORDER BY destination_id, code, reason LIMIT 1"""

# Count those of a group that match: of the index, only what lies between two times is read.
_COUNT: Final = """
    SELECT count(*), max(rejected_at) FROM dead_letters WHERE destination_id = ?1 AND code = ?2 AND reason = ?3
    AND (?4 IS NULL OR source_id = ?4) AND (?5 IS NULL OR event_name = ?5)
    AND rejected_at >= coalesce(?6, 0) AND rejected_at < coalesce(?7, 1 << 62)"""

# The same of a whole group: counters tell how many there are, the end of its part of the index when the latest was.
_COUNT_BY_COUNTERS: Final = """
    SELECT coalesce(sum(iif(state = 'rejected', count, -count)), 0), (
        SELECT max(rejected_at) FROM dead_letters WHERE destination_id = ?1 AND code = ?2 AND reason = ?3)
    FROM ledger WHERE span = 0 AND start = 0 AND destination_id = ?1 AND code = ?2 || '/' || ?3
        AND state IN ('rejected', 'requeued', 'discarded', 'aged_out')"""

# Read what decides whether dead letters may be sent again.
_READ_FOR_REQUEUE: Final = """
    SELECT letters.id, source_id, destination_id, dataset_id, event_name, code, reason, expires_at, length(payload)
    FROM dead_letters AS letters LEFT JOIN payloads ON payloads.id = letters.id WHERE letters.id IN carray(?1)"""

# Read what the checksums of dead letters are made of.
_READ_FOR_CHECKSUM: Final = """
    SELECT letters.id, destination_id, event_id, event_time, expires_at, payload, checksum
    FROM dead_letters AS letters JOIN payloads ON payloads.id = letters.id WHERE letters.id IN carray(?1)"""

# Give dead letters the datasets that they lack.
_SET_DATASETS: Final = """
    UPDATE dead_letters SET dataset_id = given.value->>1, checksum = unhex(given.value->>2)
    FROM jsonb_each(?1) AS given WHERE dead_letters.id = given.value->>0"""

# Let dead letters wait again.
_REQUEUE: Final = """
    INSERT INTO queued_events (id, source_id, message_id, destination_id, dataset_id, event_name, event_id, event_time,
        expires_at, received_at, attempts, requeue_count, checksum, size)
    SELECT letters.id, source_id, message_id, destination_id, dataset_id, event_name, event_id, event_time,
        expires_at, received_at, attempts, requeue_count + 1, checksum, length(payload)
    FROM dead_letters AS letters JOIN payloads ON payloads.id = letters.id WHERE letters.id IN carray(?1)"""

# Take dead letters away, leaving the payloads.
_DELETE: Final = "DELETE FROM dead_letters WHERE id IN carray(?1)"

# Delete the payloads of dead letters.
_DELETE_PAYLOADS: Final = """
    DELETE FROM payloads WHERE id IN (SELECT id FROM dead_letters WHERE id IN carray(?1))"""

# Count dead letters for the ledger, as one JSON array.
_GROUP: Final = """
    SELECT json_group_array(json_array(source_id, destination_id, code || '/' || reason, n)) FROM (
        SELECT source_id, destination_id, code, reason, count(*) AS n FROM dead_letters WHERE id IN carray(?1)
        GROUP BY source_id, destination_id, code, reason)"""


FindDataset = Callable[[DestinationId, str], DatasetId | None]
"""Destination and event name -> the dataset that its settings name now, or None."""


class RequeuePlan(msgspec.Struct):
    """Which of the named dead letters may be sent again, how many arrive where, what is counted, and the report.

    datasets: what those get that mapping could give none.
    """

    allowed: list[int]
    datasets: dict[int, DatasetId]
    arrived: Counter[DestinationId]
    counts: LedgerCounts
    report: RequeueReport


def browse(
    connection: apsw.Connection, where: DeadLetterFilter, beyond_id: int, limit: int, *, newest_first: bool
) -> list[DeadLetter]:
    """Dead letters that match, beyond an id in the direction of reading; a payload that is damaged is left out."""
    query = _BROWSE_BACKWARDS if newest_first else _BROWSE
    return [_build_dead_letter(row) for row in connection.execute(query, (*_bind_filter(where), beyond_id, limit))]


def read(connection: apsw.Connection, ids: Sequence[int]) -> list[DeadLetter]:
    """The named dead letters, as far as they are there."""
    return [_build_dead_letter(row) for row in connection.execute(_READ, (bind(ids),))] if ids else []


def find(connection: apsw.Connection, where: DeadLetterFilter, after_id: int, limit: int) -> list[int]:
    """The ids of the next dead letters that match."""
    return [id_ for (id_,) in connection.execute(_FIND, (*_bind_filter(where), after_id, limit))]


def count(connection: apsw.Connection, where: DeadLetterFilter) -> list[DeadLetterGroup]:
    """How many match, by destination and reason; the largest group first."""
    wanted, groups = (where.destination_id, where.code, where.reason), []
    for group in _find_groups(connection):
        if all(given in {None, of_group} for given, of_group in zip(wanted, group, strict=True)):
            number, last_at = _count_group(connection, group, where)
            if number:
                groups.append(DeadLetterGroup(*group, number, from_milliseconds(last_at)))
    return sorted(groups, key=lambda group: -group.count)


def _find_groups(connection: apsw.Connection) -> Iterator[tuple[DestinationId, str, str]]:
    """Destination, code and reason of all dead letters; as few pages are read as there are groups."""
    group = ("", "", "")
    while found := connection.execute(_FIND_GROUP, group).fetchone():
        group = found
        yield found


def _count_group(
    connection: apsw.Connection, group: tuple[DestinationId, str, str], where: DeadLetterFilter
) -> tuple[int, int]:
    """How many of a group match, and when the latest was rejected."""
    _, source_id, _, _, *others = _bind_filter(where)
    rows: list[tuple[Any, ...]] = []
    if source_id is None and others == [None, None, None]:
        rows = connection.execute(_COUNT_BY_COUNTERS, group).fetchall()
    if not rows or rows[0][0] <= 0:  # counters can't tell, or are damaged: the rows are there
        rows = connection.execute(_COUNT, (*group, source_id, *others)).fetchall()
    number, last_at = rows[0]
    return number, last_at


def plan_requeue(
    connection: apsw.Connection, ids: Sequence[int], now_ms: int, find_dataset: FindDataset
) -> RequeuePlan:
    """Look at the named dead letters and decide for each whether it may be sent again; changes nothing."""
    plan = RequeuePlan([], {}, Counter(), Counter(), RequeueReport(0, {}))
    refused: Counter[str] = Counter()
    wanted = set(ids)
    rows: list[tuple[Any, ...]] = connection.execute(_READ_FOR_REQUEUE, (bind(wanted),)).fetchall() if wanted else []
    for id_, source_id, destination_id, dataset_id, event_name, code, reason, expires_at, size in rows:
        wanted.discard(id_)
        if code == MESSAGE_REJECTED or size is None:
            refused["not_requeueable"] += 1
        elif expires_at * 1000 + 999 < now_ms:
            refused["event_too_old"] += 1
        elif dataset_id is None and not (found := find_dataset(destination_id, event_name)):
            refused["dataset_missing"] += 1
        else:
            if dataset_id is None and found:
                plan.datasets[id_] = found
            plan.allowed.append(id_)
            plan.arrived[destination_id] += 1
            plan.counts[source_id, destination_id, event_name, "requeued", f"{code}/{reason}"] += 1
            plan.counts[source_id, destination_id, "", "waiting_bytes", ""] += size
    if wanted:
        refused["unknown"] = len(wanted)
    plan.report = RequeueReport(requeued=len(plan.allowed), refused=dict(refused))
    return plan


def requeue(
    connection: apsw.Connection, ledger: LedgerStore, ids: Sequence[int], now_ms: int, find_dataset: FindDataset
) -> RequeuePlan:
    """Let dead letters wait again under their own ids."""
    plan = plan_requeue(connection, ids, now_ms, find_dataset)
    if plan.allowed:
        _set_datasets(connection, plan.datasets)
        connection.execute(_REQUEUE, (bind(plan.allowed),))
        failpoints.reach("in_requeue")
        connection.execute(_DELETE, (bind(plan.allowed),))
        ledger.add(now_ms, plan.counts)
    return plan


def _set_datasets(connection: apsw.Connection, datasets: Mapping[int, DatasetId]) -> None:
    """Name the datasets, which checksums cover. A damaged event keeps its wrong one, so that it is still noticed."""
    if not datasets:
        return
    given: list[tuple[int, str, str]] = []
    for id_, destination_id, event_id, event_time, expires_at, payload, checksum in connection.execute(
        _READ_FOR_CHECKSUM, (bind(datasets),)
    ):
        of_event = (event_id, event_time, expires_at)
        if is_sound(checksum, destination_id, None, *of_event, payload=payload):
            checksum = build_checksum(destination_id, datasets[id_], *of_event, payload=payload)  # noqa: PLW2901
        given.append((id_, datasets[id_], checksum.hex()))
    connection.execute(_SET_DATASETS, (msgspec.json.encode(given).decode(),))


def delete(connection: apsw.Connection, ledger: LedgerStore, ids: Sequence[int], now_ms: int, state: EventState) -> int:
    """Delete dead letters with their payloads; they stay `rejected`. state: why, "discarded" or "aged_out"."""
    bound = bind(ids)
    groups: Any = connection.execute(_GROUP, (bound,)).get
    counts: LedgerCounts = Counter()
    for source_id, destination_id, code, number in msgspec.json.decode(groups, type=list[tuple[str, str, str, int]]):
        counts[source_id, destination_id, "", state, code] += number
    ledger.add(now_ms, counts)
    connection.execute(_DELETE_PAYLOADS, (bound,))
    connection.execute(_DELETE, (bound,))
    return counts.total()


def _bind_filter(where: DeadLetterFilter) -> tuple[str | int | None, ...]:
    return (
        where.destination_id,
        where.source_id,
        where.code,
        where.reason,
        where.event_name,
        None if where.since is None else to_milliseconds_after(where.since),
        None if where.until is None else to_milliseconds_after(where.until),
    )


def _build_dead_letter(row: Sequence[Any]) -> DeadLetter:
    *before, rejected_at, code, reason, detail, fbtrace_id, attempts, expires_at, checksum, payload = row
    _, _, _, destination_id, dataset_id, _, event_id, event_time = before
    is_damaged = payload is not None and not is_sound(
        checksum, destination_id, dataset_id, event_id, event_time, expires_at, payload=payload
    )
    shown = None if is_damaged else payload
    values = (*before, from_milliseconds(rejected_at), code, reason, detail, fbtrace_id, attempts, shown, is_damaged)
    return DeadLetter(*values)
