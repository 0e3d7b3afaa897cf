"""The small deciders, on times that are arguments: breaker, pace, probes, guards, clock."""

import math
from datetime import UTC, datetime, timedelta

import pytest

from signalpost.deliver.breaker import Breaker, BreakerPolicy
from signalpost.deliver.clock import ClockGuard
from signalpost.deliver.guards import TrickleGuard
from signalpost.deliver.pace import Pace, PacePolicy
from signalpost.deliver.probes import find_probe_delay

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)


def test_breaker_opens_and_grows_again():
    """The fifth failure in a row leaves one batch in flight; each success doubles that, up to the limit."""
    breaker = Breaker(BreakerPolicy(opens_after=5, limit=4))
    for failures in range(1, 5):
        breaker.failed(failures)
    assert (breaker.is_open, breaker.allowed_in_flight) == (False, 4)
    breaker.failed(5)
    assert (breaker.is_open, breaker.allowed_in_flight) == (True, 1)
    assert (breaker.answered(), breaker.answered(), breaker.allowed_in_flight) == (True, False, 1)
    grown = []
    for _ in range(3):
        breaker.succeeded()
        grown.append(breaker.allowed_in_flight)
    assert grown == [2, 4, 4]


def test_rate_limit():
    """Each batch costs the time of its events."""
    pace = Pace(PacePolicy(rate_limit=100))
    pace.sent(50, now=10)
    pace.sent(50, now=10)
    assert pace.free_at == 11


@pytest.mark.parametrize(("minutes", "limit"), [(0, 50), (1, 60), (2, 70), (5, 100), (60, 100)])
def test_pace_comes_back_by_a_tenth_a_minute(minutes, limit):
    """At 80 % of Meta's limits the pace is halved, once a minute at most."""
    pace = Pace(PacePolicy(rate_limit=100))
    pace.note_usage(0.79, now=0)
    assert pace.find_limit(0) == 100
    pace.note_usage(0.80, now=0)
    pace.note_usage(0.99, now=0)
    assert pace.find_limit(minutes * 60) == pytest.approx(limit)


def test_minute_after_an_outage():
    """Twice the pace of before, for a minute; never under what the policy grants."""
    pace = Pace(PacePolicy(least_after_outage=10))
    for second in range(600):
        pace.sent(100, now=second)
        pace.sent(900, now=second)  # in vain
        pace.taken(100, now=second)
    pace.failed(now=600)
    pace.failed(now=4_000)
    pace.recovered(now=5_000)
    assert pace.find_limit(5_059) == pytest.approx(200, rel=0.05)
    assert pace.find_limit(5_060) is None


@pytest.mark.parametrize(
    ("reason", "made", "seconds"),
    [
        ("token", 0, 10),
        ("token", 1, None),
        ("api_version", 0, 10),
        ("blocked", 7, 3_600),
        ("clock_skew", 7, 60),
        ("systemic_rejection", 0, None),
        ("unknown_error", 0, None),
    ],
)
def test_probes(reason, made, seconds):
    """When a pause is probed, and when only a person ends it."""
    assert find_probe_delay(reason, made) == (seconds and timedelta(seconds=seconds))


def test_trickle():
    """Twenty alike are systemic, three unknown ones are unknown; another code or a delivery begins anew."""
    guard = TrickleGuard()
    seen = []
    for code, is_known in [("a", True)] * 19 + [("b", True)] * 20:
        guard.refused(code, is_known=is_known)
        seen.append(guard.is_systemic)
    assert seen == [False] * 38 + [True]
    guard.reset()
    assert not guard.is_systemic
    for number in range(1, 4):
        guard.refused("new", is_known=False)
        assert guard.is_unknown == (number == 3)


@pytest.mark.parametrize(("seconds", "is_excess"), [(300, False), (-300, False), (301, True), (-301, True)])
def test_clock_guard(seconds, is_excess):
    """More than five minutes either way is too much; between two answers Meta's clock is carried on."""
    guard = ClockGuard()
    assert guard.find_excess(NOON, 0) is None
    assert not guard.is_trusted(NOON, 0)
    guard.note(NOON, monotonic=1_000)
    wall = NOON + timedelta(seconds=3_600 + seconds)
    assert (guard.find_excess(wall, 4_600) is not None) == is_excess
    assert guard.is_trusted(wall, 4_600) != is_excess
    assert math.isclose(guard.find_skew(wall, 4_600).total_seconds(), seconds)
