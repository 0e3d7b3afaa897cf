"""The numbers of the delivery page: shares, and the change against the period before."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from signalpost.console.delivery_figures import build_stages, format_change, format_share, list_event_rows
from signalpost.console.delivery_view import explain
from signalpost.console.meta_codes import META_CODES
from signalpost.model.ledger import CallCounts, EventFlow, Latency, MatchKeyCoverage, PendingCounts, Statistics

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)


def build_statistics(calls: CallCounts, events: EventFlow, **more: Any) -> Statistics:
    groups = ("reasons", "by_source", "by_destination", "by_event_name", "latency_by_destination", "coverage")
    empty: dict[str, Any] = {name: {} for name in groups}
    return Statistics(
        since=NOON - timedelta(hours=1),
        until=NOON,
        step=timedelta(minutes=1),
        calls=calls,
        events=events,
        latency=Latency(),
        trend=(),
        **(empty | more),
    )


def build_calls(received: int, invalid: int) -> CallCounts:
    return CallCounts(received=received, accepted=received - invalid, duplicate=0, invalid={"bad_request": invalid})


def test_stages_have_shares_of_what_ended_and_the_change_since_before() -> None:
    """Shares of ended events; ingest failures are a share of the calls; what was zero before has no change."""
    now = build_statistics(
        build_calls(100, 5), EventFlow(accepted=120, delivered=60, filtered=20, rejected=15, expired=4, erased=1)
    )
    before = build_statistics(build_calls(10, 10), EventFlow(accepted=60, delivered=80, rejected=0))
    stages = {stage.words: stage.figure for stage in build_stages(now, before, PendingCounts(7, 0, 3))}
    assert {name: (each.count, each.share, each.change) for name, each in stages.items()} == {
        "Received": (120, None, 1.0),
        "Failed on ingest": (5, 0.05, -0.5),
        "Filtered": (20, 0.2, None),
        "Pending": (10, None, None),
        "Failed delivery": (19, 0.19, None),
        "Delivered": (60, 0.6, -0.25),
    }


def test_events_are_listed_by_name_with_the_share_of_each_match_key() -> None:
    """The most frequent first; a name that nothing was sent of has no keys."""
    flows = {"Lead": EventFlow(accepted=1, filtered=1), "Purchase": EventFlow(accepted=4, delivered=3, rejected=1)}
    coverage = {"Purchase": MatchKeyCoverage(4, {"ph": 1, "em": 4})}
    now = build_statistics(build_calls(5, 0), EventFlow(), by_event_name=flows, coverage=coverage)
    before = build_statistics(
        build_calls(5, 0), EventFlow(), by_event_name={"Purchase": EventFlow(accepted=2, delivered=6)}
    )
    purchase, lead = list_event_rows(now, before)
    assert (purchase.name, purchase.accepted.change, purchase.delivered.change) == ("Purchase", 1.0, -0.5)
    assert (purchase.failed.count, purchase.failed.share) == (1, 0.25)
    assert purchase.keys == [("Email", 1.0), ("Phone", 0.25)]
    assert (lead.name, lead.filtered.share, lead.keys) == ("Lead", 1.0, ())


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (None, ""),
        (0.25, "+25 %"),
        (-0.5, "-50 %"),
        (-1.0, "-100 %"),
        (0.001, "±0 %"),
        (8.99, "+899 %"),
        (99, "100 times"),
    ],
)
def test_a_change_is_told_in_percent_or_as_a_factor(change: float | None, told: str) -> None:
    """Nothing is told where nothing was before."""
    assert format_change(change) == told


@pytest.mark.parametrize(
    ("share", "told"), [(None, ""), (0.0, "0 %"), (0.9999, "99.9 %"), (0.00001, "0.1 %"), (1.0, "100 %")]
)
def test_a_share_is_never_rounded_to_all_or_none(share: float | None, told: str) -> None:
    """99.99 % is not all."""
    assert format_share(share) == told


def test_a_code_of_metas_is_explained() -> None:
    """One that nobody has described yet is named."""
    assert explain("400", "100/2804010") == META_CODES["100/2804010"]
    assert "12345" in explain("400", "12345")[0]
