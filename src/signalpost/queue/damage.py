"""What damaged pages of the file keep from whom, as far as leases and settling have met them.

Whatever can still be read is delivered: what can't is set aside and told, and `recover` saves it later. In memory only,
since the next start meets the same pages again.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import apsw

from signalpost.model.destination_state import DAMAGE_FIX, Damage
from signalpost.model.errors import QueueUnavailable
from signalpost.model.ids import DestinationId
from signalpost.queue.leases import Leases
from signalpost.queue.writer import Writer

SettleEvents = Callable[[apsw.Connection, Sequence[int]], object]
"""The statements that settle some events, run inside a transaction."""


class DamageBook:
    """Keeps it, and tells once of each event. Used on the event loop only."""

    def __init__(self, leases: Leases, on_trouble: Callable[[str], object]) -> None:
        """is_met: whether a change has met damage. SQLite then refuses all that the transaction still wanted to do."""
        self._leases = leases
        self._on_trouble = on_trouble
        self._blind: set[DestinationId] = set()
        self.is_met = False

    @contextmanager
    def noting(self, destination_id: DestinationId) -> Iterator[None]:
        """Look for what is due; raises QueueUnavailable when damage is in the way of that."""
        try:
            yield
        except apsw.CorruptError as error:
            self._blind.add(destination_id)
            raise QueueUnavailable(f"{destination_id}: {Damage(is_blind=True).human} {DAMAGE_FIX}") from error
        self._blind.discard(destination_id)

    def meet(self) -> None:
        """A change has met a damaged page."""
        if not self.is_met:
            self._on_trouble(f"{Damage().human} {DAMAGE_FIX}")
        self.is_met = True

    def set_aside(self, destination_id: DestinationId, ids: Sequence[int]) -> None:
        """Offer these to no lease any more."""
        if ids:
            self._leases.set_aside(destination_id, ids)
            self._on_trouble(f"{destination_id}: {Damage(out_of_reach=len(ids)).human} {DAMAGE_FIX}")

    def find(self, destination_id: DestinationId) -> Damage | None:
        """What is known of a destination's; None when nothing is."""
        damage = Damage(self._leases.count_set_aside(destination_id), destination_id in self._blind)
        return damage if damage.out_of_reach or damage.is_blind or self.is_met else None

    async def settle(self, writer: Writer, ids: Sequence[int], step: SettleEvents) -> Sequence[int]:
        """Settle events in one durable step; or, in several, all but those that lie beside a damaged page.

        Returns those. When a page runs empty SQLite merges it with the one beside it, so intact rows can be stuck too.
        """
        try:
            await writer.settle(lambda connection: step(connection, ids), len(ids))
        except QueueUnavailable as error:
            if not isinstance(error.__cause__, apsw.CorruptError):
                raise
        else:
            return ()
        if not self.is_met:
            self.meet()
            return await self.settle(writer, ids, step)
        if len(ids) == 1:
            return ids
        middle = len(ids) // 2
        left = await self.settle(writer, ids[:middle], step)
        return [*left, *await self.settle(writer, ids[middle:], step)]
