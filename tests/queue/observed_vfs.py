"""SQLite's disk, seen from below: a VFS that shows every write, truncation and sync of the queue's two files."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

import apsw

FileName = Literal["queue.db", "queue.db-wal"]


class Write(NamedTuple):
    file: FileName
    offset: int
    content: bytes


class Truncation(NamedTuple):
    file: FileName
    size: int


class Sync(NamedTuple):
    """From here on all that was done to the file before survives a loss of power."""

    file: FileName


Operation = Write | Truncation | Sync


class Observer:
    """Sees each operation on the way to the disk; what it raises, SQLite gets for an answer."""

    def see(self, operation: Operation) -> None:
        """An operation is about to be done."""

    def saw_sync(self, sync: Sync) -> None:
        """A sync was done."""


class _ObservedFile(apsw.VFSFile):
    def __init__(self, observer: Observer, name: FileName, path: Any, flags: list[int]) -> None:
        super().__init__("unix", path, flags)
        self._observer = observer
        self._name = name

    def xWrite(self, data: Any, offset: int) -> None:  # noqa: N802
        self._observer.see(Write(self._name, offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, size: int) -> None:  # noqa: N802
        self._observer.see(Truncation(self._name, size))
        super().xTruncate(size)

    def xSync(self, flags: int) -> None:  # noqa: N802
        self._observer.see(Sync(self._name))
        super().xSync(flags)
        self._observer.saw_sync(Sync(self._name))


class _ObservedVFS(apsw.VFS):
    def __init__(self, observer: Observer) -> None:
        super().__init__("observed", "", makedefault=True)
        self._observer = observer

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:  # noqa: N802
        if flags[0] & apsw.SQLITE_OPEN_MAIN_DB:
            return _ObservedFile(self._observer, "queue.db", name, flags)
        if flags[0] & apsw.SQLITE_OPEN_WAL:
            return _ObservedFile(self._observer, "queue.db-wal", name, flags)
        return apsw.VFSFile("unix", name, flags)


@contextmanager
def observed(observer: Observer) -> Iterator[None]:
    """Whatever SQLite opens meanwhile is observed; close it before the end."""
    vfs = _ObservedVFS(observer)
    try:
        yield
    finally:
        vfs.unregister()
