"""The schema of settings.db, step by step. A step that was released is never edited: a change is a new one at the end.

Instants are whole milliseconds since 1970. A column named `sealed` holds what vault.py made of a secret; a column named
`digest` the SHA-256 of one that is only ever compared.
"""

from typing import Final

import apsw

from signalpost.database_owner import check_owner

# "Sgps", in the header of the file: our own check, and tools such as file(1), know the settings by it.
APPLICATION_ID: Final = 0x53677073

_SCHEMA_1: Final = """
-- One row: a known text under the master key in use, so that a wrong key is told at the start.
CREATE TABLE known_value (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    sealed BLOB NOT NULL
) STRICT;

-- A name is also the id that the queue, the ledger and the metrics know; so it never changes.
CREATE TABLE sources (
    name TEXT PRIMARY KEY,
    is_enabled INTEGER NOT NULL DEFAULT 1,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE write_keys (
    digest BLOB PRIMARY KEY,
    source TEXT NOT NULL REFERENCES sources (name) ON DELETE CASCADE,
    sealed BLOB NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX write_keys_by_source ON write_keys (source);

-- settings: a JSON object as its destination type reads it, without the secret ones.
CREATE TABLE destinations (
    name TEXT PRIMARY KEY,
    type TEXT NOT NULL,
    is_enabled INTEGER NOT NULL DEFAULT 1,
    settings TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE destination_secrets (
    destination TEXT NOT NULL REFERENCES destinations (name) ON DELETE CASCADE,
    setting TEXT NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (destination, setting)
) STRICT, WITHOUT ROWID;

-- Which destinations take a source's calls. Those of the configuration file may be named too: no foreign key there.
CREATE TABLE connections (
    source TEXT NOT NULL REFERENCES sources (name) ON DELETE CASCADE,
    destination TEXT NOT NULL,
    PRIMARY KEY (source, destination)
) STRICT, WITHOUT ROWID;

-- What delivery must not forget at a restart: a pause and its reason.
CREATE TABLE destination_states (
    destination TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    since INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE users (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE COLLATE NOCASE,
    password_hash TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('admin', 'viewer')),
    created_at INTEGER NOT NULL,
    signed_in_at INTEGER
) STRICT;

-- confirmed_at: when the password was last given in this session.
CREATE TABLE sessions (
    digest BLOB PRIMARY KEY,
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    seen_at INTEGER NOT NULL,
    confirmed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_by_user ON sessions (user_id);

CREATE TABLE api_tokens (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    digest BLOB NOT NULL UNIQUE,
    role TEXT NOT NULL CHECK (role IN ('admin', 'viewer')),
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    used_at INTEGER
) STRICT;

-- Who changed what; before and after: JSON without secrets, or NULL. Rows are only added, and go after 400 days.
CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    address TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    before TEXT,
    after TEXT
) STRICT;
CREATE TRIGGER audit_rows_are_never_changed BEFORE UPDATE ON audit
    BEGIN SELECT RAISE(ABORT, 'audit rows are never changed'); END;
CREATE TRIGGER audit_rows_stay_for_400_days BEFORE DELETE ON audit WHEN OLD.at > (unixepoch() - 400 * 86400) * 1000
    BEGIN SELECT RAISE(ABORT, 'audit rows stay for 400 days'); END;
"""

_SCHEMA_2: Final = """
-- Tokens given by connecting with Facebook. Destinations of the configuration file have them too: no foreign key here.
CREATE TABLE connected_tokens (
    destination TEXT PRIMARY KEY,
    sealed BLOB NOT NULL,
    connected_by TEXT NOT NULL,
    connected_at INTEGER NOT NULL,
    expires_at INTEGER
) STRICT, WITHOUT ROWID;
"""

MIGRATIONS: Final = (_SCHEMA_1, _SCHEMA_2)
SCHEMA: Final = len(MIGRATIONS)


def check_file(connection: apsw.Connection) -> None:
    """Raise ConfigError or NewerDataFolder unless this program may use the file."""
    check_owner(connection, APPLICATION_ID, SCHEMA, "settings store")


def migrate(connection: apsw.Connection) -> None:
    """Bring the file to the newest schema. A step and its number are one transaction: a crash leaves a whole schema."""
    for number in range(connection.pragma("user_version") + 1, SCHEMA + 1):
        with connection:
            connection.execute(MIGRATIONS[number - 1])
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {number}")
