"""The data folder: made private, checked for writing, and held by one process at a time."""

import errno
import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from signalpost.model.errors import SignalpostError

LOCK_NAME = "signalpost.lock"


class DataFolderUnusable(SignalpostError):
    """The data folder can't be made or written to."""


class AlreadyRunning(SignalpostError):
    """Another process holds the data folder."""


class DataFolder:
    """Holds the folder while it is entered. The lock dies with the process, so a crash leaves nothing to clean up."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None

    def __enter__(self) -> Self:
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self.path / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            msg = f"server.data_dir: cannot use {self.path.absolute()}: {error.strerror}; choose one you can write to"
            raise DataFolderUnusable(msg) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(lock, 32).decode(errors="replace").strip() or "unknown"
            os.close(lock)
            if error.errno not in {errno.EAGAIN, errno.EACCES}:
                raise
            msg = f"already running (pid {holder}): only one process may use {self.path.absolute()}"
            raise AlreadyRunning(msg) from None
        os.ftruncate(lock, 0)
        os.write(lock, f"{os.getpid()}\n".encode())
        self._lock = lock
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
