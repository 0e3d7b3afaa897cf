"""A copy of the data folder's databases that is whole, made while the gateway runs or not.

Without the key file: a backup opens no secret by itself. What the gateway has delivered since the backup waits again in
a restored one, and is sent again with the same event_ids.
"""

import os
from pathlib import Path
from typing import Final

import apsw

from signalpost.model.errors import SignalpostError

_NAMES: Final = ("queue.db", "settings.db")


class BackupFailed(SignalpostError):
    """No backup was made; the message says why."""


def back_up(data_dir: Path, target: Path) -> list[Path]:
    """Copy each database into the folder `target`, which is made; returns the files. Raises BackupFailed."""
    if not (data_dir / "queue.db").exists():
        raise BackupFailed(f"There is no queue in {data_dir.absolute()}: name the data folder in server.data_dir.")
    try:
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        return [_copy(data_dir / name, target / name) for name in _NAMES if (data_dir / name).exists()]
    except (OSError, apsw.Error) as error:
        raise BackupFailed(f"The backup to {target.absolute()} failed: {type(error).__name__}: {error}") from error


def _copy(source: Path, copy: Path) -> Path:
    if copy.exists():
        raise BackupFailed(f"{copy.absolute()} is there already; name another folder.")
    unfinished = copy.with_name(f"{copy.name}.tmp")
    unfinished.unlink(missing_ok=True)
    os.close(os.open(unfinished, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    connection = apsw.Connection(str(source), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        connection.execute("PRAGMA busy_timeout = 5000").fetchall()
        connection.execute("VACUUM INTO ?", (str(unfinished),))
    finally:
        connection.close()
    unfinished.replace(copy)
    return copy
