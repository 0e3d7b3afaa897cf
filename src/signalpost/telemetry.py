"""Every operational fact as one typed method: counts it and, where a person should know, logs it.

Labels come from closed sets: never a user, a messageId or free text. Log lines carry no payload, token or personal
data.
"""

import traceback
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal

import prometheus_client
import structlog

from signalpost.metrics import METRICS, PREFIX, MetricName
from signalpost.model.delivery import DISCARDED, AcceptedCall, Batch, DeadReason, Outcome
from signalpost.model.ids import DestinationId, SourceId

Action = Literal[
    "write_key_refused",
    "request_failed",
    "mapping_failed",
    "delivery_failed",
    "delivered",
    "retry_scheduled",
    "dead_lettered",
    "expired",
    "discarded",
    "receipt_mismatch",
    "destination_paused",
    "destination_resumed",
    "queue_unavailable",
    "settings_unavailable",
    "library_message",
]

ACTIONS: Final[Mapping[Action, str]] = {
    "write_key_refused": "A write key that is not known, or whose source is switched off; its sender loses the calls.",
    "request_failed": "A fault of ours while a request was answered; its client was told to send it again.",
    "mapping_failed": "A fault of ours while a call was mapped; it is a dead letter, the others went on.",
    "delivery_failed": "A fault of ours while delivering; the events are tried again.",
    "delivered": "Meta took a request's events. Level debug.",
    "retry_scheduled": "A request failed for now; its events are tried again at `at`.",
    "dead_lettered": "Meta refuses these events for good; `signalpost dead-letters list` shows them.",
    "expired": "Events grew older than Meta takes before they could be sent.",
    "discarded": "Somebody gave up what waited for a paused destination; the audit log says who.",
    "receipt_mismatch": "Meta took a request twice with success, and counted fewer events than were sent both times.",
    "destination_paused": "A destination can't be delivered to until somebody mends it; its events wait.",
    "destination_resumed": "A paused destination is tried again.",
    "queue_unavailable": "The queue could not make a change durable; clients were answered 503.",
    "settings_unavailable": "Housekeeping of `settings.db` could not be made durable; it is tried again in an hour.",
    "library_message": "A warning of a library that Signalpost uses.",
}
"""What a log line can be about. docs/reference/log.md is made from it."""

CUSTOM: Final = "custom"
NO_DESTINATION: Final = "none"


