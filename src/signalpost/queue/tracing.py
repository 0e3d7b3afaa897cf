"""Finding the events of one messageId or event_id.

No index leads from such an id to its rows: a random one would cost every call. The log of calls seen leads from a
messageId to them, for as long as it is kept: a commit's row names the ids that its events got. For older calls, and for
an event_id that a call gave itself, all rows are looked through.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

import apsw
import msgspec

from signalpost.model.delivery import DISCARDED
from signalpost.model.found_events import MOST_FOUND, FoundEvent, FoundEvents
from signalpost.model.ids import SourceId
from signalpost.queue.checksums import is_sound
from signalpost.queue.instants import from_milliseconds
from signalpost.queue.seen_calls import build_call_digest
from signalpost.queue.settling import MESSAGE_REJECTED

_EVERY_ID: Final = (-(1 << 63), (1 << 63) - 1)

# Find every source that ever sent a call.
_FIND_SOURCES: Final = "SELECT DISTINCT source_id FROM ledger WHERE span = 0 AND source_id <> ''"

# Find the commits that learned one of some digests, and the ids that they gave to events.
_FIND_COMMITS: Final = """
    SELECT seen_at, first_event, last_event FROM dedupe_keys, carray(?1) AS sought WHERE instr(digests, sought.value)"""

_FACTS: Final = """
    source_id, message_id, destination_id, dataset_id, event_name, event_id, received_at, attempts, event_time,
    expires_at, checksum, payload"""
_MATCHING: Final = "(message_id = ?1 OR event_id = ?1) AND (?2 IS NULL OR source_id = ?2)"
_FIND_PENDING: Final = f"""
    SELECT {_FACTS}, due_at, coalesce(last_outcome, '')
    FROM queued_events AS found LEFT JOIN payloads ON payloads.id = found.id
    WHERE {_MATCHING} AND found.id BETWEEN ?3 AND ?4 LIMIT {MOST_FOUND}"""  # noqa: S608
_FIND_DEAD_LETTERS: Final = f"""
    SELECT {_FACTS}, found.id, code, reason, detail, rejected_at, fbtrace_id
    FROM dead_letters AS found LEFT JOIN payloads ON payloads.id = found.id
    WHERE {_MATCHING} AND found.id BETWEEN ?3 AND ?4 LIMIT {MOST_FOUND}"""  # noqa: S608
_FIND_ENDED: Final = f"""
    SELECT {_FACTS}, state, ended_at, fbtrace_id, flags
    FROM ended_events AS found LEFT JOIN payloads ON payloads.id = found.event
    WHERE {_MATCHING} AND found.event BETWEEN ?3 AND ?4 LIMIT {MOST_FOUND}"""  # noqa: S608

_ENDS: Final[dict[str, tuple[Any, str, str]]] = {
    "delivered": ("delivered", "", ""),
    "expired": ("expired", MESSAGE_REJECTED, "event_too_old"),
    "discarded": ("rejected", DISCARDED, "discarded_by_operator"),
}
"""state in `ended_events` -> state of the ledger, code, reason"""


def find_events(connection: apsw.Connection, sought: str, source_id: SourceId | None) -> FoundEvents:
    """What is known of a messageId or event_id, of one source or of all."""
    sources = [source_id] if source_id is not None else [id_ for (id_,) in connection.execute(_FIND_SOURCES)]
    digests = tuple(build_call_digest(source, sought) for source in sources)
    commits: list[tuple[Any, ...]] = []
    if digests:
        commits = connection.execute(_FIND_COMMITS, (apsw.carray(digests),)).fetchall()
    ranges = {(first, last) for _, first, last in commits} or {_EVERY_ID}
    found = [event for ids in ranges for event in _find_rows(connection, sought, source_id, ids)]
    return FoundEvents(
        accepted_at=tuple(sorted(from_milliseconds(seen_at) for seen_at, _, _ in commits)),
        events=tuple(sorted(found, key=lambda event: (event.received_at, event.destination_id))),
    )


def _find_rows(
    connection: apsw.Connection, sought: str, source_id: SourceId | None, ids: tuple[int, int]
) -> Iterable[FoundEvent]:
    bindings = (sought, source_id, *ids)
    for *facts, due_at, last_outcome in connection.execute(_FIND_PENDING, bindings):
        yield _build(facts, state="pending", due_at=_to_instant(due_at), detail=last_outcome)
    for *facts, id_, code, reason, detail, at, fbtrace_id in connection.execute(_FIND_DEAD_LETTERS, bindings):
        yield _build(
            facts,
            state="rejected",
            code=code,
            reason=reason,
            detail=detail,
            ended_at=_to_instant(at),
            fbtrace_id=fbtrace_id,
            dead_letter_id=id_,
        )
    for *facts, state, at, fbtrace_id, flags in connection.execute(_FIND_ENDED, bindings):
        told, code, reason = _ENDS[state]
        yield _build(
            facts,
            state=told,
            code=code,
            reason=reason,
            detail=flags,
            ended_at=_to_instant(at),
            fbtrace_id=fbtrace_id,
        )


def _build(facts: list[Any], **others: Any) -> FoundEvent:
    *known, received_at, attempts, event_time, expires_at, checksum, payload = facts
    source_id, message_id, destination_id, dataset_id, event_name, event_id = known
    is_damaged = payload is not None and not is_sound(
        checksum, destination_id, dataset_id, event_id, event_time, expires_at, payload=payload
    )
    return FoundEvent(
        source_id=source_id,
        message_id=message_id,
        destination_id=destination_id,
        dataset_id=dataset_id,
        event_name=event_name,
        event_id=event_id,
        received_at=from_milliseconds(received_at),
        attempts=attempts,
        event_time=datetime.fromtimestamp(event_time, UTC) if event_time else None,
        server_event=None if payload is None or is_damaged else msgspec.json.decode(payload),
        is_damaged=is_damaged,
        **others,
    )


def _to_instant(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else from_milliseconds(milliseconds)
