"""Long work on the event loop is done in short turns, between which others have theirs."""

import asyncio
import time
from collections.abc import Callable


class Turn:
    """Whoever has much to do asks between two parts of it: `if turn.is_over: await turn.give_way()`."""

    def __init__(
        self,
        monotonic: Callable[[], float] = time.monotonic,
        *,
        longest_seconds: float = 0.005,
        rest_seconds: float = 0.0,
    ) -> None:
        """rest_seconds: for how long others have the loop to themselves; 0 lets in those who wait already.

        Only a rest lets go of the interpreter's lock for certain: the write thread, which makes calls durable, waits
        for it too.
        """
        self._monotonic = monotonic
        self._longest_seconds = longest_seconds
        self._rest_seconds = rest_seconds
        self._ends_at = monotonic() + longest_seconds

    @property
    def is_over(self) -> bool:
        """Whether the others have waited long enough."""
        return self._monotonic() > self._ends_at

    async def give_way(self) -> None:
        """Let them in, then begin anew."""
        await asyncio.sleep(self._rest_seconds)
        self._ends_at = self._monotonic() + self._longest_seconds
