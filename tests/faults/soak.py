"""`make soak`: the fault tests that take long, with the numbers of a release; prints a table of what they showed.

SOAK_MINUTES: how long the mixed faults last (10). The code is that of the tests, which run it with smaller numbers.
"""

import asyncio
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.acceptance.processes import running
from tests.faults import wrong_clock
from tests.faults.damage import PLACES, flip_bytes
from tests.faults.mixed_faults import MOST_NEW_FILES, Soak
from tests.faults.power_loss import cut_power
from tests.faults.pressure import press

MINUTES = float(os.environ.get("SOAK_MINUTES", "10"))
IMAGES = 5_000
SEEDS = 25
CONNECTIONS = 1_000
WARM_UP_CALLS = 200_000
MINUTES_TO_JUDGE_MEMORY = 60
_MOST_MEMORY = 512 << 20
_MIB = 1 << 20

Verdict = tuple[bool, str]


def power_loss(folder: Path, _: str) -> Verdict:
    seed = random.randrange(2**32)
    damage = asyncio.run(cut_power(folder, IMAGES, seed))
    return not damage, f"{IMAGES:,} images of the disk, {len(damage)} with damage (seed {seed})"


def flipped_bytes(folder: Path, _: str) -> Verdict:
    objections = asyncio.run(flip_bytes(folder, range(SEEDS)))
    return not objections, f"{SEEDS} × {', '.join(PLACES)}: {len(objections)} objections"


def wrong_clocks(folder: Path, _: str) -> Verdict:
    library = wrong_clock.find_library()
    if library is None:
        return False, f"libfaketime is missing: {wrong_clock.INSTALL}"
    is_right, words = run_tests("tests/faults/test_meta.py", "wrong_clock")
    objections = wrong_clock.run_all(folder, library)
    cases = ", ".join([*wrong_clock.WRONG_BY, *wrong_clock.NEW_YORK])
    return is_right and not objections, f"{words}; from end to end ({cases}): {'; '.join(objections) or 'as it should'}"


def memory(folder: Path, meta_url: str) -> Verdict:
    figures = press(folder, meta_url, CONNECTIONS, seconds=120)
    stored = figures.answers.count(200)
    text = f"{CONNECTIONS:,} connections × 4 MB: {figures.peak // _MIB} MiB at most; {stored} requests taken, "
    return figures.peak <= _MOST_MEMORY, text + f"{figures.pending:,} events and {figures.queue // _MIB} MiB wait"


def upgrades(_folder: Path, _: str) -> Verdict:
    return run_tests("tests/queue/test_migrations.py", "")


def mixed_faults(folder: Path, meta_url: str) -> Verdict:
    figures = Soak(folder, meta_url, fault_seconds=60).run(MINUTES * 60, warm_up_calls=WARM_UP_CALLS)
    index_growth, (fewest_files, most_files) = figures.index_growth, figures.open_files
    growth = figures.growth - index_growth
    is_right = (
        (figures.lost, figures.imbalance) == ([], 0)
        and figures.longest_log < 64 * _MIB
        and figures.late < 5
        and most_files - fewest_files < MOST_NEW_FILES
        and (growth < _MIB or MINUTES < MINUTES_TO_JUDGE_MEMORY)
    )
    words = [
        f"{len(figures.faults)} faults, {len(figures.acknowledged):,} events acknowledged, {len(figures.lost)} lost",
        f"imbalance {figures.imbalance}",
        f"lag p99 {figures.late:.1f} s between the faults",
        f"log {figures.longest_log / _MIB:.1f} MiB at most",
        f"memory {figures.settled[-1].memory / _MIB:.0f} MiB",
        f"{growth / _MIB:+.1f} MiB an hour, without the index of calls ({index_growth / _MIB:+.1f})",
        f"{fewest_files} to {most_files} open files",
    ]
    return is_right, "; ".join(words)


def backup(_folder: Path, _: str) -> Verdict:
    return run_tests("tests/faults/test_store.py", "backup")


ROWS: dict[str, Callable[[Path, str], Verdict]] = {
    "F2 power loss": power_loss,
    "F4 flipped bytes": flipped_bytes,
    "F5 wrong clocks": wrong_clocks,
    "F14 memory": memory,
    "F16 upgrades": upgrades,
    "F18 mixed faults": mixed_faults,
    "F21 backup and restore": backup,
}


# Those that look at SQLite from below: which disk it is makes no difference to them, but to how long they take.
_IN_MEMORY = {power_loss, flipped_bytes}


def run_tests(file: str, expression: str) -> Verdict:
    command = [sys.executable, "-m", "pytest", "--quiet", "-p", "no:cacheprovider", file, "-k", expression]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode == 0, re.sub(r" in [\d.]+s.*", "", done.stdout.strip().splitlines()[-1])


def main() -> int:
    chosen = sys.argv[1:]
    memory_disk = "/dev/shm" if Path("/dev/shm").is_dir() else None
    failed = 0
    for name, row in ROWS.items():
        if chosen and name.split()[0] not in chosen:
            continue
        began = time.monotonic()
        with (
            tempfile.TemporaryDirectory(dir=memory_disk if row in _IN_MEMORY else None) as folder,
            running("emulator", "--port", "0", folder=Path(folder)) as meta,
        ):
            is_right, words = row(Path(folder), meta.announced["url"])
        failed += not is_right
        print(f"| {name} | {'ok' if is_right else 'FAILED'} | {words} | {time.monotonic() - began:.0f} s |", flush=True)
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
