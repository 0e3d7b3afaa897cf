"""What the ledger says: where everything accepted went, now and over time. Counts only, no personal data."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec

from signalpost.model.ids import DestinationId, SourceId


class CallCounts(msgspec.Struct, frozen=True):
    """received = accepted + duplicate + the sum of invalid."""

    received: int
    accepted: int
    duplicate: int
    invalid: dict[str, int]


class PendingCounts(msgspec.Struct, frozen=True):
    """Events that wait: ready now, leased to a worker, retrying (their next attempt lies ahead), or held by a pause.

    The queue knows no pauses: for it held is 0.
    """

    ready: int
    leased: int
    retrying: int
    held: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.ready + self.leased + self.retrying + self.held


def hold(pending: PendingCounts, paused: PendingCounts) -> PendingCounts:
    """Count as held, among what is pending, what is ready or retrying for paused destinations."""
    ready, retrying = min(pending.ready, paused.ready), min(pending.retrying, paused.retrying)
    return PendingCounts(
        pending.ready - ready, pending.leased, pending.retrying - retrying, pending.held + ready + retrying
    )


class EventCounts(msgspec.Struct, frozen=True):
    """accepted = delivered + filtered + rejected + expired + erased + pending, or `Ledger.imbalance` tells.

    filtered: by code. rejected: by code/reason, as in "400/100/2804050" or "MESSAGE_REJECTED/missing_value".
    """

    accepted: int
    pending: PendingCounts
    delivered: int
    filtered: dict[str, int]
    rejected: dict[str, int]
    expired: int
    erased: int


class Ledger(msgspec.Struct, frozen=True):
    """Where everything accepted went. `pending` is counted from rows, the rest from counters.

    imbalance: 0, or events that are in no state or in two. dead_letter_imbalance: 0, or dead letters that are there
    without having been rejected, or the other way round.
    """

    calls: CallCounts
    events: EventCounts
    imbalance: int
    oldest_pending_seconds: float
    dead_letters: int = 0
    dead_letter_imbalance: int = 0


class Backlog(msgspec.Struct, frozen=True):
    """What waits for one destination, and how many dead letters it has."""

    pending: PendingCounts
    oldest_pending_seconds: float
    dead_letters: int


class EventFlow(msgspec.Struct, frozen=True):
    """What happened to events within a time. An event that was accepted in it may end after it.

    delivered + filtered + rejected + expired + erased: those that ended in it. requeued: dead letters that wait again.
    """

    accepted: int = 0
    delivered: int = 0
    filtered: int = 0
    rejected: int = 0
    expired: int = 0
    erased: int = 0
    requeued: int = 0


class Latency(msgspec.Struct, frozen=True):
    """From the receipt of a call to Meta's answer, in seconds, within 10 %; None when nothing was delivered."""

    p50_seconds: float | None = None
    p95_seconds: float | None = None


class Step(msgspec.Struct, frozen=True):
    """One step of a trend."""

    starts_at: datetime
    events: EventFlow
    latency: Latency


class MatchKeyCoverage(msgspec.Struct, frozen=True):
    """How many of the server events that were queued had each match key. A key that none had is not there."""

    events: int = 0
    with_key: Mapping[str, int] = {}


class Statistics(msgspec.Struct, frozen=True):
    """What happened from `since` to `until`, both widened to whole steps, and to whole hours for `coverage`.

    reasons: how often each (state, code) ended an event; the code is as in EventCounts. by_...: only what occurred.
    Event names beyond a thousand for one source and day are counted under "(other)".
    """

    since: datetime
    until: datetime
    step: timedelta
    calls: CallCounts
    events: EventFlow
    latency: Latency
    trend: tuple[Step, ...]
    reasons: Mapping[str, Mapping[str, int]]
    by_source: Mapping[SourceId, EventFlow]
    by_destination: Mapping[DestinationId, EventFlow]
    by_event_name: Mapping[str, EventFlow]
    latency_by_destination: Mapping[DestinationId, Latency]
    coverage: Mapping[str, MatchKeyCoverage]
