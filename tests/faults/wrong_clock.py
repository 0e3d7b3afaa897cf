"""F5 from end to end: a gateway whose wall clock is set while it runs, by libfaketime; Meta's clock is right.

Clocks that nobody sets (monotonic) run on, as they do when an operator or a time server sets the wall clock.
"""

import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import requests

from tests.acceptance.processes import drain, read_json, running, write_configuration
from tests.faults.harness import Load, arm, disarm, find_lost, wait_until

INSTALL = "sudo apt-get install faketime"
_PATIENCE = 240.0

WRONG_BY = {
    "an hour ahead": timedelta(hours=1),
    "an hour back": timedelta(hours=-1),
    "8 days ahead": timedelta(days=8),
    "8 days back": timedelta(days=-8),
    "1970": datetime(1970, 1, 2, tzinfo=UTC) - datetime.now(UTC),
}

NEW_YORK = {
    "summer time ends": datetime(2026, 11, 1, 6, tzinfo=UTC),
    "summer time begins": datetime(2027, 3, 14, 7, tzinfo=UTC),
}


def find_library() -> Path | None:
    """Debian's libfaketime, if it is installed."""
    return next(iter(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")), None)


class WallClock:
    """The wall clock of the processes that are started with `environment`."""

    def __init__(self, library: Path, file: Path) -> None:
        self._file = file
        self.set(timedelta(0))
        self.environment: Mapping[str, str] = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }

    def set(self, ahead: timedelta) -> None:
        """From the next second on it is so far ahead."""
        written = self._file.with_suffix(".new")
        written.write_text(f"{ahead.total_seconds():+.0f}")
        written.replace(self._file)  # at once: an empty file would mean the true time


def live_through(folder: Path, library: Path, wrong_by: timedelta) -> list[str]:
    """Set the clock while events wait, start again with it, and set it right: what should not have come of it.

    While it runs, only the monotonic clock tells of the jump, since Meta takes nothing; after the start nothing does,
    until Meta answers.
    """
    clock = WallClock(library, folder / "clock")
    with running("emulator", "--port", "0", folder=folder) as meta:
        meta_url = meta.announced["url"]
        config = str(write_configuration(folder, meta_url))
        with running("serve", "--config", config, folder=folder, environment=clock.environment) as gateway:
            load = Load(gateway.announced["tracking_url"], count(1), interval_seconds=0.1)
            load.start()
            wait_until(lambda: _count_accepted(meta_url) >= 100)
            arm(meta_url, "service_unavailable")
            taken = len(load.acknowledged)
            wait_until(lambda: len(load.acknowledged) >= taken + 200)
            load.stop()
            clock.set(wrong_by)
            time.sleep(3)
            jumped = gateway.read_api("/api/ledger")
        with running("serve", "--config", config, folder=folder, environment=clock.environment) as gateway:
            disarm(meta_url)
            console_url = gateway.announced["console_url"]
            wait_until(lambda: 'reason="clock_skew"' in _read_metrics(console_url, "destination_paused"), _PATIENCE)
            skew = float(_read_metrics(console_url, "clock_skew_seconds").split()[-1])
            started = gateway.read_api("/api/ledger")
            clock.set(timedelta(0))
            ledger = drain(gateway, _PATIENCE)
        lost = find_lost(load.acknowledged, meta_url, folder / "data")
    objections = {
        f"{len(lost)} lost": lost,
        "expired while the clock had jumped": jumped["events"]["expired"],
        "expired after a start with a wrong clock": started["events"]["expired"],
        "expired when the clock was right again": ledger["events"]["expired"],
        f"refused: {ledger['events']['rejected']}": _count_refused(ledger),
        f"imbalance {ledger['imbalance']}": ledger["imbalance"],
        f"a skew of {skew:.0f} s was told": abs(skew - wrong_by.total_seconds()) > 30,
    }
    return [words for words, is_so in objections.items() if is_so]


def change_summer_time(folder: Path, library: Path, at: datetime) -> list[str]:
    """Run on across the hour that New York skips or has twice: what should not have come of it."""
    clock = WallClock(library, folder / "clock")
    clock.set(at - datetime.now(UTC) - timedelta(minutes=2))  # as long as all of it may take to start
    environment = {**clock.environment, "TZ": "America/New_York"}
    with running("emulator", "--port", "0", folder=folder, environment=environment) as meta:
        meta_url = meta.announced["url"]
        config = str(write_configuration(folder, meta_url))
        with running("serve", "--config", config, folder=folder, environment=environment) as gateway:
            load = Load(gateway.announced["tracking_url"], count(1), interval_seconds=0.1)
            load.start()
            wait_until(lambda: _count_accepted(meta_url) >= 100)
            clock.set(at - datetime.now(UTC) - timedelta(seconds=5))
            time.sleep(15)
            load.stop()
            ledger = drain(gateway)
            is_paused = "reason=" in _read_metrics(gateway.announced["console_url"], "destination_paused")
        lost = find_lost(load.acknowledged, meta_url, folder / "data")
        events = read_json(f"{meta_url}/_emulator/events?limit=100000")["events"]
    times = [event["body"]["event_time"] for event in events]
    objections = {
        f"{len(lost)} lost": lost,
        "it did not run across the change": not min(times) < at.timestamp() < max(times),
        "event times an hour apart": max(times) - min(times) > 600,
        "paused": is_paused,
        "expired": ledger["events"]["expired"],
        f"refused: {ledger['events']['rejected']}": _count_refused(ledger),
        f"imbalance {ledger['imbalance']}": ledger["imbalance"],
    }
    return [words for words, is_so in objections.items() if is_so]


def run_all(folder: Path, library: Path) -> list[str]:
    """Everything above, side by side: most of the time is spent waiting for the next look at the clock."""
    with ThreadPoolExecutor(len(WRONG_BY) + len(NEW_YORK)) as pool:
        running_cases = {
            **{
                name: pool.submit(live_through, _make(folder / name), library, wrong_by)
                for name, wrong_by in WRONG_BY.items()
            },
            **{
                name: pool.submit(change_summer_time, _make(folder / name), library, at)
                for name, at in NEW_YORK.items()
            },
        }
        return [f"{name}: {objection}" for name, case in running_cases.items() for objection in _read_objections(case)]


def _read_objections(case: Future[list[str]]) -> list[str]:
    try:
        return case.result()
    except AssertionError as error:
        return [f"it did not go on: {error}"]


def _make(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _read_metrics(console_url: str, name: str) -> str:
    text = requests.get(f"{console_url}/metrics", timeout=10).text
    return "\n".join(line for line in text.splitlines() if line.startswith(f"signalpost_{name}"))


def _count_accepted(meta_url: str) -> int:
    return int(read_json(f"{meta_url}/_emulator/ledger?limit=0")["totals"]["accepted"])


def _count_refused(ledger: Mapping[str, Any]) -> int:
    """Those that forgot their revenue are refused rightly."""
    return sum(count for code, count in ledger["events"]["rejected"].items() if "missing_value" not in code)
