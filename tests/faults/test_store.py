"""Faults of the store: a crash at each named point (F1b), a full disk (F3), a second process (F17), a backup (F21)."""

import os
import shutil
import subprocess
import sys
import time
from itertools import count
from pathlib import Path

import pytest
import requests

from signalpost.failpoints import EXIT_CODE
from tests.acceptance.processes import Program, drain, running, start, write_configuration
from tests.faults.harness import Load, find_lost

# Those that a load of good and bad orders reaches.
_REACHED = (
    "after_parse",
    "in_group",
    "after_commit_before_answer",
    "after_lease",
    "after_send_before_read",
    "after_answer_before_settle",
    "in_settle",
)

# Those that are reached when Meta refuses some of the orders.
_REACHED_BY_REFUSALS = ("mid_bisect", "in_dead_letter")
_POISON = {
    "fault": "poison",
    "match": {"event_id": [f"fault-{number}" for number in range(5, 20_000, 500)]},
    "params": {"as": "lead_id_invalid"},
}


@pytest.mark.parametrize("hits", [1, 2, 3])
@pytest.mark.parametrize("name", _REACHED)
def test_crash_at_a_named_point_loses_nothing(tmp_path: Path, name: str, hits: int) -> None:
    """F1b: dying right there loses nothing that was acknowledged, and the next start is stuck behind no lease."""
    with running("emulator", "--port", "0", folder=tmp_path) as meta:
        _crash_and_drain(tmp_path, meta.announced["url"], f"{name}:{hits}")


@pytest.mark.parametrize("hits", [1, 2, 3])
@pytest.mark.parametrize("name", _REACHED_BY_REFUSALS)
def test_crash_while_meta_refuses_some_loses_nothing(tmp_path: Path, name: str, hits: int) -> None:
    """F1b: the same in the middle of the search for refused events, and while one becomes a dead letter."""
    with running("emulator", "--port", "0", folder=tmp_path) as meta:
        requests.post(f"{meta.announced['url']}/_emulator/faults", json=_POISON, timeout=10).raise_for_status()
        _crash_and_drain(tmp_path, meta.announced["url"], f"{name}:{hits}")


def _crash_and_drain(tmp_path: Path, meta_url: str, failpoint: str) -> None:
    """Load a gateway until it dies there, start it again, and check that everything acknowledged has its end."""
    config = write_configuration(tmp_path, meta_url)
    environment = {"SIGNALPOST_TESTING": "1", "SIGNALPOST_FAILPOINT": failpoint}
    gateway = start("serve", "--config", str(config), folder=tmp_path, environment=environment)
    load = Load(gateway.announced["tracking_url"], count(1))
    load.start()
    assert gateway.process.wait(timeout=30) == EXIT_CODE
    load.stop()
    assert gateway.process.stdout is not None
    gateway.process.stdout.close()
    with running("serve", "--config", str(config), folder=tmp_path) as gateway:
        ledger = drain(gateway)
    assert find_lost(load.acknowledged, meta_url, tmp_path / "data") == []
    assert (ledger["imbalance"], ledger["dead_letter_imbalance"]) == (0, 0)


def test_failpoint_is_inert_outside_of_tests(tmp_path: Path) -> None:
    """Without SIGNALPOST_TESTING=1 the variable does nothing."""
    with running("emulator", "--port", "0", folder=tmp_path) as meta:
        config = write_configuration(tmp_path, meta.announced["url"])
        environment = {"SIGNALPOST_FAILPOINT": "in_group:1"}
        gateway = start("serve", "--config", str(config), folder=tmp_path, environment=environment)
        load = Load(gateway.announced["tracking_url"], count(1))
        load.start()
        _wait_until(lambda: len(load.acknowledged) >= 100)
        load.stop()
        assert gateway.stop() == 0
        assert gateway.process.stdout is not None
        gateway.process.stdout.close()


