"""Which part of a lease to send next. Pure.

Meta refuses a whole request for one bad event and names no index, so a refused part is halved, breadth first, until
every bad event is alone.
"""

from collections import deque
from collections.abc import Iterable

from signalpost.deliver.batches import halves
from signalpost.model.delivery import Batch, QueuedEvent


class Bisection:
    """Hands out the parts of some batches; at first the batches themselves.

    For k bad of the n events of a batch it takes at most 1 + 2·k·⌈log₂ n⌉ requests.
    """

    def __init__(self, batches: Iterable[Batch]) -> None:
        self._parts = deque(batches)

    def next_part(self) -> Batch | None:
        """The part to send next; None when every part was handed out and none was refused since."""
        return self._parts.popleft() if self._parts else None

    def split(self, refused: Batch) -> None:
        """A part of at least two events was refused: its halves come after the parts that wait already."""
        self._parts.extend(halves(refused))

    @property
    def waiting(self) -> list[QueuedEvent]:
        """The events of all parts that have not been handed out."""
        return [event for part in self._parts for event in part.events]
