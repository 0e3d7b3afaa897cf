"""Should it be tried again, and when? `decide` as a table, and the length of every wait."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalpost.deliver.retry import (
    DeadLetter,
    Decision,
    Done,
    Expire,
    PauseDestination,
    RetryAt,
    RetryPolicy,
    Split,
    decide,
    find_backoff,
)
from signalpost.model.delivery import (
    Accepted,
    Batch,
    DeadReason,
    Outcome,
    Rejected,
    Throttled,
    Unauthorized,
    Unavailable,
    Unclear,
)
from tests.builders import build_batch, build_queued_event

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
POLICY = RetryPolicy()
UNCLEAR_ONCE = "unclear: Meta counted 0 of 1 events"


def run(outcome: Outcome, batch: Batch | int = 1, failures: int = 0, jitter: float = 1.0) -> Decision:
    batch = build_batch(batch) if isinstance(batch, int) else batch
    return decide(outcome, batch, failures, NOON, jitter, POLICY)


def in_seconds(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def rejection(code: str) -> DeadLetter:
    return DeadLetter(DeadReason("400", code, "said", "A1"))


@pytest.mark.parametrize("failures", [0, 1, 100])
@pytest.mark.parametrize(
    ("outcome", "alone", "together"),
    [
        (Accepted("A1"), Done("A1"), Done("A1")),
        (Rejected("100/2804050", "said", "A1"), rejection("100/2804050"), Split()),
        (Rejected("too_large", "said", "A1"), rejection("too_large"), Split()),
        (Rejected("12345", "said", "A1"), rejection("12345"), Split()),
        (Rejected("100/2804003", "said", "A1"), Expire(), Split()),
        (Unauthorized("token", "said"), PauseDestination("token", "said"), PauseDestination("token", "said")),
        (Unauthorized("blocked", "said"), PauseDestination("blocked", "said"), PauseDestination("blocked", "said")),
        (Throttled(90, "said"), *[RetryAt(in_seconds(90), "throttled: said", charge=False)] * 2),
    ],
    ids=str,
)
def test_whatever_went_before(outcome, alone, together, failures):
    """These outcomes are decided by themselves and the size of the batch, however often the destination failed."""
    assert run(outcome, 1, failures) == alone
    assert run(outcome, 2, failures) == together
    assert run(outcome, 1000, failures) == together


@pytest.mark.parametrize(
    ("failures", "seconds"), [(0, 1), (1, 2), (2, 4), (5, 32), (8, 256), (9, 300), (1000, 300), (10**9, 300)]
)
@pytest.mark.parametrize("count", [1, 500])
def test_unavailable(count, failures, seconds):
    """After a failure the longest wait is one second, doubling up to five minutes; the attempt is charged.

    From the fifth failure in a row on the shortest is 30 seconds: one probe in that time is all that Meta sees.
    """
    outcome, least = Unavailable("no answer"), 30 if failures >= 4 else 0
    assert run(outcome, count, failures) == RetryAt(in_seconds(seconds), "unavailable: no answer")
    assert run(outcome, count, failures, jitter=0) == RetryAt(in_seconds(least), "unavailable: no answer")
    assert run(outcome, count, failures, jitter=0.5).when == in_seconds(max(seconds / 2, least))


@pytest.mark.parametrize(("failures", "seconds"), [(0, 120), (9, 300)])
def test_unavailable_with_a_wait(failures, seconds):
    """A wait that a header names is the least; a longer back-off of our own stays."""
    assert run(Unavailable("no answer", 120), 1, failures).when == in_seconds(seconds)


@pytest.mark.parametrize(("failures", "seconds"), [(0, 60), (1, 120), (3, 480), (4, 900), (10**9, 900)])
def test_throttled_without_a_wait(failures, seconds):
    """When Meta names no wait it is one minute, doubling up to fifteen; jitter shortens nothing."""
    expected = RetryAt(in_seconds(seconds), "throttled: said", charge=False)
    assert run(Throttled(None, "said"), 1, failures, jitter=0.0) == expected


def test_unclear_first():
    """An unclear answer is repeated soon, and charged."""
    detail = "unclear: Meta counted 1 of 2 events"
    assert run(Unclear(1, "A1"), 2) == RetryAt(in_seconds(1), detail)


def test_unclear_again():
    """A second unclear answer in a row counts as delivered, with a flag."""
    batch = build_batch([build_queued_event(last_outcome=UNCLEAR_ONCE) for _ in range(2)])
    assert run(Unclear(1, "A1"), batch) == Done("A1", ("receipt_mismatch",))


def test_unclear_retry_is_recognised():
    """What an unclear answer leaves on the event is what makes the next one final."""
    decision = run(Unclear(0))
    batch = build_batch([build_queued_event(last_outcome=decision.detail)])
    assert isinstance(run(Unclear(0), batch), Done)


@pytest.mark.parametrize("last_outcome", ["", "unavailable: no answer", "throttled: 4"])
def test_unclear_after_other_trouble(last_outcome):
    """Other trouble before it does not make an unclear answer final."""
    batch = build_batch([build_queued_event(last_outcome=last_outcome)])
    assert isinstance(run(Unclear(0), batch), RetryAt)


def test_unclear_beside_fresh():
    """An unclear answer to a batch in which some event is sent for the first time is repeated."""
    batch = build_batch([build_queued_event(last_outcome=UNCLEAR_ONCE), build_queued_event()])
    assert isinstance(run(Unclear(0), batch), RetryAt)


def test_accepted_after_unclear():
    """A clear answer to the repeat leaves no flag."""
    batch = build_batch([build_queued_event(last_outcome=UNCLEAR_ONCE)])
    assert run(Accepted("A2"), batch) == Done("A2")


@given(st.integers(0, 10**9), st.floats(0, 1))
def test_backoff_bounds(failures, jitter):
    """Full jitter: never before now, never later than the longest delay."""
    wait = find_backoff(failures, jitter, POLICY)
    least = POLICY.probe_interval if failures >= 4 else timedelta(0)
    assert least <= wait <= max(least, min(POLICY.max_delay, POLICY.first_delay * 2 ** min(failures, 30)))


outcomes = (
    st.builds(Accepted)
    | st.builds(Unclear, st.integers(0, 10))
    | st.builds(Throttled, st.none() | st.floats(0.001, 12 * 3600), st.text())
    | st.builds(Unavailable, st.text())
    | st.builds(Unauthorized, st.sampled_from(["token", "permission", "dataset", "api_version", "blocked"]), st.text())
    | st.builds(Rejected, st.text(), st.text())
)


@given(outcomes, st.integers(1, 3), st.integers(0, 10**6), st.floats(0, 1))
def test_any_outcome(outcome, count, failures, jitter):
    """There is a decision for everything; no wait lies in the past, and only single events end in a refusal."""
    decision = run(outcome, count, failures, jitter)
    if isinstance(decision, RetryAt):
        assert NOON <= decision.when <= NOON + timedelta(hours=12)
        assert decision.charge == (not isinstance(outcome, Throttled))
    if count > 1:
        assert not isinstance(decision, DeadLetter | Expire)
    else:
        assert not isinstance(decision, Split)
