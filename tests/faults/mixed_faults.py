"""Everything that goes wrong in a week, a fault a minute (F18), and what a gateway needs meanwhile."""

import math
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import NamedTuple

import requests

from tests.acceptance.processes import drain, start, write_configuration
from tests.faults.harness import CALLS_PER_REQUEST, Load, arm, disarm, find_lost, read_memory, wait_until

_CALLS_A_SECOND = 200
MOST_NEW_FILES = 10


class Sample(NamedTuple):
    """A moment between the faults. memory: bytes. lag: age of the oldest event. calls: all that are remembered."""

    at: float
    process_id: int
    memory: int
    open_files: int
    lag: float
    calls: int


@dataclass
class SoakFigures:
    """What a soak has shown; samples: one a second between the faults."""

    acknowledged: list[str] = field(default_factory=list)
    refused: int = 0
    faults: list[str] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    longest_log: int = 0
    lost: list[str] = field(default_factory=list)
    imbalance: int = 0

    @property
    def late(self) -> float:
        """The 99th percentile of the lags, in seconds."""
        return sorted(sample.lag for sample in self.samples)[len(self.samples) * 99 // 100]

    @property
    def open_files(self) -> tuple[int, int]:
        """The fewest and the most at a time."""
        files = [sample.open_files for sample in self.samples]
        return min(files), max(files)

    @property
    def settled(self) -> list[Sample]:
        """The samples of the process that lived longest, without the first third of its life."""
        longest = statistics.mode(sample.process_id for sample in self.samples)
        samples = [sample for sample in self.samples if sample.process_id == longest]
        return samples[len(samples) // 3 :]

    @property
    def growth(self) -> float:
        """Bytes an hour that the memory grows by once it has settled."""
        samples = self.settled
        return 3_600 * statistics.linear_regression([s.at for s in samples], [s.memory for s in samples]).slope

    @property
    def index_growth(self) -> float:
        """Bytes an hour of it for the index of the calls of a day, as one that is filled in a process of its own."""
        first, last = self.settled[0], self.settled[-1]
        command = [sys.executable, "-c", _FILL_INDEX, str(first.calls), str(last.calls)]
        filled = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
        return int(filled.stdout) * 3_600 / (last.at - first.at)


_FILL_INDEX = """
import os, sys
from signalpost.queue.seen_calls import SeenCalls
from tests.faults.harness import read_memory

first, last = map(int, sys.argv[1:])
seen = SeenCalls([])
for number in range(last):
    if number == first:
        before = read_memory(os.getpid())
    seen.learn(os.urandom(16))
    if number % 20 == 0:
        seen.commit()
print(read_memory(os.getpid()) - before)
"""


class Soak:
    """A gateway under 200 events a second, and one fault after the other."""

    def __init__(self, folder: Path, meta_url: str, fault_seconds: float) -> None:
        self._folder = folder
        self._meta_url = meta_url
        self._fault_seconds = fault_seconds
        self._config = write_configuration(folder, meta_url)
        self._numbers = count(1)
        self.figures = SoakFigures()
        self._begin()

    def run(self, seconds: float, warm_up_calls: int = 0) -> SoakFigures:
        """Kill and stop it, let Meta fail in turns, stop and kill it; the rest of each minute must be quiet.

        warm_up_calls: sent at once before Meta's turns, to fill every cache whose size has a bound.
        """
        self._suffer(self._kill, self._stop)
        self._hurry(warm_up_calls)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._suffer(self._be_down, self._hang, self._throttle, self._poison, self._revoke, until=until)
        self._suffer(self._stop, self._kill)
        self._end()
        ledger = drain(self._gateway)
        self.figures.imbalance = abs(ledger["imbalance"]) + abs(ledger["dead_letter_imbalance"])
        assert self._gateway.stop() == 0
        self.figures.lost = find_lost(self.figures.acknowledged, self._meta_url, self._folder / "data")
        return self.figures

    def _begin(self) -> None:
        self._gateway = start("serve", "--config", str(self._config), folder=self._folder)
        url = self._gateway.announced["tracking_url"]
        self._load = Load(url, self._numbers, interval_seconds=CALLS_PER_REQUEST / _CALLS_A_SECOND)
        self._load.start()

    def _end(self) -> None:
        """The load ends, and what it was told is noted."""
        self._load.stop()
        self.figures.acknowledged += self._load.acknowledged
        self.figures.refused += len(self._load.refusals)

    def _hurry(self, calls: int) -> None:
        """Send these as fast as they are taken, and wait until they are through."""
        hurried = Load(self._gateway.announced["tracking_url"], self._numbers)
        hurried.start()
        wait_until(lambda: len(hurried.acknowledged) >= calls, seconds=60 + calls / 100)
        hurried.stop()
        self.figures.acknowledged += hurried.acknowledged
        wait_until(lambda: self._read_lag() < 2, seconds=60 + calls / 100)

    def _suffer(self, *faults: Callable[[], None], until: float = math.inf) -> None:
        """One fault after the other, each with time to recover, and what is left of its time in peace."""
        for fault in faults:
            began = time.monotonic()
            if began > until:
                break
            self.figures.faults.append(fault.__name__.strip("_"))
            fault()
            disarm(self._meta_url)
            wait_until(lambda: self._read_lag() < 2, seconds=120)
            while time.monotonic() - began < self._fault_seconds:
                self._look()
                time.sleep(1)

    def _look(self) -> None:
        process = self._gateway.process.pid
        files = len(list(Path(f"/proc/{process}/fd").iterdir()))
        calls = len(self.figures.acknowledged) + len(self._load.acknowledged)
        self.figures.samples.append(
            Sample(time.monotonic(), process, read_memory(process), files, self._read_lag(), calls)
        )
        log = self._folder / "data" / "queue.db-wal"
        self.figures.longest_log = max(self.figures.longest_log, log.stat().st_size)

    def _read_lag(self) -> float:
        text = requests.get(f"{self._gateway.announced['console_url']}/metrics", timeout=10).text
        ages = [
            line.split()[-1] for line in text.splitlines() if line.startswith("signalpost_queue_oldest_age_seconds")
        ]
        return max(map(float, ages), default=0.0)

    def _kill(self) -> None:
        self._gateway.kill()
        self._end()
        self._begin()

    def _stop(self) -> None:
        assert self._gateway.stop() == 0
        self._end()
        self._begin()

    def _last(self, fault: str, **plan: object) -> None:
        arm(self._meta_url, fault, **plan)
        time.sleep(self._fault_seconds / 6)

    def _be_down(self) -> None:
        self._last("service_unavailable")

    def _hang(self) -> None:
        self._last("blackhole")

    def _throttle(self) -> None:
        self._last("throttle_429_plain", times=2)

    def _poison(self) -> None:
        ahead = next(self._numbers)
        bad = [f"fault-{number}" for number in range(ahead, ahead + 2_000, 101)]
        self._last("poison", match={"event_id": bad}, params={"as": "lead_id_invalid"})

    def _revoke(self) -> None:
        self._last("token_invalid_session")
        disarm(self._meta_url)
        self._gateway.process.send_signal(signal.SIGHUP)
