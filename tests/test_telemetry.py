"""What is told is counted under closed labels, and logged without a word that could be somebody's."""

from datetime import UTC, datetime, timedelta
from typing import get_args

import structlog
from prometheus_client import generate_latest

from signalpost.metrics import METRICS, PREFIX, MetricName
from signalpost.model.delivery import Accepted, AcceptedCall, Batch, DeadReason, DiscardedEvent, NewEvent, QueuedEvent
from signalpost.model.ids import DatasetId, DestinationId, MessageId, SourceId
from signalpost.telemetry import ACTIONS, Action, Telemetry, describe_error

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
SOURCE, PIXEL, DATASET = SourceId("website"), DestinationId("main-pixel"), DatasetId("1234567890")


def build_call(*event_names, discarded=()):
    events = tuple(NewEvent(PIXEL, DATASET, name, "e", 0, 0, b"{}") for name in event_names)
    return AcceptedCall(SOURCE, MessageId("m"), NOW, events, tuple(discarded))


def build_batch(*event_names):
    events = [
        QueuedEvent(1, SOURCE, MessageId("m"), PIXEL, DATASET, name, "e", 0, 0, NOW - timedelta(seconds=3), 0, b"{}")
        for name in event_names
    ]
    return Batch(PIXEL, DATASET, tuple(events))


def read(telemetry, name, **labels):
    return telemetry.registry.get_sample_value(f"{PREFIX}{name}", labels)


def test_the_catalogue_lists_every_name_once():
    """Each metric and each action that the code may name has its sentence."""
    assert set(METRICS) == set(get_args(MetricName))
    assert set(ACTIONS) == set(get_args(Action))


def test_event_names_are_standard_or_custom():
    """What a caller named an event never becomes a label."""
    telemetry = Telemetry(standard_events=["Purchase"])
    telemetry.results_stored([build_call("Purchase", "Jo Bloggs signed up")], [False])
    telemetry.delivered(build_batch("Purchase", "Jo Bloggs signed up", "Hat bought"), NOW)
    assert read(telemetry, "events_accepted_total", destination=PIXEL, event_name="custom") == 1
    assert read(telemetry, "events_delivered_total", destination=PIXEL, event_name="Purchase") == 1
    assert read(telemetry, "events_delivered_total", destination=PIXEL, event_name="custom") == 2
    assert b"Bloggs" not in generate_latest(telemetry.registry)


def test_stored_results_balance():
    """Accepted counts every result; those that ended at once are filtered or rejected; duplicates count nowhere."""
    filtered = DiscardedEvent("filtered", "NO_MATCHING_MAPPING", "no_matching_mapping", "Hat bought", PIXEL)
    rejected = DiscardedEvent("rejected", "MESSAGE_REJECTED", "missing_value", "Purchase", PIXEL)
    nowhere = DiscardedEvent("filtered", "NO_DESTINATION", "no_destination", "Hat bought")
    call = build_call("Purchase", discarded=[filtered, rejected, nowhere])
    telemetry = Telemetry()
    telemetry.results_stored([call, call], [False, True])
    assert read(telemetry, "events_accepted_total", destination=PIXEL, event_name="custom") == 3
    assert read(telemetry, "events_accepted_total", destination="none", event_name="custom") == 1
    assert read(telemetry, "events_filtered_total", destination=PIXEL, code="NO_MATCHING_MAPPING") == 1
    assert read(telemetry, "events_filtered_total", destination="none", code="NO_DESTINATION") == 1
    assert read(telemetry, "events_rejected_total", destination=PIXEL, code="MESSAGE_REJECTED") == 1


def test_a_request_is_timed_and_counted_by_outcome():
    """One request to Meta: its outcome, its duration, and the lag of what it delivered."""
    telemetry = Telemetry()
    telemetry.attempted(PIXEL, Accepted(), 0.2)
    telemetry.delivered(build_batch("Purchase"), NOW, is_mismatch=True)
    assert read(telemetry, "delivery_requests_total", destination=PIXEL, outcome="accepted") == 1
    assert read(telemetry, "delivery_request_duration_seconds_sum", destination=PIXEL) == 0.2
    assert read(telemetry, "delivery_lag_seconds_sum", destination=PIXEL) == 3
    assert read(telemetry, "receipt_mismatch_total", destination=PIXEL) == 1


def test_a_pause_is_shown_under_its_latest_reason_alone():
    """A destination has one pause at most, and none once it is tried again."""
    telemetry = Telemetry()
    telemetry.paused(PIXEL, "token", "190")
    telemetry.paused(PIXEL, "dataset", "100/33")
    assert read(telemetry, "destination_paused", destination=PIXEL, reason="token") is None
    assert read(telemetry, "destination_paused", destination=PIXEL, reason="dataset") == 1
    telemetry.resumed(PIXEL)
    assert read(telemetry, "destination_paused", destination=PIXEL, reason="dataset") is None


def test_each_log_line_has_a_listed_action_and_a_fault_no_text():
    """Whatever an exception says may quote a call: its type and the way to it are told, its text is not."""
    telemetry = Telemetry()
    try:
        raise ValueError("jo@example.com")  # noqa: TRY301
    except ValueError as error:
        fault = error
    with structlog.testing.capture_logs() as lines:
        telemetry.request_failed(fault)
        telemetry.mapping_failed(PIXEL, fault)
        telemetry.delivery_failed(PIXEL, fault)
        telemetry.dead_lettered(build_batch("Purchase"), DeadReason("400", "100/2804050", "Meta quotes jo@example.com"))
    assert {line["event"] for line in lines} <= set(ACTIONS)
    assert "jo@example.com" not in repr(lines)
    assert describe_error(fault)["error"] == "ValueError"
