"""How far an import has come: a small file beside the imported one, written through to the disk after every batch.

One line for the file, then one for each batch that the gateway has taken. It holds counts and digests, nothing of the
rows. After a crash its last whole line is true: only what was under way is sent again, with the same messageIds, which
the gateway knows for a day and Meta sees as the same event_id.
"""

import errno
import fcntl
import hashlib
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from signalpost.file_import.tables import ImportFailed

_VERSION = 1


class Origin(msgspec.Struct, frozen=True):
    """What is imported. source: a digest of the write key. url, began_at: for the person who asks later."""

    digest: str
    source: str
    url: str
    began_at: str
    version: int = _VERSION


class Position(msgspec.Struct, frozen=True):
    """All rows before `rows` are done. rejects_bytes: how long the rejects file was then."""

    rows: int = 0
    accepted: int = 0
    duplicates: int = 0
    refused: int = 0
    rejects_bytes: int = 0
    is_complete: bool = False


def describe_source(write_key: str) -> str:
    """A digest that tells sources apart and gives nothing away."""
    return hashlib.sha256(f"import\0{write_key}".encode()).hexdigest()[:16]


@dataclass
class Progress:
    """The progress file, held by one process at a time while it is entered.

    position: where to go on; the beginning for a new file.
    """

    path: Path
    origin: Origin
    position: Position = field(default_factory=Position)
    earlier: Origin | None = None
    _file: int = -1

    def __enter__(self) -> Self:
        try:
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_APPEND, 0o600)
        except OSError as error:
            raise ImportFailed(
                f"{self.path} cannot be written: {error.strerror}; without it nothing could go on after an "
                "interruption: say where it may be, --progress FILE"
            ) from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._file)
            if error.errno not in {errno.EAGAIN, errno.EACCES}:
                raise
            raise ImportFailed("this file is being imported already, by another process; wait for it") from None
        self._read()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not os.fstat(self._file).st_size:
            self.path.unlink(missing_ok=True)
        os.close(self._file)

    def _read(self) -> None:
        with self.path.open("rb") as stream:
            lines = stream.read().split(b"\n")[:-1]  # what has no end was torn by a crash, and was never told
        if not lines:
            return
        try:
            self.earlier = msgspec.json.decode(lines[0], type=Origin)
            if len(lines) > 1:
                self.position = msgspec.json.decode(lines[-1], type=Position)
        except msgspec.DecodeError:
            raise ImportFailed(
                f"{self.path} is no progress file of an import; move it away, or say another with --progress FILE"
            ) from None
        os.ftruncate(self._file, sum(len(line) + 1 for line in lines))

    @property
    def is_same_content(self) -> bool:
        """Whether the earlier import, if any, was of this very content."""
        return self.earlier is None or self.earlier.digest == self.origin.digest

    def start_over(self) -> None:
        """Forget the earlier import."""
        os.ftruncate(self._file, 0)
        self.position, self.earlier = Position(), None

    def save(self, position: Position) -> None:
        """Return when the position is on the disk."""
        text = msgspec.json.encode(position) + b"\n"
        if self.earlier is None:
            self.earlier = self.origin
            text = msgspec.json.encode(self.origin) + b"\n" + text
        os.write(self._file, text)
        os.fsync(self._file)
        self.position = position


def begin_origin(digest: str, write_key: str, url: str) -> Origin:
    """Of an import that begins now."""
    return Origin(digest, describe_source(write_key), url, datetime.now(UTC).isoformat(timespec="seconds"))
