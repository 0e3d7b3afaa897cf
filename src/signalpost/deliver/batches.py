"""How leased events become requests: never two datasets in one, never more than Meta takes. Pure."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from signalpost.model.delivery import Batch, QueuedEvent
from signalpost.model.ids import DatasetId

META_MAX_EVENTS = 1_000
"""Source: Meta, "Using the API": up to 1,000 events in `data`; with more, the whole request is refused."""

LATE_SECONDS = 3_600
"""So long before its age limit an event is late."""


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """max_events: at most 1,000. max_bytes: of the events' JSON together; one larger event travels alone."""

    max_events: int = 500
    max_bytes: int = 1 << 20


def split_expired(events: Sequence[QueuedEvent], now: datetime) -> tuple[list[QueuedEvent], list[QueuedEvent]]:
    """(fresh, expired): one event past its age limit would make Meta refuse the whole request it travels in."""
    now_seconds = int(now.timestamp())  # Meta counts whole seconds, and takes the event in the last one too
    fresh = [event for event in events if event.expires_at >= now_seconds]
    expired = [event for event in events if event.expires_at < now_seconds]
    return fresh, expired


def group_into_batches(
    events: Iterable[QueuedEvent],
    limits: BatchLimits,
    now: datetime,
    find_part: Callable[[int], int] = lambda _event_id: 0,
) -> list[Batch]:
    """Batches of one dataset each, within the limits; the events are of one destination, as a lease is.

    Three kinds travel among themselves: events whose last answer was unclear, since fresh ones beside them would keep
    it unclear for ever; events in their last hour, since one that is too old has its whole request refused; and the
    parts of a refused request, which `find_part` numbers (`bisection.Suspects`).
    """
    late_from = int(now.timestamp()) + LATE_SECONDS
    alike: dict[tuple[DatasetId, bool, bool, int], list[QueuedEvent]] = {}
    for event in events:
        kind = event.dataset_id, event.is_unclear, event.expires_at < late_from, find_part(event.id)
        alike.setdefault(kind, []).append(event)
    return [
        Batch(part[0].destination_id, part[0].dataset_id, tuple(part))
        for same in alike.values()
        for part in _cut(same, limits)
    ]


def _cut(events: Sequence[QueuedEvent], limits: BatchLimits) -> Iterator[list[QueuedEvent]]:
    max_events = min(limits.max_events, META_MAX_EVENTS)
    part: list[QueuedEvent] = []
    part_bytes = 0
    for event in events:
        if part and (len(part) == max_events or part_bytes + len(event.payload) > limits.max_bytes):
            yield part
            part, part_bytes = [], 0
        part.append(event)
        part_bytes += len(event.payload) + 1
    if part:
        yield part


def halves(batch: Batch) -> tuple[Batch, Batch]:
    """The two halves of a batch of at least two events."""
    middle = len(batch.events) // 2
    return (
        Batch(batch.destination_id, batch.dataset_id, batch.events[:middle]),
        Batch(batch.destination_id, batch.dataset_id, batch.events[middle:]),
    )
