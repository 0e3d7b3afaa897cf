"""The schema of queue.db, step by step. A step that was released is never edited: a change is a new one at the end.

`payloads` is apart from the rows that point to it, so that settling an event moves its small row and never the bytes. A
payload has the id of its event in whatever table that is. AUTOINCREMENT: no id is given twice, not even after a
restart, so that whoever still names an old event or dead letter never hits a new one.
"""

import os
from datetime import datetime
from pathlib import Path
from typing import Final

import apsw

from signalpost import failpoints
from signalpost.database_owner import check_owner
from signalpost.model.errors import ConfigError

# "Sgpt", in the header of the file: our own check, and tools such as file(1), know the queue by it.
APPLICATION_ID: Final = 0x53677074

_SCHEMA_1: Final = """
-- Events that wait or are leased. due_at: NULL until the first retry, so a clock set back can't hide a fresh event.
CREATE TABLE queued_events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    source_id TEXT NOT NULL,
    message_id TEXT NOT NULL,
    destination_id TEXT NOT NULL,
    dataset_id TEXT NOT NULL,
    event_name TEXT NOT NULL,
    event_id TEXT NOT NULL,
    event_time INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    due_at INTEGER,
    attempts INTEGER NOT NULL DEFAULT 0,
    requeue_count INTEGER NOT NULL DEFAULT 0,
    last_outcome TEXT,
    checksum BLOB NOT NULL
) STRICT;
CREATE INDEX queued_events_by_due_time ON queued_events (destination_id, due_at);

-- The JSON bytes of queued events and dead letters, under the same id.
CREATE TABLE payloads (
    id INTEGER PRIMARY KEY,
    payload BLOB NOT NULL
) STRICT;

-- What Meta took, in the order in which it was settled; metadata only.
CREATE TABLE delivered (
    id INTEGER PRIMARY KEY,
    source_id TEXT NOT NULL,
    message_id TEXT NOT NULL,
    destination_id TEXT NOT NULL,
    dataset_id TEXT NOT NULL,
    event_name TEXT NOT NULL,
    event_id TEXT NOT NULL,
    event_time INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    delivered_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    requeue_count INTEGER NOT NULL,
    fbtrace_id TEXT,
    flags TEXT NOT NULL
) STRICT;

-- What was rejected, by mapping or by Meta; id is that of the queued event. checksum: NULL when there is no payload.
CREATE TABLE dead_letters (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    source_id TEXT NOT NULL,
    message_id TEXT NOT NULL,
    destination_id TEXT NOT NULL,
    dataset_id TEXT,
    event_name TEXT NOT NULL,
    event_id TEXT NOT NULL,
    event_time INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    requeue_count INTEGER NOT NULL DEFAULT 0,
    rejected_at INTEGER NOT NULL,
    code TEXT NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL DEFAULT '',
    fbtrace_id TEXT,
    checksum BLOB
) STRICT;
CREATE INDEX dead_letters_by_destination ON dead_letters (destination_id);
CREATE INDEX dead_letters_by_time ON dead_letters (rejected_at);

-- A log of the calls seen: one row a commit, its 16-byte digests end to end. Its index is in memory (seen_calls.py).
CREATE TABLE dedupe_keys (
    id INTEGER PRIMARY KEY,
    seen_at INTEGER NOT NULL,
    digests BLOB NOT NULL
) STRICT;

-- Counts by minute since 1970 (by hour after two days). Calls are counted under an empty destination and event name.
CREATE TABLE ledger (
    minute INTEGER NOT NULL,
    source_id TEXT NOT NULL,
    destination_id TEXT NOT NULL,
    event_name TEXT NOT NULL,
    state TEXT NOT NULL,
    code TEXT NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (minute, source_id, destination_id, event_name, state, code)
) STRICT, WITHOUT ROWID;
"""

