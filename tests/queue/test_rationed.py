"""A rationed reading costs at most one part in a hundred, however dear it is."""

from signalpost.queue.rationed import Rationed


class Reading:
    """Counts how often it was made; each time takes `cost` seconds of the processor."""

    def __init__(self, cost: float) -> None:
        self.cost = cost
        self.made = 0
        self.used = 0.0

    def make(self) -> int:
        self.made += 1
        self.used += self.cost
        return self.made


def count_made(cost: float, *, every: float, times: int) -> int:
    reading, clock = Reading(cost), [0.0]
    rationed: Rationed[int] = Rationed(lambda: clock[0], lambda: reading.used)
    for _ in range(times):
        rationed.read(reading.make)
        clock[0] += every
    return reading.made


def test_a_dear_reading_is_made_again_after_a_hundred_times_its_cost() -> None:
    """0.25 s of work, asked for every second of an hour: 0.25 s in 25 s."""
    assert count_made(0.25, every=1.0, times=3600) == 3600 / 25


def test_a_cheap_reading_is_always_fresh() -> None:
    """Below 5 ms nobody gets an old answer."""
    assert count_made(0.004, every=0.01, times=100) == 100
