"""Every metric by name, with its type, labels and meaning: the one list that the code, the docs and the alerts share.

Labels come from closed sets: sources, destinations, codes and states as they are configured or written in this program,
and event names as Meta's standard ones or `custom`. Never a person, a messageId or free text.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

MetricName = Literal[
    "calls_received_total",
    "calls_invalid_total",
    "calls_deduplicated_total",
    "requests_refused_total",
    "events_accepted_total",
    "events_delivered_total",
    "events_filtered_total",
    "events_rejected_total",
    "events_expired_total",
    "events_erased_total",
    "events_requeued_total",
    "delivery_requests_total",
    "delivery_request_duration_seconds",
    "delivery_lag_seconds",
    "ingest_duration_seconds",
    "commit_duration_seconds",
    "commit_rows",
    "queued_events",
    "queue_oldest_age_seconds",
    "queue_damaged",
    "dead_letters",
    "destination_paused",
    "token_expires_seconds",
    "breaker_open",
    "meta_usage_ratio",
    "bisection_requests_total",
    "receipt_mismatch_total",
    "disk_free_bytes",
    "database_bytes",
    "wal_bytes",
    "clock_skew_seconds",
    "ledger_imbalance",
    "build_info",
]

PREFIX: Final = "signalpost_"

_LAG_SECONDS: Final = (0.1, 0.5, 1, 2, 5, 10, 30, 60, 300, 3_600, 21_600, 86_400, 604_800)
_REQUEST_SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_SHORT_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_ROWS: Final = (1, 5, 10, 50, 100, 250, 500, 1_000, 2_500)


@dataclass(frozen=True, slots=True)
class Metric:
    """What a metric is. `meaning` is its help text; `buckets` are a histogram's upper bounds."""

    type: Literal["counter", "gauge", "histogram"]
    meaning: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


METRICS: Final[Mapping[MetricName, Metric]] = {
    "calls_received_total": Metric("counter", "Calls in requests that were read.", ("source", "type")),
    "calls_invalid_total": Metric("counter", "Calls that are no valid Segment calls.", ("source", "code")),
    "calls_deduplicated_total": Metric("counter", "Calls whose messageId had been seen before.", ("source",)),
    "requests_refused_total": Metric("counter", "Requests answered with 4xx or 503.", ("status", "code")),
    "events_accepted_total": Metric(
        "counter", "Results of mapping that were stored, whatever became of them.", ("destination", "event_name")
    ),
    "events_delivered_total": Metric("counter", "Events that Meta took.", ("destination", "event_name")),
    "events_filtered_total": Metric("counter", "Events that were not to be sent.", ("destination", "code")),
    "events_rejected_total": Metric(
        "counter", "Events that became dead letters, by mapping or at Meta.", ("destination", "code")
    ),
    "events_expired_total": Metric("counter", "Events that grew too old to be sent.", ("destination", "code")),
    "events_erased_total": Metric("counter", "Events erased on request.", ("destination", "code")),
    "events_requeued_total": Metric("counter", "Dead letters that were let wait again.", ("destination", "code")),
    "delivery_requests_total": Metric("counter", "Requests to Meta by outcome.", ("destination", "outcome")),
    "delivery_request_duration_seconds": Metric(
        "histogram", "From sending a request to Meta's answer, or to its absence.", ("destination",), _REQUEST_SECONDS
    ),
    "delivery_lag_seconds": Metric(
        "histogram", "From receipt of a call to Meta's taking its event.", ("destination",), _LAG_SECONDS
    ),
    "ingest_duration_seconds": Metric(
        "histogram", "From the head of a request to its answer, the commit included.", (), _SHORT_SECONDS
    ),
    "commit_duration_seconds": Metric("histogram", "One commit of the queue, its sync included.", (), _SHORT_SECONDS),
    "commit_rows": Metric("histogram", "Rows written by one commit of the queue.", (), _ROWS),
    "queued_events": Metric(
        "gauge", "Events that wait, by state: ready, leased, retrying or held.", ("destination", "state")
    ),
    "queue_oldest_age_seconds": Metric("gauge", "Age of the event that has waited longest.", ("destination",)),
    "queue_damaged": Metric(
        "gauge", "1 while a damaged page of the queue's file keeps events of a destination back.", ("destination",)
    ),
    "dead_letters": Metric("gauge", "Dead letters that are kept.", ("destination",)),
    "destination_paused": Metric("gauge", "1 while a destination is paused.", ("destination", "reason")),
    "token_expires_seconds": Metric(
        "gauge", "Until the token of a connection with Facebook ends; below 0 it has ended.", ("destination",)
    ),
    "breaker_open": Metric("gauge", "1 while Meta is out of reach and one batch at a time is tried.", ("destination",)),
    "meta_usage_ratio": Metric(
        "gauge", "Share of Meta's rate limit that its latest answer calls used up; 1 is all of it.", ("destination",)
    ),
    "bisection_requests_total": Metric("counter", "Requests made to find a bad event in a batch.", ("destination",)),
    "receipt_mismatch_total": Metric(
        "counter", "Requests that Meta took with success, counting fewer events than were sent.", ("destination",)
    ),
    "disk_free_bytes": Metric("gauge", "Free bytes on the disk of the data folder."),
    "database_bytes": Metric("gauge", "Size of the queue's file."),
    "wal_bytes": Metric("gauge", "Size of the queue's write-ahead log."),
    "clock_skew_seconds": Metric(
        "gauge", "How far this machine's clock is ahead of Meta's; absent before the first answer."
    ),
    "ledger_imbalance": Metric("gauge", "Accepted events that are in no state. Anything but 0 is a fault."),
    "build_info": Metric("gauge", "Always 1; the versions are labels.", ("version", "sqlite", "schema")),
}
"""In the order of docs/reference/metrics.md. The names there and in Prometheus have `PREFIX` before them."""
