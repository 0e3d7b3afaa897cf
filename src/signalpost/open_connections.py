"""Every open connection of one listener: how many there may be, and how long each may take for what it is doing."""

import asyncio
import email.utils
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol

from signalpost.http_messages import BrokenRequest

_SWEEPS_PER_DEADLINE: Final = 10
_CONNECTIONS_AT_ONCE: Final = 25


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What one connection may cost, and how many there may be.

    body_seconds: for a body, and a second more for each 64 KiB received, up to longest_body_seconds. As long as a body
    may take, a client may leave an answer unread. idle_seconds: between two requests.
    """

    max_address_bytes: int = 8 << 10
    max_head_bytes: int = 16 << 10
    max_headers: int = 64
    head_seconds: float = 5
    body_seconds: float = 15
    longest_body_seconds: float = 60
    idle_seconds: float = 65
    max_connections: int = 10_000
    max_connections_per_address: int = 200


class Connection(Protocol):
    """What is counted here. address: where it comes from."""

    address: str

    def end_if_late(self, now: float) -> None:
        """Close it when what it is doing should be done by now."""

    def stop(self) -> None:
        """Close it once the requests that it has brought are answered."""

    def abort(self) -> None:
        """Close it at once."""


class OpenConnections:
    """Counts connections by address, and ends those that are past their deadline.

    is_exempt: addresses that may open any number, such as a trusted proxy's. find_owner: what an address counts for:
    one client may have very many. on_broken: told of each broken request and the address it came from. date: what
    answers say of the time, true to a second or so.
    """

    def __init__(
        self,
        limits: ConnectionLimits,
        is_exempt: Callable[[str], bool] = lambda _: False,
        on_broken: Callable[[BrokenRequest, str], None] = lambda _broken, _address: None,
        find_owner: Callable[[str], str] = str,
    ) -> None:
        self.limits = limits
        self.on_broken = on_broken
        self.date = _read_date()
        self._is_exempt = is_exempt
        self._find_owner = find_owner
        self._open: set[Connection] = set()
        self._all_ended: asyncio.Event | None = None
        self._by_owner: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._open)

    def admit(self, connection: Connection) -> bool:
        """Count a new connection; False when there are too many."""
        owner = self._find_owner(connection.address)
        is_full = len(self._open) >= self.limits.max_connections or (
            self._by_owner[owner] >= self.limits.max_connections_per_address and not self._is_exempt(connection.address)
        )
        if not is_full:
            self._open.add(connection)
            self._by_owner[owner] += 1
        return not is_full

    def forget(self, connection: Connection) -> None:
        """A connection has ended; one that was never admitted is ignored."""
        if connection in self._open:
            self._open.discard(connection)
            owner = self._find_owner(connection.address)
            self._by_owner[owner] -= 1
            if not self._by_owner[owner]:
                del self._by_owner[owner]
            if not self._open and self._all_ended is not None:
                self._all_ended.set()

    async def sweep(self) -> None:
        """End what is late, again and again. One look at all of them costs less than a timer for each request."""
        pause = self.limits.head_seconds / _SWEEPS_PER_DEADLINE
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(pause)
            self.date = _read_date()
            now = loop.time()
            for number, connection in enumerate(tuple(self._open), 1):
                connection.end_if_late(now)
                if number % _CONNECTIONS_AT_ONCE == 0:
                    await asyncio.sleep(0)  # many that are late together must not keep good clients waiting

    async def end(self, seconds: float) -> None:
        """Let each answer what it has begun, for so many seconds at most; then cut what is left."""
        for connection in tuple(self._open):
            connection.stop()
        if self._open:
            self._all_ended = asyncio.Event()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._all_ended.wait(), seconds)
        for connection in tuple(self._open):
            connection.abort()


def _read_date() -> bytes:
    return email.utils.formatdate(usegmt=True).encode()


def allow_open_files(wanted: int) -> None:
    """Raise the process's limit of open files as far as it may be raised, up to `wanted`."""
    with suppress(ImportError, ValueError, OSError):
        import resource  # noqa: PLC0415 - not on every system

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        aim = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        if soft != resource.RLIM_INFINITY and soft < aim:
            resource.setrlimit(resource.RLIMIT_NOFILE, (aim, hard))
