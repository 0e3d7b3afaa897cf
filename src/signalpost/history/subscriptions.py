"""Watching entries as they come. Whoever reads slowly gets a count of what it missed, never a growing queue."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from signalpost.history.entries import CallEntry, CallFilter
from signalpost.history.refused_requests import RefusedRequest

LONGEST_BACKLOG: Final = 1_000


@dataclass(frozen=True, slots=True)
class Skipped:
    """So many entries came faster than they were read."""

    count: int


FeedItem = CallEntry | RefusedRequest | Skipped


class Subscription:
    """One reader's feed: an entry when its call arrives and again whenever one of its events changes state.

    An entry that changes while it waits is given once, as it is then. Iterating ends when the subscription is closed.
    """

    def __init__(self, wanted: CallFilter) -> None:
        self._wanted = wanted
        self._waiting: dict[int, CallEntry | RefusedRequest] = {}
        self._skipped = 0
        self._is_closed = False
        self._woken = asyncio.Event()

    def offer(self, entry: CallEntry) -> None:
        """An entry is new or has changed."""
        if self._wanted.admits(entry):
            self._add(entry)

    def offer_refusal(self, refusal: RefusedRequest) -> None:
        """A request was refused that belongs to no source; only who asks for no particular call wants to know."""
        if self._wanted == CallFilter(code=self._wanted.code) and self._wanted.code in {None, refusal.kind.code}:
            self._add(refusal)

    def _add(self, item: CallEntry | RefusedRequest) -> None:
        if len(self._waiting) >= LONGEST_BACKLOG and id(item) not in self._waiting:
            self._skipped += 1
        else:
            self._waiting[id(item)] = item
        self._woken.set()

    def close(self) -> None:
        """Let the reader finish what waits, and end."""
        self._is_closed = True
        self._woken.set()

    async def __aiter__(self) -> AsyncIterator[FeedItem]:
        """Whatever was offered, in that order; a count in place of what did not fit."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            waiting, self._waiting = self._waiting, {}
            for item in waiting.values():
                yield item
            if self._skipped:
                skipped, self._skipped = self._skipped, 0
                yield Skipped(skipped)
            if self._is_closed and not self._waiting:
                return
