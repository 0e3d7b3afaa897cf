"""Faults of the store: a full disk (F3), a second process (F17), a backup (F21)."""

import shutil
import subprocess
import sys
from itertools import count
from pathlib import Path

from tests.acceptance.processes import drain, running, write_configuration
from tests.faults.disks import fill, needs_mount, small_disk
from tests.faults.harness import Load, arm, count_pending, disarm, find_lost, read_arrived, wait_until


def test_second_process_is_refused(tmp_path: Path, meta_url: str) -> None:
    """F17: a second gateway on the same data folder ends with 3, and the first goes on as before."""
    config = write_configuration(tmp_path, meta_url)
    with running("serve", "--config", str(config), folder=tmp_path) as gateway:
        command = [sys.executable, "-m", "signalpost", "serve", "--config", str(config)]
        second = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=60)
        assert (second.returncode, "already running" in second.stderr) == (3, True)
        load = Load(gateway.announced["tracking_url"], count(1))
        load.start()
        wait_until(lambda: len(load.acknowledged) >= 100)
        load.stop()
        assert drain(gateway)["imbalance"] == 0


def test_backup_under_load_can_be_restored(tmp_path: Path, meta_url: str) -> None:
    """F21: what was acknowledged before a backup is in it; what waited then is sent again, with the same event_id."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    config = write_configuration(tmp_path, meta_url)
    with running("serve", "--config", str(config), folder=tmp_path) as gateway:
        load = Load(gateway.announced["tracking_url"], count(1))
        load.start()
        wait_until(lambda: len(load.acknowledged) >= 300)
        arm(meta_url, "service_unavailable")
        wait_until(lambda: len(load.acknowledged) >= 600)
        before = list(load.acknowledged)
        command = [sys.executable, "-m", "signalpost", "backup", str(elsewhere / "data"), "--config", str(config)]
        made = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
        assert made.returncode == 0, made.stderr
        again = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
        assert (again.returncode, "is there already" in again.stderr.replace("\n", " ")) == (1, True)
        load.stop()
        disarm(meta_url)
        gateway.post_api("/api/delivery/main-pixel/resume", {})
        drain(gateway)
    delivered = read_arrived(meta_url)
    shutil.copy(tmp_path / "data" / "master.key", elsewhere / "data")  # kept apart from the backup, as it should be
    config = write_configuration(elsewhere, meta_url)
    with running("serve", "--config", str(config), folder=elsewhere) as gateway:
        ledger = drain(gateway)
    assert ledger["events"]["accepted"] >= len(before)
    assert (ledger["imbalance"], ledger["dead_letter_imbalance"]) == (0, 0)
    assert find_lost(before, meta_url, elsewhere / "data") == []
    assert read_arrived(meta_url).keys() == delivered.keys()
    assert max(read_arrived(meta_url).values()) == 2


@needs_mount
def test_full_disk_loses_nothing_and_opens_again(tmp_path: Path, meta_url: str) -> None:
    """F3: with a disk that fills up calls get 503 with Retry-After, delivery goes on, and room opens it again."""
    with small_disk(tmp_path / "data") as disk:
        _fill_and_free(tmp_path, meta_url, disk)


def _fill_and_free(folder: Path, meta_url: str, disk: Path) -> None:
    limits = "[queue]\nlow_disk_bytes = 4194304\nballast_bytes = 2097152\nrecovery_seconds = 1\n"
    config = write_configuration(folder, meta_url)
    config.write_text(limits + config.read_text())
    with running("serve", "--config", str(config), folder=folder) as gateway:
        load = Load(gateway.announced["tracking_url"], count(1))
        load.start()
        wait_until(lambda: len(load.acknowledged) >= 100)
        fill(disk)
        wait_until(lambda: len(load.refusals) >= 3)
        assert {answer.status_code for answer in load.refusals} == {503}
        assert all(int(answer.headers["Retry-After"]) > 0 for answer in load.refusals)
        wait_until(lambda: count_pending(gateway) == 0)
        taken = len(load.acknowledged)
        (disk / "filler").unlink()
        wait_until(lambda: len(load.acknowledged) > taken, seconds=10)
        load.stop()
        ledger = drain(gateway)
    assert find_lost(load.acknowledged, meta_url, disk) == []
    assert (ledger["imbalance"], ledger["dead_letter_imbalance"]) == (0, 0)
