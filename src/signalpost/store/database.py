"""settings.db: one connection that writes, in a thread of its own, and one that reads, in the event loop.

What a change consists of (rows, and the audit row that tells of it) is one transaction: all of it is stored, or none.
"""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self, TypeVar

import apsw

from signalpost.model.errors import ConfigError, SettingsUnavailable
from signalpost.store.schema import check_file, migrate
from signalpost.store.secrets import check_master_key
from signalpost.vault import Vault

SETTINGS_NAME: Final = "settings.db"

_PRAGMAS: Final = (
    "journal_mode = WAL",
    "synchronous = FULL",
    "fullfsync = ON",
    "foreign_keys = ON",
    "cell_size_check = ON",
    "trusted_schema = OFF",
    "secure_delete = ON",
)
_BUSY_SECONDS: Final = 5

Answer = TypeVar("Answer")
Step = Callable[[apsw.Connection], Answer]
"""Statements that belong together; what the function returns is the answer."""


class SettingsStore:
    """The open file. `read` for questions that an index answers; `write` for changes."""

    def __init__(self, writing: apsw.Connection, reading: apsw.Connection, vault: Vault) -> None:
        self.vault = vault
        self._writing = writing
        self._reading = reading
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="settings-writer")

    @classmethod
    def open(cls, folder: Path, vault: Vault) -> Self:
        """Open the file of this data folder, made if it is not there.

        Raises ConfigError or NewerDataFolder when it is not ours to use, SecretUnreadable when the key is another one.
        """
        path = folder / SETTINGS_NAME
        try:
            _create_private(path)
            writing = _connect(path, apsw.SQLITE_OPEN_READWRITE)
            check_file(writing)
            for pragma in _PRAGMAS:
                writing.execute(f"PRAGMA {pragma}").fetchall()
            migrate(writing)
            with writing:
                check_master_key(writing, vault)
            reading = _connect(path, apsw.SQLITE_OPEN_READONLY)
        except (OSError, apsw.Error) as error:
            raise ConfigError(f"The settings {path} can't be opened: {type(error).__name__}: {error}") from error
        return cls(writing, reading, vault)

    def read(self, question: Step[Answer]) -> Answer:
        """Ask something that an index answers."""
        return question(self._reading)

    async def write(self, step: Step[Answer]) -> Answer:
        """Make a change; return once it is durable. What the step raises is raised, and nothing is changed.

        Raises SettingsUnavailable when the file can't be written.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._commit, step)

    def write_now(self, step: Step[Answer]) -> Answer:
        """Do the same without an event loop, for the command line."""
        return self._thread.submit(self._commit, step).result()

    def _commit(self, step: Step[Answer]) -> Answer:
        try:
            with self._writing:
                answer = step(self._writing)
        except apsw.Error as error:
            raise SettingsUnavailable(
                f"The change was not stored: {type(error).__name__}: {error}. Nothing was changed."
            ) from error
        return answer

    def close(self) -> None:
        """Finish the change in progress and let go of the file."""
        self._thread.shutdown()
        self._reading.close()
        self._writing.close()


def read_known_value(folder: Path) -> bytes | None:
    """What tells which key the secrets of a folder are sealed with; None when there is no file yet."""
    path = folder / SETTINGS_NAME
    if not path.exists():
        return None
    connection = _connect(path, apsw.SQLITE_OPEN_READWRITE)  # a log left by a crash is read only by who may write
    try:
        return bytes(connection.execute("SELECT sealed FROM known_value").get or b"") or None
    except apsw.SQLError:
        return None
    finally:
        connection.close()


def change_unserved(folder: Path, step: Step[None]) -> None:
    """Make a change that needs no secret, for whoever holds the folder while no gateway does. Nothing without a file.

    Raises SettingsUnavailable when the file can't be written.
    """
    path = folder / SETTINGS_NAME
    if not path.exists():
        return
    try:
        with closing(_connect(path, apsw.SQLITE_OPEN_READWRITE)) as connection:
            check_file(connection)
            migrate(connection)
            with connection:
                step(connection)
    except apsw.Error as error:
        raise SettingsUnavailable(f"{path} can't be written: {type(error).__name__}: {error}") from error


def to_instant(moment: datetime) -> int:
    """Milliseconds since 1970, as instants are stored."""
    return int(moment.timestamp() * 1_000)


def from_instant(instant: int) -> datetime:
    """Read an instant of the file."""
    return datetime.fromtimestamp(instant / 1_000, UTC)


def _connect(path: Path, flags: int) -> apsw.Connection:
    connection = apsw.Connection(str(path), flags=flags)
    connection.set_busy_timeout(_BUSY_SECONDS * 1_000)
    return connection


def _create_private(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)
