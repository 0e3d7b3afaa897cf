"""What the fault tests share: a load that remembers what was acknowledged, and the check that nothing of it is lost."""

import json
import os
import sqlite3
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

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
        "context": {"traits": {"email": f"u{number}@shop.example"}},
    }


class Refusal(NamedTuple):
    """An answer other than 200."""

    status_code: int
    headers: Mapping[str, str]


class Load(threading.Thread):
    """Sends batches until told to stop or cut off, and remembers the answers.

    interval_seconds: from the start of one request to that of the next; 0: as fast as they are answered.
    """

    def __init__(self, url: str, numbers: "count[int]", *, interval_seconds: float = 0) -> None:
        super().__init__(daemon=True)
        self.acknowledged: list[str] = []
        self.refusals: list[Refusal] = []
        self._address = urlsplit(url).netloc
        self._numbers = numbers
        self._interval_seconds = interval_seconds
        self._stopping = threading.Event()

    def run(self) -> None:
        headers = {"Authorization": f"Basic {b64encode(f'{WRITE_KEY}:'.encode()).decode()}"}
        with closing(HTTPConnection(self._address, timeout=10)) as connection:
            due = time.monotonic()
            while not self._stopping.wait(max(0, due - time.monotonic())):
                due += self._interval_seconds
                calls = [build_call(next(self._numbers)) for _ in range(CALLS_PER_REQUEST)]
                try:
                    connection.request("POST", "/v1/batch", json.dumps({"batch": calls}), headers)
                    answer = connection.getresponse()
                    answer.read()
                except (OSError, HTTPException):
                    return  # killed: nothing is known of this request, so nothing is promised
                if answer.status == 200:
                    self.acknowledged += [str(call["messageId"]) for call in calls]
                else:
                    self.refusals.append(Refusal(answer.status, answer.headers))
                    self._stopping.wait(0.02)

    def stop(self) -> None:
        self._stopping.set()
        self.join(timeout=15)


def read_arrived(meta_url: str) -> Mapping[str, int]:
    """How often Meta has taken each event_id that it was ever sent."""
    with requests.get(f"{meta_url}/_emulator/ledger?format=jsonl", timeout=60, stream=True) as answer:
        rows = [json.loads(line) for line in answer.iter_lines(1 << 20) if line]
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


def read_processor_seconds(process_id: int) -> float:
    """What a process has used of the processor's time so far."""
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wait_until(is_true: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.02)
