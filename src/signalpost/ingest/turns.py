"""One request must not keep the event loop from the others: every few milliseconds they have their turn."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

_LONGEST_SECONDS: Final = 0.005


class Turn:
    """Whoever works through many calls asks between two of them: `if turn.is_over: await turn.give_way()`."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._ends_at = monotonic() + _LONGEST_SECONDS

    @property
    def is_over(self) -> bool:
        """Whether the others have waited long enough."""
        return self._monotonic() > self._ends_at

    async def give_way(self) -> None:
        """Let them in, then begin anew."""
        await asyncio.sleep(0)
        self._ends_at = self._monotonic() + _LONGEST_SECONDS
