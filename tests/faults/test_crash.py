"""A process that dies: killed at random moments under load (F1a), and at each named point of the code (F1b)."""

import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests

from signalpost.failpoints import EXIT_CODE, NAMES
from tests.acceptance.processes import Program, drain, read_json, running, start, write_configuration
from tests.faults.disks import fill, needs_mount, small_disk
from tests.faults.harness import (
    CALLS_PER_REQUEST,
    Load,
    arm,
    disarm,
    find_lost,
    read_arrived,
    read_buried,
    read_processor_seconds,
    wait_until,
)

KILLS = 30
SECONDS_TO_LIVE = (0.2, 3.0)
SENDERS = 4
REQUESTS_A_SECOND = 240
MOST_REPEATS_PER_KILL = 1_000
SECONDS_TO_COME_BACK = 5

# Those that a load of good and bad orders reaches; the log is checkpointed for the first time after 16 MiB.
_REACHED = (
    "after_parse",
    "in_group",
    "after_commit_before_answer",
    "after_lease",
    "after_send_before_read",
    "after_answer_before_settle",
    "in_settle",
    "in_checkpoint",
)

# Those that are reached when Meta refuses some of the orders.
_REACHED_BY_REFUSALS = ("mid_bisect", "in_dead_letter")
_REFUSED = [f"fault-{number}" for number in range(5, 20_000, 500)]

every_hit = pytest.mark.parametrize("hits", [1, 2, 3])


