"""The data folder: private, usable, and one process's at a time."""

import os
import stat
from pathlib import Path

import pytest

from signalpost.data_folder import (
    LOCK_NAME,
    AlreadyRunning,
    DataFolder,
    DataFolderUnusable,
    check_file_system,
    find_file_system,
)


def test_it_is_made_private(tmp_path):
    """A new folder, parents included, is open to its owner only, and so is the lock."""
    path = tmp_path / "a" / "data"
    with DataFolder(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
        assert stat.S_IMODE((path / LOCK_NAME).stat().st_mode) == 0o600


def test_one_process_at_a_time(tmp_path):
    """A second holder is refused with the number of the first; after that one has left the folder is free."""
    with DataFolder(tmp_path):
        with pytest.raises(
            AlreadyRunning, match=rf"already running \(pid {os.getpid()}\): only one process may use {tmp_path}"
        ):
            DataFolder(tmp_path).__enter__()
        with pytest.raises(AlreadyRunning):
            DataFolder(tmp_path).__enter__()
    with DataFolder(tmp_path):
        assert (tmp_path / LOCK_NAME).read_text() == f"{os.getpid()}\n"


def test_a_lock_left_behind_is_no_obstacle(tmp_path):
    """The file of a process that was killed holds nothing: the lock died with it."""
    (tmp_path / LOCK_NAME).write_text("4194304000\n")
    with DataFolder(tmp_path):
        assert (tmp_path / LOCK_NAME).read_text() == f"{os.getpid()}\n"


@pytest.mark.parametrize(("below", "reason"), [("", "File exists"), ("data", "Not a directory")])
def test_a_path_that_cannot_be_a_folder(tmp_path, below, reason):
    """The message names the setting, the path and what to do."""
    file = tmp_path / "file"
    file.touch()
    path = file / below
    with pytest.raises(DataFolderUnusable, match=rf"server\.data_dir: cannot use {path}: {reason}; choose one"):
        DataFolder(path).__enter__()


@pytest.mark.parametrize(
    ("path", "kind"), [("/data/sp", "ext4"), ("/data/share/sp", "nfs4"), ("/data/my disk", "9p"), ("/run/x", "tmpfs")]
)
def test_file_system_of_a_folder_is_that_of_its_nearest_mount(path, kind):
    """The longest mount point that holds the folder counts; network file systems are refused, others are not."""
    mounts = """21 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 21 0:30 / /data/share rw - nfs4 server:/x rw
31 21 0:31 / /data/my\\040disk rw - 9p host rw
32 21 0:32 / /run rw shared:5 - tmpfs tmpfs rw
"""
    assert find_file_system(Path(path), mounts) == kind
    if kind in {"nfs4", "9p"}:
        with pytest.raises(DataFolderUnusable, match=f"network file system \\({kind}\\)"):
            check_file_system(Path(path), mounts)
    else:
        check_file_system(Path(path), mounts)
