"""What mapping remembers is bounded: a process that maps ever new people does not grow."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
USERS = 250_000
GROWTH = 50
"""MiB. A hash and its key for each user would take over 100."""

MEASURE = f"from benchmarks.mapping import measure_growth; print(measure_growth({USERS}))"


def test_a_quarter_of_a_million_users() -> None:
    """Distinct users leave nothing behind. `python -m benchmarks.mapping --users 1000000` does the same with more."""
    path = os.pathsep.join((str(ROOT), str(ROOT / "src")))
    run = subprocess.run(
        [sys.executable, "-c", MEASURE],
        env={**os.environ, "PYTHONPATH": path},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert float(run.stdout) < GROWTH
