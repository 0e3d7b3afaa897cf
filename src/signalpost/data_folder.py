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


_NETWORK_FILE_SYSTEMS = ("nfs", "cifs", "smb", "9p", "afs", "ceph", "lustre", "gluster", "fuse.sshfs", "fuse.gluster")
"""How the types begin of file systems whose locks and syncs can't be relied on."""


def find_file_system(path: Path, mounts: str) -> str:
    """The type of the file system that holds a path. mounts: the text of /proc/self/mountinfo; "" when it is empty."""
    found, longest = "", -1
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        point = Path(before.split(" ")[4].replace("\\040", " "))
        if len(point.parts) >= longest and path.is_relative_to(point):
            found, longest = after.split(" ")[0], len(point.parts)
    return found


def check_file_system(path: Path, mounts: str) -> None:
    """Raise DataFolderUnusable for a network file system: a lock there keeps nobody away, and a sync proves nothing."""
    kind = find_file_system(path, mounts)
    if kind.startswith(_NETWORK_FILE_SYSTEMS):
        raise DataFolderUnusable(
            f"server.data_dir: {path} is on a network file system ({kind}), where a queue can lose events; choose a "
            "folder on a disk of this machine"
        )


def read_mounts() -> str:
    """The text of /proc/self/mountinfo; "" where there is none."""
    try:
        return Path("/proc/self/mountinfo").read_text(encoding="utf-8")
    except OSError:  # not Linux
        return ""


def find_holder(path: Path) -> str | None:
    """The process id of whoever holds a folder, or None. Takes the lock for a moment to find out."""
    try:
        lock = os.open(path / LOCK_NAME, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.read(lock, 32).decode(errors="replace").strip() or "unknown"
    finally:
        os.close(lock)
    return None


class DataFolder:
    """Holds the folder while it is entered. The lock dies with the process, so a crash leaves nothing to clean up."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None

    def __enter__(self) -> Self:
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            check_file_system(self.path.resolve(), read_mounts())
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
