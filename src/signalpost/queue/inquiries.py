"""Everything that is asked of the queue and changes nothing: counts, statistics, dead letters.

Runs in a thread beside the event loop, on a connection that can't write.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import apsw

from signalpost.model.dead_letters import ALL_DEAD_LETTERS, DeadLetter, DeadLetterFilter, DeadLetterGroup
from signalpost.model.found_events import FoundEvents
from signalpost.model.ids import DestinationId, SourceId
from signalpost.model.ledger import Backlog, Ledger, Statistics
from signalpost.queue import dead_letters
from signalpost.queue.balance import read_backlogs, read_ledger
from signalpost.queue.bounded_reader import BoundedReader
from signalpost.queue.instants import to_milliseconds
from signalpost.queue.leases import Leases
from signalpost.queue.ledger import HOUR
from signalpost.queue.rationed import Rationed
from signalpost.queue.retention import Retention
from signalpost.queue.statistics import StatisticsReader
from signalpost.queue.tracing import find_events

_LARGEST_ID: Final = (1 << 63) - 1

# A read that takes longer would keep the write-ahead log from being reused for as long.
_LONGEST_READ_SECONDS: Final = 2.0


class Inquiries:
    """The half of SqliteQueue that only looks."""

    def __init__(
        self,
        path: Path,
        leases: Leases,
        retention: Retention,
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
    ) -> None:
        self._slow_reader = BoundedReader(path, longest_seconds=_LONGEST_READ_SECONDS)
        self._leases = leases
        self._retention = retention
        self._now = now
        self._statistics = StatisticsReader()
        self._backlogs: Rationed[Mapping[DestinationId, Backlog]] = Rationed(monotonic)
        self._imbalance: Rationed[int] = Rationed(monotonic)

    async def browse_dead_letters(
        self,
        where: DeadLetterFilter = ALL_DEAD_LETTERS,
        *,
        beyond_id: int | None = None,
        limit: int = 100,
        newest_first: bool = False,
    ) -> Sequence[DeadLetter]:
        """Dead letters that match, in the order of their ids or the newest first."""
        if beyond_id is None:
            beyond_id = _LARGEST_ID if newest_first else 0
        return await self._slow_reader.read(
            lambda connection: dead_letters.browse(connection, where, beyond_id, limit, newest_first=newest_first)
        )

    async def read_dead_letters(self, ids: Sequence[int]) -> Sequence[DeadLetter]:
        """The named dead letters."""
        return await self._slow_reader.read(lambda connection: dead_letters.read(connection, ids))

    async def count_dead_letters(self, where: DeadLetterFilter = ALL_DEAD_LETTERS) -> Sequence[DeadLetterGroup]:
        """How many match, by destination and reason."""
        return await self._slow_reader.read(lambda connection: dead_letters.count(connection, where))

    async def find_events(self, sought: str, source_id: SourceId | None = None) -> FoundEvents:
        """What became of the calls with a messageId, or of an event_id."""
        return await self._slow_reader.read(lambda connection: find_events(connection, sought, source_id))

    async def counts(
        self,
        destination_id: DestinationId | None = None,
        *,
        source_id: SourceId | None = None,
        since: datetime | None = None,
    ) -> Ledger:
        """Count everything, one destination or one source; see Queue.counts."""
        now_ms, since_minute = self._now_ms(), None
        if since is not None:
            since_minute = to_milliseconds(since) // 60_000
            if self._now() - since > self._retention.ledger_minutes:
                since_minute = since_minute // HOUR * HOUR
        leased = self._leases.count_held(destination_id)
        return await self._slow_reader.read(
            lambda connection: read_ledger(
                connection,
                destination_id=destination_id,
                source_id=source_id,
                since_minute=since_minute,
                now_ms=now_ms,
                leased=leased,
            )
        )

    async def read_statistics(
        self,
        since: datetime,
        until: datetime,
        step: timedelta,
        *,
        source_id: SourceId | None = None,
        destination_id: DestinationId | None = None,
    ) -> Statistics:
        """What happened over time; see Queue.read_statistics."""
        return await self._slow_reader.read(
            lambda connection: self._statistics.read(
                connection,
                since,
                until,
                step,
                now=self._now(),
                source_id=source_id,
                destination_id=destination_id,
            )
        )

    async def read_backlogs(self) -> Mapping[DestinationId, Backlog]:
        """What waits for each destination; see Queue.read_backlogs."""
        now_ms = self._now_ms()
        return await self._slow_reader.read(
            lambda connection: self._backlogs.read(lambda: read_backlogs(connection, now_ms, self._leases.count_held))
        )

    async def read_imbalance(self) -> int:
        """Events in no state; see Queue.read_imbalance."""
        now_ms = self._now_ms()

        def count(connection: apsw.Connection) -> int:
            return read_ledger(
                connection, destination_id=None, source_id=None, since_minute=None, now_ms=now_ms, leased=0
            ).imbalance

        return await self._slow_reader.read(lambda connection: self._imbalance.read(lambda: count(connection)))

    def _now_ms(self) -> int:
        return to_milliseconds(self._now())
