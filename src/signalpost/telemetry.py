"""Every operational fact as one typed method: a metric and, where a person should know, a log line.

Labels come from closed sets: never a user, a messageId or free text. Log lines carry no payload, token or personal
data.
"""

import traceback
from datetime import datetime
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from signalpost.model.delivery import Batch, DeadReason, Outcome
from signalpost.model.ids import DestinationId, SourceId

_LAG_SECONDS: Final = (0.1, 0.5, 1, 2, 5, 10, 30, 60, 300, 3_600, 21_600, 86_400, 604_800)


class Telemetry:
    """One registry and one log; built once, handed to the parts."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self._log: structlog.stdlib.BoundLogger = structlog.get_logger("signalpost")
        self._calls_received = self._counter("calls_received", "Calls in requests that were read.", "source")
        self._calls_invalid = self._counter("calls_invalid", "Calls that are no valid Segment calls.", "source", "code")
        self._calls_deduplicated = self._counter("calls_deduplicated", "Calls seen before.", "source")
        self._requests_refused = self._counter(
            "requests_refused", "Requests answered with 4xx or 503.", "status", "code"
        )
        self._events_delivered = self._counter("events_delivered", "Events that Meta took.", "destination")
        self._events_rejected = self._counter(
            "events_rejected", "Events that became dead letters at Meta.", "destination", "code"
        )
        self._events_expired = self._counter("events_expired", "Events too old to be sent.", "destination")
        self._requests = self._counter("delivery_requests", "Requests to Meta by outcome.", "destination", "outcome")
        self._lag = Histogram(
            "signalpost_delivery_lag_seconds",
            "From receipt to Meta's answer.",
            ["destination"],
            registry=self.registry,
            buckets=_LAG_SECONDS,
        )
        self._paused = Gauge(
            "signalpost_destination_paused", "1 while a destination is paused.", ["destination"], registry=self.registry
        )

    def _counter(self, name: str, help_text: str, *labels: str) -> Counter:
        return Counter(f"signalpost_{name}", help_text, labels, registry=self.registry)

    def calls_received(self, source: SourceId, count: int, duplicates: int) -> None:
        """A request's calls were read and the good ones stored."""
        self._calls_received.labels(source).inc(count)
        if duplicates:
            self._calls_deduplicated.labels(source).inc(duplicates)

    def call_invalid(self, source: SourceId, code: str) -> None:
        """One call was refused for what it is."""
        self._calls_invalid.labels(source, code).inc()

    def request_refused(self, status: int, code: str) -> None:
        """A whole request was refused."""
        self._requests_refused.labels(str(status), code).inc()

    def request_failed(self, error: Exception) -> None:
        """A fault of ours; its type and place only, since the text of an exception may quote the call."""
        place = traceback.extract_tb(error.__traceback__)[-1]
        self._log.error("request_failed", error=type(error).__name__, place=f"{place.name}:{place.lineno}")

    def mapping_failed(self, destination: DestinationId, error: Exception) -> None:
        """A fault of ours; the type only, since the text of an exception may quote the event."""
        self._log.error("mapping_failed", destination=destination, error=type(error).__name__)

    def delivery_failed(self, destination: DestinationId, error: Exception) -> None:
        """A fault of ours while delivering; the events are tried again when their lease ends."""
        self._log.error("delivery_failed", destination=destination, error=type(error).__name__, exc_info=error)

    def attempted(self, destination: DestinationId, outcome: Outcome) -> None:
        """Meta answered, or did not."""
        self._requests.labels(destination, type(outcome).__name__.lower()).inc()

    def delivered(self, batch: Batch, now: datetime) -> None:
        """A request's events were taken and settled."""
        self._events_delivered.labels(batch.destination_id).inc(len(batch.events))
        lag = self._lag.labels(batch.destination_id)
        for event in batch.events:
            lag.observe((now - event.received_at).total_seconds())
        self._log.debug("delivered", destination=batch.destination_id, events=len(batch.events))

    def retry_scheduled(self, batch: Batch, when: datetime, detail: str) -> None:
        """A request failed for now."""
        self._log.warning(
            "retry_scheduled",
            destination=batch.destination_id,
            events=len(batch.events),
            at=when.isoformat(timespec="milliseconds"),
            because=detail,
        )

    def dead_lettered(self, batch: Batch, reason: DeadReason) -> None:
        """Meta refuses these events for good."""
        self._events_rejected.labels(batch.destination_id, reason.code).inc(len(batch.events))
        self._log.warning(
            "dead_lettered",
            destination=batch.destination_id,
            events=len(batch.events),
            code=reason.code,
            reason=reason.reason,
            fbtrace_id=reason.fbtrace_id,
        )

    def expired(self, destination: DestinationId, count: int) -> None:
        """Events passed their age limit before they could be sent."""
        self._events_expired.labels(destination).inc(count)
        self._log.warning("expired", destination=destination, events=count, reason="event_too_old")

    def paused(self, destination: DestinationId, reason: str, detail: str) -> None:
        """A destination can't be delivered to until somebody mends it; its events wait."""
        self._paused.labels(destination).set(1)
        self._log.error("destination_paused", destination=destination, reason=reason, detail=detail)

    def resumed(self, destination: DestinationId) -> None:
        """A paused destination is tried again."""
        self._paused.labels(destination).set(0)
        self._log.info("destination_resumed", destination=destination)

    def queue_unavailable(self, detail: str) -> None:
        """The queue could not make a change durable."""
        self._log.error("queue_unavailable", detail=detail)