def test_thirty_kills_lose_nothing_that_was_acknowledged(tmp_path: Path, meta_url: str) -> None:
    """F1a: after SIGKILLs at random moments all that was acknowledged has its end, and repeats are bounded."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    numbers, acknowledged, starts = count(1), list[str](), list[_Start]()
    config = write_configuration(tmp_path, meta_url)
    loaded_seconds = 0.0
    for kill in range(KILLS):
        began = time.monotonic()
        gateway = start("serve", "--config", str(config), folder=tmp_path)
        url = gateway.announced["tracking_url"]
        loads = [Load(url, numbers, interval_seconds=SENDERS / REQUESTS_A_SECOND) for _ in range(SENDERS)]
        for load in loads:
            load.start()
        wait_until(lambda loads=loads: any(load.acknowledged for load in loads))
        starts.append(_Start(time.monotonic() - began, read_processor_seconds(gateway.process.pid)))
        time.sleep(chance.uniform(*SECONDS_TO_LIVE))
        loaded_seconds += time.monotonic() - began - starts[-1].seconds
        gateway.kill()
        for load in loads:
            load.stop()
            acknowledged += load.acknowledged
        assert (
            read_json(f"{meta_url}/_emulator/ledger?limit=0")["totals"]["repeats"] <= (kill + 1) * MOST_REPEATS_PER_KILL
        )
    with running("serve", "--config", str(config), folder=tmp_path) as gateway:
        ledger = drain(gateway)
    arrived = read_arrived(meta_url)
    repeats = sum(arrived.values()) - len(arrived)
    print(
        f"{len(acknowledged) / CALLS_PER_REQUEST / loaded_seconds:.0f} requests a second, {repeats} repeats, {starts}"
    )
    assert find_lost(acknowledged, meta_url, tmp_path / "data") == []
    assert len(acknowledged) > KILLS * CALLS_PER_REQUEST
    assert (ledger["imbalance"], ledger["dead_letter_imbalance"]) == (0, 0)
    assert not arrived.keys() & read_buried(tmp_path / "data")
    assert repeats <= KILLS * MOST_REPEATS_PER_KILL
    # Each by the time of the processor, which others cannot take away; by the clock at least half of them.
    assert max(start.processor_seconds for start in starts) < SECONDS_TO_COME_BACK
    assert statistics.median(start.seconds for start in starts) < SECONDS_TO_COME_BACK


class _Start(NamedTuple):
    """How long it took until the first 200, by the clock and by the time of the processor."""

    seconds: float
    processor_seconds: float


@every_hit
@pytest.mark.parametrize("name", _REACHED)
def test_crash_at_a_named_point_loses_nothing(tmp_path: Path, meta_url: str, name: str, hits: int) -> None:
    """F1b: dying right there loses nothing that was acknowledged, and the next start is stuck behind no lease."""
    _crash_and_drain(tmp_path, meta_url, f"{name}:{hits}")


@every_hit
@pytest.mark.parametrize("name", _REACHED_BY_REFUSALS)
def test_crash_while_meta_refuses_some_loses_nothing(tmp_path: Path, meta_url: str, name: str, hits: int) -> None:
    """F1b: the same in the middle of the search for refused events, and while one becomes a dead letter."""
    arm(meta_url, "poison", match={"event_id": _REFUSED}, params={"as": "lead_id_invalid"})
    _crash_and_drain(tmp_path, meta_url, f"{name}:{hits}")


@every_hit
def test_crash_while_deleting_what_is_old(tmp_path: Path, meta_url: str, hits: int) -> None:
    """F1b, in_retention: what waits is spared, and the next start deletes the rest."""
    config = write_configuration(tmp_path, meta_url)
    with running("serve", "--config", str(config), folder=tmp_path) as gateway, _load(gateway) as load:
        wait_until(lambda: gateway.read_api("/api/ledger")["events"]["delivered"] > 1_500)
        arm(meta_url, "service_unavailable")
        taken = len(load.acknowledged)
        wait_until(lambda: len(load.acknowledged) > taken + 100)
    # The delivered payloads that were kept are deleted now, 500 at a time.
    config.write_text("[retention]\ndelivered_payload_hours = 0\n" + config.read_text())
    command = [sys.executable, "-m", "signalpost", "serve", "--config", str(config)]
    dead = subprocess.run(command, env=os.environ | _at(f"in_retention:{hits}"), check=False, timeout=60)
    assert dead.returncode == EXIT_CODE
    disarm(meta_url)
    with running("serve", "--config", str(config), folder=tmp_path) as gateway:
        ledger = drain(gateway)
    assert find_lost(load.acknowledged, meta_url, tmp_path / "data") == []
    assert (ledger["imbalance"], ledger["dead_letter_imbalance"]) == (0, 0)


@every_hit
def test_crash_while_dead_letters_are_requeued(tmp_path: Path, meta_url: str, hits: int) -> None:
    """F1b, in_requeue: each is a dead letter or waits again, never both and never neither; each arrives once."""
    arm(meta_url, "poison", match={"event_id": _REFUSED}, params={"as": "lead_id_invalid"})
    config = write_configuration(tmp_path, meta_url)
    with running("serve", "--config", str(config), folder=tmp_path) as gateway, _load(gateway) as load:
        wait_until(lambda: len(load.acknowledged) > 1_500)
        load.stop()
        drain(gateway)
    disarm(meta_url)
    refused = [message_id for message_id in load.acknowledged if message_id in _REFUSED]
    assert len(refused) >= 3
    with _dying(config, tmp_path, f"in_requeue:{hits}") as gateway:
        for letter in _find_refused(gateway):
            try:
                _requeue(gateway, letter)
            except requests.RequestException:
                break
    with running("serve", "--config", str(config), folder=tmp_path) as gateway:
        left = _find_refused(gateway)
        assert len(left) == len(refused) - (hits - 1)
        for letter in left:
            _requeue(gateway, letter)
        ledger = drain(gateway)
    arrived = read_arrived(meta_url)
    assert {arrived[message_id] for message_id in refused} == {1}
    assert not read_buried(tmp_path / "data") & set(refused)
    assert (ledger["imbalance"], ledger["dead_letter_imbalance"]) == (0, 0)


@needs_mount
@every_hit
def test_crash_while_the_ballast_goes(tmp_path: Path, meta_url: str, hits: int) -> None:
    """F1b, ballast_release: on a full disk; once there is room again, all that was acknowledged is delivered."""
    with small_disk(tmp_path / "data") as disk:
        config = write_configuration(tmp_path, meta_url)
        limits = "[queue]\nlow_disk_bytes = 0\nlow_disk_share = 0\nballast_bytes = 2097152\nrecovery_seconds = 0\n"
        config.write_text(limits + config.read_text())
        with _dying(config, tmp_path, f"ballast_release:{hits}") as gateway, _load(gateway) as load:
            wait_until(lambda: len(load.acknowledged) >= 100)
            while gateway.process.poll() is None:  # room that is given away is filled up again
                fill(disk)
                time.sleep(0.02)
        (disk / "filler").unlink()
        with running("serve", "--config", str(config), folder=tmp_path) as gateway:
            ledger = drain(gateway)
        assert find_lost(load.acknowledged, meta_url, disk) == []
    assert (ledger["imbalance"], ledger["dead_letter_imbalance"]) == (0, 0)


def test_every_point_is_visited() -> None:
    """F1b: no name is forgotten here; `in_migration` is visited by tests/queue/test_migrations.py."""
    visited = {*_REACHED, *_REACHED_BY_REFUSALS, "in_retention", "in_requeue", "ballast_release", "in_migration"}
    assert visited == set(NAMES)


def test_failpoint_is_inert_outside_of_tests(tmp_path: Path, meta_url: str) -> None:
    """Without SIGNALPOST_TESTING=1 the variable does nothing."""
    config = write_configuration(tmp_path, meta_url)
    environment = {"SIGNALPOST_FAILPOINT": "in_group:1"}
    with running("serve", "--config", str(config), folder=tmp_path, environment=environment) as gateway:
        with _load(gateway) as load:
            wait_until(lambda: len(load.acknowledged) >= 100)
        assert gateway.stop() == 0


@contextmanager
def _load(gateway: Program) -> Iterator[Load]:
    load = Load(gateway.announced["tracking_url"], count(1))
    load.start()
    try:
        yield load
    finally:
        load.stop()


def _at(failpoint: str) -> dict[str, str]:
    return {"SIGNALPOST_TESTING": "1", "SIGNALPOST_FAILPOINT": failpoint}


@contextmanager
def _dying(config: Path, folder: Path, failpoint: str) -> Iterator[Program]:
    """A gateway that dies at a named point while this is entered, or after."""
    with running("serve", "--config", str(config), folder=folder, environment=_at(failpoint)) as gateway:
        yield gateway
        assert gateway.process.wait(timeout=60) == EXIT_CODE


def _crash_and_drain(folder: Path, meta_url: str, failpoint: str) -> None:
    """Load a gateway until it dies there, start it again, and check that everything acknowledged has its end."""
    config = write_configuration(folder, meta_url)
    with _dying(config, folder, failpoint) as gateway, _load(gateway) as load:
        gateway.process.wait(timeout=60)
    with running("serve", "--config", str(config), folder=folder) as gateway:
        ledger = drain(gateway)
    assert find_lost(load.acknowledged, meta_url, folder / "data") == []
    assert (ledger["imbalance"], ledger["dead_letter_imbalance"]) == (0, 0)


def _find_refused(gateway: Program) -> list[int]:
    """The dead letters that Meta made."""
    letters: list[dict[str, Any]] = gateway.read_api("/api/dead-letters?limit=1000")["dead_letters"]
    return [letter["id"] for letter in letters if letter["message_id"] in _REFUSED]


def _requeue(gateway: Program, dead_letter: int) -> None:
    gateway.post_api("/api/dead-letters/requeue", {"ids": [dead_letter]})
