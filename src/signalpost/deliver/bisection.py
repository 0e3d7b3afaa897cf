"""Which part of a refused batch to send next, and when to stop because the fault is not in the single events. Pure.

Meta refuses a whole request for one bad event and names no index, so a refused part is halved, breadth first, until
every bad event is alone. When nothing at all is accepted it is hardly the events' fault: then a few single events are
tried, and if they are refused too, the search ends and no event is given up.
"""

import itertools
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

from signalpost.deliver.batches import halves
from signalpost.deliver.retry import DeadLetter, Expire
from signalpost.model.delivery import Batch, QueuedEvent

REQUESTS_BEFORE_SAMPLE: Final = 31
SAMPLE_SIZE: Final = 8
SAMPLE_ACCEPTED_AT_MOST: Final = 2
"""After so many requests without one accepted part, so many single events are tried; with so few of them accepted the
refusals are called systemic."""

LARGE_BATCH: Final = 32
BAD_SHARE: Final = 0.25
"""Of a batch this large, more bad events than this share are systemic too."""


Ended = tuple[Batch, DeadLetter | Expire]
"""A single event that is refused, and how it would end."""


class Bisection:
    """Hands out the parts of one batch; at first the batch itself.

    For k bad of n events it takes at most 1 + 2·k·⌈log₂ n⌉ requests; when all of 32 or more are bad, 39.
    """

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._parts = deque([batch])
        self._sample: deque[Batch] | None = None
        self._withheld: list[Ended] = []
        self._refused = 0
        self._accepted = 0
        self._isolated = 0
        self.has_accepted = False

    def next_part(self) -> Batch | None:
        """The part to send next; None when every part was handed out and none was refused since."""
        if self._sample:
            return self._sample.popleft()
        return self._parts.popleft() if self._parts else None

    def accepted(self) -> None:
        """The part that was handed out last is delivered."""
        self._accepted += 1
        self.has_accepted = True

    def split(self, refused: Batch) -> None:
        """A part of at least two events was refused: its halves come after the parts that wait already."""
        self._parts.extend(halves(refused))
        self._refused += 1
        if self._refused == REQUESTS_BEFORE_SAMPLE and not self.has_accepted:
            self._draw_sample()

    def isolate(self, bad: Batch, decision: DeadLetter | Expire) -> Sequence[Ended]:
        """A single event was refused. Return those that are to be settled so now, which may be none.

        While it is open whether the refusals are systemic, none is; once that is settled in their favour, all are.
        """
        self._isolated += 1
        self._refused += 1
        self._withheld.append((bad, decision))
        if self._sample or self.is_systemic:
            return ()
        settled, self._withheld = self._withheld, []
        return settled

    @property
    def is_systemic(self) -> bool:
        """Whether to stop, since the events are hardly at fault."""
        if self._sample is not None and not self._sample:
            return self._accepted <= SAMPLE_ACCEPTED_AT_MOST
        size = len(self._batch.events)
        return size >= LARGE_BATCH and self._isolated > size * BAD_SHARE

    @property
    def waiting(self) -> list[QueuedEvent]:
        """Every event that is neither settled nor under way."""
        return [event for part in self.parts for event in part.events]

    @property
    def has_refused(self) -> bool:
        """Whether what waits was part of a refused request."""
        return self._refused > 0

    @property
    def parts(self) -> list[Batch]:
        """The parts that are neither settled nor under way."""
        return [*(part for part, _ in self._withheld), *(self._sample or ()), *self._parts]

    def _draw_sample(self) -> None:
        """Take single events, evenly spread, out of the parts that wait."""
        events = self.waiting
        size = min(SAMPLE_SIZE, len(events))
        drawn = {events[position * len(events) // size].id for position in range(size)}
        self._sample = deque(self._cut(event for event in events if event.id in drawn))
        rests = ([event for event in part.events if event.id not in drawn] for part in self._parts)
        self._parts = deque(self._build(rest) for rest in rests if rest)

    def _cut(self, events: Iterable[QueuedEvent]) -> list[Batch]:
        return [self._build([event]) for event in events]

    def _build(self, events: Sequence[QueuedEvent]) -> Batch:
        return Batch(self._batch.destination_id, self._batch.dataset_id, tuple(events))


class Suspects:
    """Which events were in a refused request and are not settled: they travel in the parts that were to come next.

    So a search that trouble has interrupted goes on where it stopped, and fresh events never share a request with them.
    In memory only: after a restart the search begins again.
    """

    def __init__(self) -> None:
        self._parts: dict[int, int] = {}
        self._numbers = itertools.count(1)

    def __len__(self) -> int:
        return len(self._parts)

    def remember(self, parts: Iterable[Batch]) -> None:
        """These parts are to be sent as they are."""
        for part in parts:
            self._parts.update(dict.fromkeys((event.id for event in part.events), next(self._numbers)))

    def forget(self, events: Iterable[QueuedEvent]) -> None:
        """These are settled."""
        if self._parts:
            for event in events:
                self._parts.pop(event.id, None)

    def clear(self) -> None:
        """Nothing is known of anyone any more."""
        self._parts.clear()

    def find_part(self, event_id: int) -> int:
        """The number of the part that an event belongs to; 0 when it is no suspect."""
        return self._parts.get(event_id, 0)
