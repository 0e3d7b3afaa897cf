"""The soak in small: more than memory holds (F14), a fault every few seconds (F18)."""

from pathlib import Path

from tests.faults.mixed_faults import MOST_NEW_FILES, Soak
from tests.faults.pressure import press


def test_memory_is_bounded(tmp_path: Path, meta_url: str) -> None:
    """F14: what is too much at once is refused, and the process stays below 512 MiB."""
    figures = press(tmp_path, meta_url, connections=60, seconds=120)
    print(figures)
    assert figures.peak <= 512 << 20
    assert set(figures.answers) <= {200, 429, 503}
    assert figures.pending >= 2_000 * figures.answers.count(200) > 0


def test_one_fault_after_the_other(tmp_path: Path, meta_url: str) -> None:
    """F18: kills, stops, and a Meta that is down, hangs, throttles, refuses data and the token: nothing is lost."""
    figures = Soak(tmp_path, meta_url, fault_seconds=3).run(10)
    print(figures.faults)
    assert (figures.lost, figures.imbalance) == ([], 0)
    assert figures.longest_log < 64 << 20
    fewest, most = figures.open_files
    assert most - fewest < MOST_NEW_FILES
    assert len(figures.faults) > 4
    assert len(figures.acknowledged) > 500
