"""What the fault tests share: a load that remembers what was acknowledged, and the check that nothing of it is lost."""

import json
import sqlite3
import threading
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import requests

from tests.acceptance.processes import WRITE_KEY

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
    """Sends batches as fast as they are answered, until told to stop or cut off, and remembers the answers."""

    def __init__(self, url: str, numbers: "count[int]") -> None:
        super().__init__(daemon=True)
        self.acknowledged: list[str] = []
        self.refusals: list[requests.Response] = []
        self._url = f"{url}/v1/batch"
        self._numbers = numbers
        self._stopping = threading.Event()

    def run(self) -> None:
        with requests.Session() as session:
            session.auth = (WRITE_KEY, "")
            while not self._stopping.is_set():
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


def find_lost(acknowledged: list[str], meta_url: str, data_dir: Path) -> list[str]:
    """What was acknowledged and is neither at Meta nor a dead letter; call it when nothing waits any more."""
    text = requests.get(f"{meta_url}/_emulator/ledger?format=jsonl", timeout=30).text
    arrived: set[Any] = {json.loads(line)["event_id"] for line in text.splitlines() if line}
    with closing(sqlite3.connect(f"file:{data_dir / 'queue.db'}?mode=ro", uri=True)) as database:
        buried = {row[0] for row in database.execute("SELECT message_id FROM dead_letters")}
    return [message_id for message_id in acknowledged if message_id not in arrived and message_id not in buried]
