"""Whether there is room for more events: free space on the disk, and bytes that wait already.

When there is none, ingest is refused and everything else goes on: what waits is delivered, which makes room. A full
disk also blocks deleting (the write-ahead log needs room), so a ballast file is kept to be removed then.
"""

import contextlib
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, NamedTuple

from signalpost import failpoints

BALLAST_NAME: Final = "ballast"


@dataclass(frozen=True, slots=True)
class RoomLimits:
    """low: free space below which ingest is refused, the larger of both. waiting_bytes: payload bytes that may wait.

    most_low_bytes: low_share asks for no more, since a twentieth of a large disk is more than a queue needs.
    waiting_bytes: 0 is 80 % of the disk. source_share: the part of it that one source may fill. recovery_seconds: how
    long there must be twice the low mark before ingest opens again.
    """

    low_bytes: int = 256 << 20
    low_share: float = 0.05
    most_low_bytes: int = 4 << 30
    ballast_bytes: int = 16 << 20
    recovery_seconds: float = 10.0
    waiting_bytes: int = 0
    source_share: float = 0.5

    def find_low_mark(self, usage: "DiskUsage") -> int:
        """The free bytes below which ingest is refused."""
        return max(self.low_bytes, min(int(usage.total * self.low_share), self.most_low_bytes))


DiskState = Literal["normal", "low", "full"]


class DiskUsage(NamedTuple):
    """As shutil.disk_usage tells it, in bytes."""

    total: int
    used: int
    free: int


def read_disk_usage(folder: Path) -> DiskUsage:
    """How full the disk is that holds a folder."""
    return DiskUsage(*shutil.disk_usage(folder))


class Room:
    """Looks at the disk and at what waits, in the write thread; is asked by whoever wants to put."""

    def __init__(
        self,
        folder: Path,
        limits: RoomLimits,
        monotonic: Callable[[], float],
        read_usage: Callable[[Path], DiskUsage] = read_disk_usage,
    ) -> None:
        self._folder = folder
        self._limits = limits
        self._monotonic = monotonic
        self._read_usage = read_usage
        self._enough_since: float | None = None
        self._full_sources: frozenset[str] = frozenset()
        self._is_queue_full = False
        self.state: DiskState = "normal"
        self.usage = read_usage(folder)
        self.look()
        if self.state == "normal":
            self._write_ballast()

    @property
    def is_tight(self) -> bool:
        """Whether what is kept for the console alone should go now, before ingest has to be refused."""
        return self.usage.free < 2 * self._low_mark

    def find_objection(self, source_id: str) -> str | None:
        """Why a source may not put more events now, or None."""
        if self.state != "normal":
            return f"there is little room on the disk: {self.usage.free >> 20:,} MiB free"
        if self._is_queue_full:
            return "the queue holds as much as it may (queue.max_bytes)"
        if source_id in self._full_sources:
            return f"the source {source_id} fills its share of the queue (queue.max_source_share)"
        return None

    def look(self, waiting_bytes: Mapping[str, int] | None = None) -> None:
        """Look again. waiting_bytes: payload bytes that wait, by source."""
        self.usage = self._read_usage(self._folder)
        if waiting_bytes is not None:
            most = self._limits.waiting_bytes or self.usage.total * 8 // 10
            share = most * self._limits.source_share
            self._is_queue_full = sum(waiting_bytes.values()) >= most
            self._full_sources = frozenset(source for source, size in waiting_bytes.items() if size >= share)
        if self.state == "normal":
            if self.usage.free < self._low_mark:
                self.state = "low"
        elif self._has_recovered():
            self.state = "normal"
            self._write_ballast()

    def tell_full(self) -> None:
        """A write failed for lack of room: give the ballast away, so that what waits can be settled."""
        self.state, self._enough_since = "full", None
        failpoints.reach("ballast_release")
        (self._folder / BALLAST_NAME).unlink(missing_ok=True)

    @property
    def _low_mark(self) -> int:
        return self._limits.find_low_mark(self.usage)

    def _has_recovered(self) -> bool:
        if self.usage.free <= 2 * self._low_mark:
            self._enough_since = None
            return False
        self._enough_since = self._monotonic() if self._enough_since is None else self._enough_since
        return self._monotonic() - self._enough_since >= self._limits.recovery_seconds

    def _write_ballast(self) -> None:
        """Take the room that a full disk would lack. Without one the queue works too, so trouble here is none."""
        if not self._limits.ballast_bytes:
            return
        with contextlib.suppress(OSError):
            descriptor = os.open(self._folder / BALLAST_NAME, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, self._limits.ballast_bytes)
            finally:
                os.close(descriptor)
