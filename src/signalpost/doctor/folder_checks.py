"""Whether the data folder can be trusted with events: its modes, its file system, its lock, and room on the disk."""

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.filesize import decimal

from signalpost.data_folder import DataFolderUnusable, check_file_system, find_file_system, find_holder, read_mounts
from signalpost.model.check import Check
from signalpost.queue.room import RoomLimits, read_disk_usage

_LITTLE_ROOM_BYTES: Final = 1 << 30
_ANYBODY_ELSE: Final = 0o077
_NOT_OF_THE_GROUP: Final = 0o027
"""A secret may be mounted for a group to read (Kubernetes, systemd); nobody else may."""


def check_folder(folder: Path) -> Check:
    """Whether it is on a disk of this machine, can be written to, and is closed to others."""
    if not folder.exists():
        return Check("data folder", "ok", f"{folder} is not there yet; `signalpost serve` makes it, for its user only")
    if not folder.is_dir():
        return Check("data folder", "broken", f"{folder} is no folder", "Name another one in server.data_dir.")
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        fix = "Run this as the user that Signalpost runs as, or give that user the folder."
        return Check("data folder", "broken", f"{folder} can't be written to by this user", fix)
    try:
        check_file_system(folder.resolve(), read_mounts())
    except DataFolderUnusable as error:
        return Check("data folder", "broken", str(error), "Move it to a disk of this machine.")
    wide = [path.name for path in (folder, *sorted(folder.iterdir())) if _is_open(path, _ANYBODY_ELSE)]
    if wide:
        names = ", ".join(wide[:3]) + (f" and {len(wide) - 3} more" if len(wide) > 3 else "")
        return Check("data folder", "warning", f"others on this machine may read {names}", f"chmod -R go= {folder}")
    kind = find_file_system(folder.resolve(), read_mounts())
    return Check("data folder", "ok", f"{folder}, for its user only" + (f", on {kind}" if kind else ""))


def check_secret_files(files: Sequence[Path]) -> Check:
    """Files that hold a token or a key should be readable by their owner alone."""
    wide = [file for file in files if file.exists() and _is_open(file, _NOT_OF_THE_GROUP)]
    if wide:
        fix = f"chmod 600 {' '.join(str(file) for file in wide)}"
        return Check("secret files", "warning", "others on this machine may read or change a secret", fix)
    return Check("secret files", "ok", f"{len(files)}, closed to others" if files else "none")


def check_lock(folder: Path) -> Check:
    """Whether a gateway runs on the folder."""
    holder = find_holder(folder)
    if holder is None:
        return Check("gateway", "warning", "does not run on this data folder", "Start it: signalpost serve")
    return Check("gateway", "ok", f"runs (pid {holder})")


def check_disk(folder: Path, limits: RoomLimits) -> Check:
    """Room on the disk, beside the mark below which calls are refused."""
    usage = read_disk_usage(_find_existing(folder))
    low = limits.find_low_mark(usage)
    told = f"{decimal(usage.free)} free of {decimal(usage.total)}"
    fix = "Make room: below the mark calls are answered with 503, and their senders must keep them."
    if usage.free < low:
        return Check("disk", "broken", f"{told}; calls are refused below {decimal(low)}", fix)
    if usage.free < max(2 * low, _LITTLE_ROOM_BYTES):
        return Check("disk", "warning", f"{told}; calls are refused below {decimal(low)}", fix)
    return Check("disk", "ok", told)


def _is_open(path: Path, mask: int) -> bool:
    return bool(stat.S_IMODE(path.stat().st_mode) & mask)


def _find_existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    absolute = folder.absolute()
    return next(path for path in (absolute, *absolute.parents) if path.exists())
