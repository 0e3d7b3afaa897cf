"""Whether one bad destination harms only itself: what another one and the callers notice of it.

Each call goes to two destinations. Runs with both well alternate with runs in which Meta resets the connections of one
of them (down), answers it after five seconds (slow) or refuses its token (revoked). Noted is how long after it was sent
an event of the other one reached the emulator (p95), and how long a call waited for its answer (p99). What counts is
the median of the rounds' ratios to the run of the same round in which both were well.

Gateway, client and emulator share the machine, so a machine that is busy otherwise shows mostly in the p99. A missed
aim makes the exit code 1. A shorter run: --rounds 1 --seconds 4
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any, Final, NamedTuple

import aiohttp

from benchmarks.machine import describe_machine
from benchmarks.processes import DELIVERING, PIXEL, Running, open_session, running, write_configuration
from benchmarks.sample_events import build_call

LAG_AIM, ANSWER_AIM = 1.10, 1.20
CALLS_PER_SECOND = 200
DATASET, TROUBLED_DATASET = "1234567890", "2222222222"
TROUBLED = f'type = "facebook-conversions-api"\npixel_id = "{TROUBLED_DATASET}"\n{DELIVERING}'

WELL: Final = "well"
TROUBLES: Final[Mapping[str, Mapping[str, Any]]] = {
    "down": {"fault": "reset_before"},
    "slow": {"fault": "slow", "params": {"ms": 5_000}},
    "revoked": {"fault": "token_invalid_session"},
}


class Figures(NamedTuple):
    """Seconds: p95 from a call's sending to its event's arrival at Meta, p99 to the call's answer."""

    lag: float
    answer: float


class Bench:
    """A gateway with two destinations, the emulator that is Meta for both, and calls for them at a steady rate."""

    def __init__(self, gateway: Running, meta: Running, session: aiohttp.ClientSession) -> None:
        self._gateway = gateway
        self._meta_url = f"{meta.said['url']}/_emulator"
        self._session = session
        self._numbers = count(time.time_ns() // 1_000_000)  # never sent before
        self._after_seq = 0

    async def run(self, name: str, seconds: float) -> Figures:
        """Measure for so long with this trouble, then end it and wait until nothing waits any more."""
        if name != WELL:
            plan = {**TROUBLES[name], "match": {"dataset_id": TROUBLED_DATASET}}
            async with self._session.post(f"{self._meta_url}/faults", json=plan) as answer:
                answer.raise_for_status()
        sent: dict[str, float] = {}
        began = time.perf_counter() + 0.1
        due = (began + number / CALLS_PER_SECOND for number in range(int(seconds * CALLS_PER_SECOND)))
        waits = await asyncio.gather(*(self._send(next(self._numbers), at, sent) for at in due))
        arrived = await self._wait_for(sent)
        async with self._session.delete(f"{self._meta_url}/faults") as answer:
            answer.raise_for_status()
        await self._recover()
        lags = [arrived[event_id] - at for event_id, at in sent.items()]
        return Figures(_find_quantile(lags, 0.95), _find_quantile(waits, 0.99))

    async def _send(self, number: int, due: float, sent: dict[str, float]) -> float:
        """Send one call when it is due; seconds from then to its answer, however late it could be sent."""
        await asyncio.sleep(max(0, due - time.perf_counter()))
        now = datetime.now(UTC)
        call = build_call(number, now.isoformat(timespec="milliseconds").replace("+00:00", "Z"))
        sent[call["messageId"]] = now.timestamp()
        async with self._session.post(f"{self._gateway.said['tracking_url']}/v1/track", json=call) as answer:
            answer.raise_for_status()
        return time.perf_counter() - due

    async def _wait_for(self, sent: Mapping[str, float]) -> dict[str, float]:
        """When each event of the destination that is well reached Meta."""
        arrived: dict[str, float] = {}
        async with asyncio.timeout(30):
            while not sent.keys() <= arrived.keys():
                query = f"dataset_id={DATASET}&after_seq={self._after_seq}"
                async with self._session.get(f"{self._meta_url}/events?{query}") as answer:
                    events = (await answer.json())["events"]
                for event in events:
                    arrived[event["event_id"]] = datetime.fromisoformat(event["received_at"]).timestamp()
                    self._after_seq = event["seq"]
                await asyncio.sleep(0 if events else 0.1)
        return arrived

    async def _recover(self) -> None:
        async with asyncio.timeout(120):
            while await self._gateway.count_pending():
                await self._gateway.resume("troubled")
                await asyncio.sleep(0.5)


def _find_quantile(values: list[float], share: float) -> float:
    return sorted(values)[int(len(values) * share)]


def _turn(round_number: int) -> Iterator[str]:
    """Each kind of run in another place of each round: what a run leaves behind must not count for one of them."""
    kinds = [WELL, *TROUBLES]
    yield from (kinds[(place + round_number) % len(kinds)] for place in range(len(kinds)))


async def _measure(bench: Bench, rounds: int, seconds: float) -> bool:
    await bench.run(WELL, min(seconds, 3))  # warm
    found: list[dict[str, Figures]] = []
    for number in range(rounds):
        found.append({name: await bench.run(name, seconds) for name in _turn(number)})
        told = ", ".join(f"{name} {each.lag:.2f} s, {each.answer * 1e3:.1f} ms" for name, each in found[-1].items())
        print(f"  round {number + 1}        {told}", flush=True)
    is_met = True
    for name in TROUBLES:
        lag = statistics.median(each[name].lag / each[WELL].lag for each in found)
        answer = statistics.median(each[name].answer / each[WELL].answer for each in found)
        is_good = lag < LAG_AIM and answer < ANSWER_AIM
        is_met = is_met and is_good
        told = f"the other's lag p95 {lag:.2f} of that with both well, p99 of the answers {answer:.2f}"
        aim = f"aim: below {LAG_AIM:.2f} and {ANSWER_AIM:.2f}"
        print(f"  {name:<14} {told} ({aim}){'' if is_good else '   MISSED'}", flush=True)
    return is_met


async def _run(rounds: int, seconds: float) -> bool:
    print("Isolation: a destination that is down, slow or revoked, and what others notice")
    print(f"  machine        {describe_machine()}; client, gateway and emulator share it")
    print(
        f"  method         {CALLS_PER_SECOND} calls/s for two destinations; {rounds} rounds of 4 runs of {seconds:g} s"
    )
    with tempfile.TemporaryDirectory() as folder:
        async with running("emulator", "--port", "0") as meta:
            pixel = f"{PIXEL}\n{DELIVERING}"
            file = write_configuration(Path(folder), meta.said["url"], pixel, troubled=TROUBLED)
            async with running("serve", "--config", str(file)) as gateway, open_session() as session:
                return await _measure(Bench(gateway, meta, session), rounds, seconds)


def main() -> None:
    """Run and print; exit 1 when an aim is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=8, help="how long each run lasts")
    given = parser.parse_args()
    sys.exit(0 if asyncio.run(_run(given.rounds, given.seconds)) else 1)


if __name__ == "__main__":
    main()
