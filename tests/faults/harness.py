"""What the fault tests share: a load that remembers what was acknowledged, and the check that nothing of it is lost."""

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import requests

from tests.acceptance.processes import WRITE_KEY, Program

CALLS_PER_REQUEST = 20


def build_call(number: int) -> dict[str, object]:
    """Every tenth order forgets its revenue, and so has to end among the dead letters."""
    properties = {} if number % 10 == 0 else {"revenue": 5}
    return {
        "type": "track",
        "messageId": f"fault-{number}",
        "userId": f"u{number}",
        "event": "Order Completed",
        "properties": properties,
    }


class Load(threading.Thread):
    """Sends batches as fast as they are answered, until told to stop or cut off, and remembers the answers.

    rest_seconds: how long it rests between two requests.
    """

    def __init__(self, url: str, numbers: "count[int]", *, rest_seconds: float = 0) -> None:
        super().__init__(daemon=True)
        self.acknowledged: list[str] = []
        self.refusals: list[requests.Response] = []
        self._url = f"{url}/v1/batch"
        self._numbers = numbers
        self._rest_seconds = rest_seconds
        self._stopping = threading.Event()

    def run(self) -> None:
        with requests.Session() as session:
            session.auth = (WRITE_KEY, "")
            while not self._stopping.wait(self._rest_seconds):
                calls = [build_call(next(self._numbers)) for _ in range(CALLS_PER_REQUEST)]
                try:
                    response = session.post(self._url, json={"batch": calls}, timeout=10)
                except requests.RequestException:
                    return  # killed: nothing is known of this request, so nothing is promised
                if response.status_code == 200:
                    self.acknowledged += [str(call["messageId"]) for call in calls]
                else:
                    self.refusals.append(response)
                    self._stopping.wait(0.02)

    def stop(self) -> None:
        self._stopping.set()
        self.join(timeout=15)


def read_arrived(meta_url: str) -> Mapping[str, int]:
    """How often Meta has taken each event_id that it was ever sent."""
    text = requests.get(f"{meta_url}/_emulator/ledger?format=jsonl", timeout=30).text
    rows = [json.loads(line) for line in text.splitlines() if line]
    return {row["event_id"]: row["accepted"] for row in rows}


def read_buried(data_dir: Path) -> set[str]:
    """The messageIds of the dead letters."""
    with closing(sqlite3.connect(f"file:{data_dir / 'queue.db'}?mode=ro", uri=True)) as database:
        return {row[0] for row in database.execute("SELECT message_id FROM dead_letters")}


def find_lost(acknowledged: list[str], meta_url: str, data_dir: Path) -> list[str]:
    """What was acknowledged and is neither at Meta nor a dead letter; call it when nothing waits any more."""
    kept = {event_id for event_id, times in read_arrived(meta_url).items() if times} | read_buried(data_dir)
    return [message_id for message_id in acknowledged if message_id not in kept]


def count_pending(gateway: Program) -> int:
    ledger = gateway.read_api("/api/ledger")
    return int(sum(ledger["events"]["pending"].values()))


def arm(meta_url: str, fault: str, **plan: Any) -> None:
    requests.post(f"{meta_url}/_emulator/faults", json={"fault": fault, **plan}, timeout=10).raise_for_status()


def disarm(meta_url: str) -> None:
    requests.delete(f"{meta_url}/_emulator/faults", timeout=10).raise_for_status()


def read_memory(process_id: int) -> int:
    """Bytes of a process that are in memory."""
    status = Path(f"/proc/{process_id}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) << 10


def wait_until(is_true: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.02)