class Telemetry:
    """One registry and one log; built once, handed to the parts.

    standard_events: the event names that metrics tell apart; all others count as `custom`.
    """

    def __init__(
        self,
        registry: prometheus_client.CollectorRegistry | None = None,
        *,
        standard_events: Collection[str] = (),
    ) -> None:
        self.registry = registry or prometheus_client.CollectorRegistry()
        self._log: structlog.stdlib.BoundLogger = structlog.get_logger("signalpost")
        self._standard_events = frozenset(standard_events)
        self._counters: dict[MetricName, prometheus_client.Counter] = {}
        # Finding one by its labels costs more than counting.
        self._children: dict[tuple[MetricName, tuple[str, ...]], prometheus_client.Counter] = {}
        self._histograms: dict[MetricName, prometheus_client.Histogram] = {}
        for name, metric in METRICS.items():
            if metric.type == "counter":
                self._counters[name] = prometheus_client.Counter(
                    PREFIX + name, metric.meaning, metric.labels, registry=self.registry
                )
            elif metric.type == "histogram":
                self._histograms[name] = prometheus_client.Histogram(
                    PREFIX + name, metric.meaning, metric.labels, registry=self.registry, buckets=metric.buckets
                )
        pauses = METRICS["destination_paused"]
        self._paused = prometheus_client.Gauge(
            f"{PREFIX}destination_paused", pauses.meaning, pauses.labels, registry=self.registry
        )

    def _count(self, name: MetricName, *labels: str, by: int = 1) -> None:
        child = self._children.get((name, labels))
        if child is None:
            child = self._children[name, labels] = self._counters[name].labels(*labels)
        child.inc(by)

    def _tell(self, level: Literal["debug", "info", "warning", "error"], action: Action, **facts: Any) -> None:
        getattr(self._log, level)(action, **facts)

    # Ingest

    def request_answered(self, seconds: float) -> None:
        """One request to the tracking API is answered, `seconds` after its head had come."""
        self._histograms["ingest_duration_seconds"].observe(seconds)

    def calls_received(self, source: SourceId, by_type: Mapping[str, int], duplicates: int) -> None:
        """A request's calls were read and the good ones stored. A call that is no valid one has the type `invalid`."""
        for call_type, count in by_type.items():
            self._count("calls_received_total", source, call_type, by=count)
        if duplicates:
            self._count("calls_deduplicated_total", source, by=duplicates)

    def calls_invalid(self, source: SourceId, code: str, count: int) -> None:
        """Calls of a request were refused for what they are."""
        self._count("calls_invalid_total", source, code, by=count)

    def results_stored(self, calls: Sequence[AcceptedCall], is_duplicate: Sequence[bool]) -> None:
        """What mapping made of calls is durable: events that wait, and those that ended at once."""
        accepted: Counter[tuple[str, str]] = Counter()
        ended: Counter[tuple[MetricName, str, str]] = Counter()
        for call, duplicate in zip(calls, is_duplicate, strict=True):
            if duplicate:
                continue
            for event in call.events:
                accepted[event.destination_id, self._find_label(event.event_name)] += 1
            for discarded in call.discarded:
                destination = discarded.destination_id or NO_DESTINATION
                accepted[destination, self._find_label(discarded.event_name)] += 1
                is_filtered = discarded.state == "filtered"
                ended_as: MetricName = "events_filtered_total" if is_filtered else "events_rejected_total"
                ended[ended_as, destination, discarded.code] += 1
        for (destination, event_name), count in accepted.items():
            self._count("events_accepted_total", destination, event_name, by=count)
        for (ended_as, destination, code), count in ended.items():
            self._count(ended_as, destination, code, by=count)

    def request_refused(self, status: int, code: str) -> None:
        """A whole request was refused."""
        self._count("requests_refused_total", str(status), code)

    def write_key_refused(self, key_ending: str, client_ip: str) -> None:
        """A wrong write key was sent; told at most once a minute for each key and address."""
        self._tell("warning", "write_key_refused", key_ending=key_ending, client_ip=client_ip)

    def request_failed(self, error: Exception) -> None:
        """A fault of ours while answering."""
        self._tell("error", "request_failed", **describe_error(error))

    def mapping_failed(self, destination: DestinationId, error: Exception) -> None:
        """A fault of ours while mapping."""
        self._tell("error", "mapping_failed", destination=destination, **describe_error(error))

    # Delivery

    def attempted(self, destination: DestinationId, outcome: Outcome, seconds: float) -> None:
        """Meta answered, or did not, after `seconds`."""
        self._count("delivery_requests_total", destination, type(outcome).__name__.lower())
        self._histograms["delivery_request_duration_seconds"].labels(destination).observe(seconds)

    def bisected(self, destination: DestinationId) -> None:
        """One more request goes out only because a part of a batch was refused."""
        self._count("bisection_requests_total", destination)

    def delivered(self, batch: Batch, now: datetime, *, is_mismatch: bool = False) -> None:
        """A request's events were taken and settled. `is_mismatch`: Meta counted fewer of them, twice."""
        destination = batch.destination_id
        names = Counter(self._find_label(event.event_name) for event in batch.events)
        for event_name, count in names.items():
            self._count("events_delivered_total", destination, event_name, by=count)
        lag = self._histograms["delivery_lag_seconds"].labels(destination)
        for event in batch.events:
            lag.observe((now - event.received_at).total_seconds())
        if is_mismatch:
            self._count("receipt_mismatch_total", destination)
            self._tell("error", "receipt_mismatch", destination=destination, events=len(batch.events))
        self._tell("debug", "delivered", destination=destination, events=len(batch.events))

    def retry_scheduled(self, batch: Batch, when: datetime, detail: str) -> None:
        """A request failed for now."""
        self._tell(
            "warning",
            "retry_scheduled",
            destination=batch.destination_id,
            events=len(batch.events),
            at=when.isoformat(timespec="milliseconds"),
            because=detail,
        )

    def dead_lettered(self, batch: Batch, reason: DeadReason) -> None:
        """Meta refuses these events for good."""
        self._count("events_rejected_total", batch.destination_id, reason.code, by=len(batch.events))
        self._tell(
            "warning",
            "dead_lettered",
            destination=batch.destination_id,
            events=len(batch.events),
            code=reason.code,
            reason=reason.reason,
            fbtrace_id=reason.fbtrace_id,
        )

    def expired(self, destination: DestinationId, count: int) -> None:
        """Events passed their age limit before they could be sent."""
        self._count("events_expired_total", destination, "MESSAGE_REJECTED", by=count)
        self._tell("warning", "expired", destination=destination, events=count, reason="event_too_old")

    def discarded(self, destination: DestinationId, count: int) -> None:
        """A person gave up what waited for a paused destination."""
        self._count("events_rejected_total", destination, DISCARDED, by=count)
        self._tell("warning", "discarded", destination=destination, events=count)

    def requeued(self, destination: DestinationId, code: str, count: int) -> None:
        """Dead letters wait again."""
        self._count("events_requeued_total", destination, code, by=count)

    def paused(self, destination: DestinationId, reason: str, detail: str) -> None:
        """A destination can't be delivered to until somebody mends it; its events wait."""
        self._forget_pauses(destination)
        self._paused.labels(destination, reason).set(1)
        self._tell("error", "destination_paused", destination=destination, reason=reason, detail=detail)

    def resumed(self, destination: DestinationId) -> None:
        """A paused destination is tried again."""
        self._forget_pauses(destination)
        self._tell("info", "destination_resumed", destination=destination)

    def delivery_failed(self, destination: DestinationId, error: Exception) -> None:
        """A fault of ours while delivering; the events are tried again when their lease ends."""
        self._tell("error", "delivery_failed", destination=destination, **describe_error(error))

    # Queue

    def committed(self, seconds: float, rows: int) -> None:
        """The queue made `rows` durable in `seconds`. Called in the write thread."""
        self._histograms["commit_duration_seconds"].observe(seconds)
        self._histograms["commit_rows"].observe(rows)

    def queue_unavailable(self, detail: str) -> None:
        """The queue could not make a change durable."""
        self._tell("error", "queue_unavailable", detail=detail)

    def settings_unavailable(self, detail: str) -> None:
        """Housekeeping of settings.db could not be made durable."""
        self._tell("error", "settings_unavailable", detail=detail)

    def _forget_pauses(self, destination: DestinationId) -> None:
        self._paused.remove_by_labels({"destination": destination})

    def _find_label(self, event_name: str) -> str:
        return event_name if event_name in self._standard_events else CUSTOM


def describe_error(error: BaseException) -> dict[str, object]:
    """A fault as a log may show it: its type and the way to it. Its text stays out, since it may quote a call."""
    way = [f"{frame.name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
    return {"error": type(error).__name__, "place": way[-1] if way else "", "way": way}
