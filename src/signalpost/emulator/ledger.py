"""How often each event arrived, and what became of it: the truth that "exactly these arrived" is checked against.

It outlives the bodies: every id is kept until reset. It records what the emulator did, before any fault lied about it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

# One integer per event_id holds its four counts, 32 bits each: a tenth of the memory of an object, for millions of ids.
RECEIVED = 1
ACCEPTED = 1 << 32
REFUSED = 1 << 64
LOST = 1 << 96
COUNT_MASK = (1 << 32) - 1
ACCEPTED_BITS = COUNT_MASK << 32


class LedgerRow(msgspec.Struct, frozen=True):
    """The counts of one event_id under one name in one dataset. `lost`: accepted, but the answer never arrived."""

    dataset_id: str
    event_name: str
    event_id: str
    received: int
    accepted: int
    refused: int
    lost: int


class NameLedger:
    """All events of one name in one dataset."""

    __slots__ = ("accepted", "counts", "last_received_at", "repeats", "with_notes")

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.accepted = 0
        self.repeats = 0
        self.with_notes = 0
        self.last_received_at = 0.0

    def accept(self, event_id: str | None) -> bool:
        """Count one accepted event; True when the same id was accepted before."""
        self.accepted += 1
        if event_id is None:
            return False
        counts = self.counts.get(event_id, 0)
        self.counts[event_id] = counts + (RECEIVED + ACCEPTED)
        is_repeat = counts & ACCEPTED_BITS != 0
        self.repeats += is_repeat
        return is_repeat


class LedgerTotals(msgspec.Struct):
    """Sums over all events, those without an event_id included. `repeats`: accepted although accepted before."""

    received: int = 0
    accepted: int = 0
    refused: int = 0
    lost: int = 0
    repeats: int = 0
    without_event_id: int = 0


class Ledger:
    """Counts by dataset, event name and event id."""

    def __init__(self) -> None:
        self.datasets: dict[str, dict[str, NameLedger]] = {}
        self.totals = LedgerTotals()

    def find_or_open(self, dataset_id: str, event_name: str) -> NameLedger:
        names = self.datasets.setdefault(dataset_id, {})
        return names.get(event_name) or names.setdefault(event_name, NameLedger())

    def refuse(self, dataset_id: str, events: Sequence[Mapping[str, Any]]) -> None:
        self.totals.received += len(events)
        self.totals.refused += len(events)
        self._add(dataset_id, events, RECEIVED + REFUSED)

    def leave_unanswered(self, dataset_id: str, events: Sequence[Mapping[str, Any]]) -> None:
        """Count events that were read and neither accepted nor refused."""
        self.totals.received += len(events)
        self._add(dataset_id, events, RECEIVED)

    def lose(self, dataset_id: str, events: Sequence[Mapping[str, Any]]) -> None:
        """Count accepted events whose answer did not reach the caller."""
        self.totals.lost += len(events)
        self._add(dataset_id, events, LOST)

    def list_rows(self, event_id: str | None = None) -> Iterator[LedgerRow]:
        """Yield the rows, by dataset and name in the order of arrival; those of one id when it is given."""
        for dataset_id, names in list(self.datasets.items()):
            for event_name, ledger in list(names.items()):
                for known_id, counts in _select(ledger.counts, event_id):
                    yield LedgerRow(dataset_id, event_name, known_id, *_unpack(counts))

    def count_ids(self) -> int:
        return sum(len(ledger.counts) for names in self.datasets.values() for ledger in names.values())

    def _add(self, dataset_id: str, events: Iterable[Mapping[str, Any]], amount: int) -> None:
        for event in events:
            event_id = read_event_id(event)
            if event_id is not None:
                name = event.get("event_name")
                ledger = self.find_or_open(dataset_id, name if isinstance(name, str) else "")
                ledger.counts[event_id] = ledger.counts.get(event_id, 0) + amount


def read_event_id(event: Mapping[str, Any]) -> str | None:
    """Return the event_id as text; None when there is none to deduplicate by."""
    event_id = event.get("event_id")
    if type(event_id) is str:
        return event_id or None
    return str(event_id) if type(event_id) is int else None


def _select(counts: dict[str, int], event_id: str | None) -> list[tuple[str, int]]:
    if event_id is None:
        return list(counts.items())
    return [(event_id, counts[event_id])] if event_id in counts else []


def _unpack(counts: int) -> tuple[int, int, int, int]:
    return (
        counts & COUNT_MASK,
        counts >> 32 & COUNT_MASK,
        counts >> 64 & COUNT_MASK,
        counts >> 96 & COUNT_MASK,
    )
