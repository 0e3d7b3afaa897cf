"""One emulator: its clock, memory, faults and profile. Everything else gets it handed in."""

import asyncio
from collections.abc import Sequence

from signalpost.emulator.answers import TraceIds
from signalpost.emulator.clock import EmulatorClock
from signalpost.emulator.errors import read_error_rows
from signalpost.emulator.faults import TRANSPORT_FAULTS, FaultBook, FaultPlan
from signalpost.emulator.grants import Grants
from signalpost.emulator.profiles import Profile
from signalpost.emulator.store import EventStore


class Emulator:
    """The state behind the routes. `closing` is set when the server goes down, so that nobody keeps waiting."""

    def __init__(self, *, profile: Profile, keep: int, seed: int | None, faults: Sequence[FaultPlan]) -> None:
        self.rows = read_error_rows()
        self.clock = EmulatorClock()
        self.trace_ids = TraceIds(seed)
        self.store = EventStore(keep)
        self.grants = Grants(self.clock.now)
        self.faults = FaultBook({*self.rows, *TRANSPORT_FAULTS}, seed, self.clock.now)
        self.quota_windows: dict[str, tuple[float, int]] = {}
        self.closing = asyncio.Event()
        self.profile = profile
        self._profile_at_start = profile
        self._faults_at_start = tuple(faults)
        self._arm_faults_at_start()

    def reset(self) -> None:
        """Go back to the state at the start: nothing received, the first profile, the faults given at the start."""
        self.store.reset()
        self.grants.reset()
        self.clock.reset()
        self.quota_windows.clear()
        self.profile = self._profile_at_start
        self.faults.disarm_all()
        self._arm_faults_at_start()

    async def pause(self, seconds: float) -> None:
        """Let real time pass; less of it when the server goes down meanwhile."""
        try:
            async with asyncio.timeout(seconds):
                await self.closing.wait()
        except TimeoutError:
            return

    def _arm_faults_at_start(self) -> None:
        for plan in self._faults_at_start:
            self.faults.arm(plan)