def test_second_process_is_refused(tmp_path: Path) -> None:
    """F17: a second gateway on the same data folder ends with 3, and the first goes on as before."""
    with running("emulator", "--port", "0", folder=tmp_path) as meta:
        config = write_configuration(tmp_path, meta.announced["url"])
        with running("serve", "--config", str(config), folder=tmp_path) as gateway:
            command = [sys.executable, "-m", "signalpost", "serve", "--config", str(config)]
            second = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
            assert (second.returncode, "already running" in second.stderr) == (3, True)
            load = Load(gateway.announced["tracking_url"], count(1))
            load.start()
            _wait_until(lambda: len(load.acknowledged) >= 100)
            load.stop()
            assert drain(gateway)["imbalance"] == 0


def test_backup_under_load_can_be_restored(tmp_path: Path) -> None:
    """F21: what was acknowledged before a backup was made is in it; a gateway starts from it, and the sums agree."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with running("emulator", "--port", "0", folder=tmp_path) as meta:
        config = write_configuration(tmp_path, meta.announced["url"])
        with running("serve", "--config", str(config), folder=tmp_path) as gateway:
            load = Load(gateway.announced["tracking_url"], count(1))
            load.start()
            _wait_until(lambda: len(load.acknowledged) >= 500)
            before = list(load.acknowledged)
            command = [sys.executable, "-m", "signalpost", "backup", str(elsewhere / "data"), "--config", str(config)]
            made = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
            assert made.returncode == 0, made.stderr
            again = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
            assert (again.returncode, "is there already" in again.stderr.replace("\n", " ")) == (1, True)
            load.stop()
            drain(gateway)
    shutil.copy(tmp_path / "data" / "master.key", elsewhere / "data")  # kept apart from the backup, as it should be
    with running("emulator", "--port", "0", folder=elsewhere) as meta:
        config = write_configuration(elsewhere, meta.announced["url"])
        with running("serve", "--config", str(config), folder=elsewhere) as gateway:
            ledger = drain(gateway)
    assert ledger["events"]["accepted"] >= len(before)
    assert (ledger["imbalance"], ledger["dead_letter_imbalance"]) == (0, 0)


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("mount") is None, reason="mounting needs root: sudo make test")
def test_full_disk_loses_nothing_and_opens_again(tmp_path: Path) -> None:
    """F3: with a disk that fills up calls get 503 with Retry-After, delivery goes on, and room opens it again."""
    disk = tmp_path / "data"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(disk)], check=True)
    try:
        _fill_and_free(tmp_path, disk)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def _fill_and_free(folder: Path, disk: Path) -> None:
    limits = "[queue]\nlow_disk_bytes = 4194304\nballast_bytes = 2097152\nrecovery_seconds = 1\n"
    with running("emulator", "--port", "0", folder=folder) as meta:
        config = write_configuration(folder, meta.announced["url"])
        config.write_text(limits + config.read_text())
        with running("serve", "--config", str(config), folder=folder) as gateway:
            load = Load(gateway.announced["tracking_url"], count(1))
            load.start()
            _wait_until(lambda: len(load.acknowledged) >= 100)
            filler = disk / "filler"
            _fill(filler)
            _wait_until(lambda: len(load.refusals) >= 3)
            assert {answer.status_code for answer in load.refusals} == {503}
            assert all(int(answer.headers["Retry-After"]) > 0 for answer in load.refusals)
            _wait_until(lambda: _count_pending(gateway) == 0)
            taken = len(load.acknowledged)
            filler.unlink()
            _wait_until(lambda: len(load.acknowledged) > taken, seconds=10)
            load.stop()
            ledger = drain(gateway)
        assert find_lost(load.acknowledged, meta.announced["url"], disk) == []
    assert (ledger["imbalance"], ledger["dead_letter_imbalance"]) == (0, 0)


def _fill(filler: Path) -> None:
    """Write until nothing more fits."""
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(65_536))
        except OSError:
            return


def _count_pending(gateway: Program) -> int:
    ledger = gateway.read_api("/api/ledger")
    return int(sum(ledger["events"]["pending"].values()))


def _wait_until(is_true: "object", seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not is_true():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.02)