_SCHEMA_2: Final = """
-- size: bytes of the payload.
ALTER TABLE queued_events ADD COLUMN size INTEGER NOT NULL DEFAULT 0;
UPDATE queued_events SET size = coalesce((SELECT length(payload) FROM payloads WHERE id = queued_events.id), 0);

-- What Meta took and what expired, in the order in which it was settled. event: its id in the queue, and in `payloads`
-- as long as the payload is kept. state: delivered or expired.
CREATE TABLE ended_events (
    id INTEGER PRIMARY KEY,
    event INTEGER NOT NULL,
    state TEXT NOT NULL,
    source_id TEXT NOT NULL,
    message_id TEXT NOT NULL,
    destination_id TEXT NOT NULL,
    dataset_id TEXT NOT NULL,
    event_name TEXT NOT NULL,
    event_id TEXT NOT NULL,
    event_time INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    ended_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    requeue_count INTEGER NOT NULL,
    fbtrace_id TEXT,
    flags TEXT NOT NULL,
    size INTEGER NOT NULL,
    checksum BLOB
) STRICT;
CREATE INDEX ended_events_by_event ON ended_events (event);
-- The event's id was not kept: a number below zero names none.
INSERT INTO ended_events SELECT id, -id, 'delivered', source_id, message_id, destination_id, dataset_id, event_name,
    event_id, event_time, 0, received_at, delivered_at, attempts, requeue_count, fbtrace_id, flags, 0, NULL
    FROM delivered;
DROP TABLE delivered;

-- Payloads that are kept for a while after their delivery, in the order in which they go. event: the id in `payloads`.
CREATE TABLE kept_payloads (
    id INTEGER PRIMARY KEY,
    event INTEGER NOT NULL,
    size INTEGER NOT NULL,
    ended_at INTEGER NOT NULL
) STRICT;

DROP INDEX dead_letters_by_destination;
CREATE INDEX dead_letters_by_reason ON dead_letters (destination_id, code, reason);

-- first_event, last_event: the ids that this commit gave to the events of its calls; so a call leads to its events.
ALTER TABLE dedupe_keys ADD COLUMN first_event INTEGER NOT NULL DEFAULT 0;
ALTER TABLE dedupe_keys ADD COLUMN last_event INTEGER NOT NULL DEFAULT -1;

-- Counts. span: minutes that a row covers (1, 60; 0: since ever, with an empty event name). start: minutes since 1970.
ALTER TABLE ledger RENAME TO ledger_1;
-- What was rejected gets its reason into the code, as far as the dead letter is still there to tell it.
INSERT INTO ledger_1 SELECT rejected_at / 60000, source_id, destination_id, substr(event_name, 1, 50), 'rejected', code,
    -count(*) FROM dead_letters GROUP BY 1, 2, 3, 4, code ON CONFLICT DO UPDATE SET count = count + excluded.count;
INSERT INTO ledger_1 SELECT rejected_at / 60000, source_id, destination_id, substr(event_name, 1, 50), 'rejected',
    code || '/' || reason, count(*) FROM dead_letters GROUP BY 1, 2, 3, 4, code, reason;
CREATE TABLE ledger (
    span INTEGER NOT NULL,
    start INTEGER NOT NULL,
    source_id TEXT NOT NULL,
    destination_id TEXT NOT NULL,
    event_name TEXT NOT NULL,
    state TEXT NOT NULL,
    code TEXT NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (span, start, source_id, destination_id, event_name, state, code)
) STRICT, WITHOUT ROWID;
INSERT INTO ledger SELECT 1, minute, source_id, destination_id, event_name, state, code, count FROM ledger_1;
INSERT INTO ledger SELECT 60, minute / 60 * 60, source_id, destination_id, event_name, state, code, sum(count)
    FROM ledger_1 GROUP BY 2, source_id, destination_id, event_name, state, code;
INSERT INTO ledger SELECT 0, 0, source_id, destination_id, '', state, code, sum(count)
    FROM ledger_1 GROUP BY source_id, destination_id, state, code;
DROP TABLE ledger_1;
-- Dead letters that were deleted for their age, which was not counted so far.
INSERT INTO ledger SELECT 0, 0, source_id, destination_id, '', 'aged_out', '', sum(n) FROM (
    SELECT source_id, destination_id, iif(state = 'rejected', count, -count) AS n FROM ledger
    WHERE span = 0 AND state IN ('rejected', 'requeued')
    UNION ALL SELECT source_id, destination_id, -count(*) FROM dead_letters GROUP BY source_id, destination_id)
    GROUP BY source_id, destination_id HAVING sum(n) <> 0;
INSERT INTO ledger SELECT 0, 0, source_id, destination_id, '', 'waiting_bytes', '', sum(size) FROM queued_events
    GROUP BY source_id, destination_id;
"""

_SCHEMA_3: Final = """
-- All that dead letters are searched by, so that counting those of a search reads this index and no row.
DROP INDEX dead_letters_by_reason;
CREATE INDEX dead_letters_by_reason ON dead_letters (
    destination_id, code, reason, rejected_at, event_name, source_id);
"""

MIGRATIONS: Final = (_SCHEMA_1, _SCHEMA_2, _SCHEMA_3)
SCHEMA: Final = len(MIGRATIONS)


def check_file(connection: apsw.Connection) -> None:
    """Raise ConfigError or NewerDataFolder unless this program may use the file."""
    check_owner(connection, APPLICATION_ID, SCHEMA, "queue")


def migrate(connection: apsw.Connection) -> None:
    """Bring the file to the newest schema, after a copy of it as it was, `queue.db.bak-<schema>` beside it.

    A step and its number are one transaction: a crash leaves a whole schema, and the next start goes on from there.
    """
    schema: int = connection.pragma("user_version")
    if 0 < schema < SCHEMA:
        _copy_before(connection, schema)
    for number in range(schema + 1, SCHEMA + 1):
        with connection:
            connection.execute(MIGRATIONS[number - 1])
            if number > 1:
                failpoints.reach("in_migration")
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {number}")


def delete_old_copies(path: Path, before: datetime) -> None:
    """Delete the copies of a queue that were made before an upgrade, as far as they are older than this."""
    for copy in path.parent.glob(f"{path.name}.bak-*"):
        if copy.stat().st_mtime < before.timestamp():
            copy.unlink()


def _copy_before(connection: apsw.Connection, schema: int) -> None:
    """Copy the file under another name, and give it its own only when it is whole."""
    copy = Path(f"{connection.filename}.bak-{schema}")
    unfinished = copy.with_name(f"{copy.name}.tmp")
    unfinished.unlink(missing_ok=True)
    os.close(os.open(unfinished, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    try:
        connection.execute("VACUUM INTO ?", (str(unfinished),))
    except apsw.FullError:
        unfinished.unlink(missing_ok=True)
        raise ConfigError(
            f"There is no room for {copy}, the copy that is made before an upgrade. Make room and start again; the "
            "queue was not changed."
        ) from None
    unfinished.replace(copy)
