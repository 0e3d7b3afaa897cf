"""How the file of the queue is opened: one connection that writes, and others that only read.

The settings here are part of the promise: with `synchronous=FULL` in WAL mode, COMMIT returns after the log was synced.
"""

import os
from pathlib import Path
from typing import Final

import apsw

from signalpost.model.errors import ConfigError, SignalpostError
from signalpost.queue.migrations import check_file, migrate

# Older ones can lose what was committed when two connections write or checkpoint together.
# Source: sqlite.org, "Write-Ahead Logging", the WAL-reset bug; fixed in 3.51.3.
OLDEST_SQLITE: Final = "3.51.3"

_PRAGMAS_FOR_WRITING: Final = (
    "auto_vacuum = INCREMENTAL",  # only works before the first table is made
    "journal_mode = WAL",
    "synchronous = FULL",
    "fullfsync = ON",  # macOS: fsync alone leaves the data in the drive's cache
    "busy_timeout = 5000",
    "cell_size_check = ON",
    "trusted_schema = OFF",
    "secure_delete = ON",
    "journal_size_limit = 67108864",
    "cache_size = -32768",
)
_PRAGMAS_FOR_READING: Final = (
    "busy_timeout = 5000",
    "cell_size_check = ON",
    "trusted_schema = OFF",
    "cache_size = -16384",
)


def check_sqlite_version(version: str) -> None:
    """Raise SignalpostError when this SQLite could lose committed events."""
    if _parse_version(version) < _parse_version(OLDEST_SQLITE):
        raise SignalpostError(
            f"SQLite {version} can lose committed data; {OLDEST_SQLITE} or newer is needed. Install a current apsw."
        )


def open_for_writing(path: Path) -> apsw.Connection:
    """Open the file, make it if it is not there, and bring it to the newest schema. ConfigError when it is not ours."""
    check_sqlite_version(apsw.sqlite_lib_version())
    try:
        _create_private(path)
        with open_for_reading(path) as reader:
            check_file(reader)
        reader.close()
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        for pragma in _PRAGMAS_FOR_WRITING:
            connection.execute(f"PRAGMA {pragma}").fetchall()
        migrate(connection)
    except (OSError, apsw.Error) as error:
        raise build_refusal(path, error) from error
    return connection


def build_refusal(path: Path, error: Exception) -> ConfigError:
    """Why this file can't be the queue, and what to do when it is damaged."""
    is_damaged = isinstance(error, apsw.CorruptError | apsw.NotADBError)
    advice = ". It is damaged: `signalpost recover` saves what can still be read of it" if is_damaged else ""
    return ConfigError(f"The queue {path} can't be opened: {type(error).__name__}: {error}{advice}.")


def open_for_reading(path: Path) -> apsw.Connection:
    """Open another connection that can't write."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    for pragma in _PRAGMAS_FOR_READING:
        connection.execute(f"PRAGMA {pragma}").fetchall()
    return connection


def _create_private(path: Path) -> None:
    """Make an empty file that only its owner can read, and sync its name: SQLite syncs only what is in it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _parse_version(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
