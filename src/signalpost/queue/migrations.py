"""The schema of queue.db, step by step. A step that was released is never edited: a change is a new one at the end.

`payloads` is apart from the rows that point to it, so that settling an event moves its small row and never the bytes. A
payload is there exactly as long as a queued event or a dead letter has its id. AUTOINCREMENT: no id is given twice,
not even after a restart, so that whoever still names an old event or dead letter never hits a new one.
"""

from typing import Final

import apsw

from signalpost.model.errors import ConfigError, NewerDataFolder

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

MIGRATIONS: Final = (_SCHEMA_1,)
SCHEMA: Final = len(MIGRATIONS)


def check_file(connection: apsw.Connection) -> None:
    """Raise ConfigError or NewerDataFolder unless this program may use the file.

    Reads only: a file that is refused stays as it was.
    """
    application, schema = connection.pragma("application_id"), connection.pragma("user_version")
    if application != APPLICATION_ID and (
        application or schema or connection.execute("SELECT 1 FROM sqlite_schema").get
    ):
        raise ConfigError(
            f"{connection.filename} is not a Signalpost queue. Name another data folder or move the file away."
        )
    if schema > SCHEMA:
        raise NewerDataFolder(
            f"{connection.filename} has schema {schema}, written by a newer Signalpost; this one knows up to {SCHEMA}."
            " Start the newer program. The file was not changed."
        )


def migrate(connection: apsw.Connection) -> None:
    """Bring the file to the newest schema. A step and its number are one transaction: a crash leaves a whole schema."""
    for number in range(connection.pragma("user_version") + 1, SCHEMA + 1):
        with connection:
            connection.execute(MIGRATIONS[number - 1])
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {number}")
