"""kill -9 of the gateway under load: whatever was acknowledged is at Meta or among the dead letters."""

import random
import sqlite3
import threading
import time
from itertools import count
from pathlib import Path

import requests

from tests.acceptance.processes import WRITE_KEY, drain, running, start, write_configuration

ROUNDS = 30
CALLS_PER_REQUEST = 20
MOST_REPEATS_PER_KILL = 1_000


class Load(threading.Thread):
    """Sends batches as fast as they are answered, until told to stop, and remembers what was acknowledged."""

    def __init__(self, url: str, numbers: "count[int]") -> None:
        super().__init__(daemon=True)
        self.acknowledged: list[str] = []
        self._url = f"{url}/v1/batch"
        self._numbers = numbers
        self._stopping = threading.Event()

    def run(self) -> None:
        with requests.Session() as session:
            session.auth = (WRITE_KEY, "")
            while not self._stopping.is_set():
                calls = [_build_call(next(self._numbers)) for _ in range(CALLS_PER_REQUEST)]
                try:
                    response = session.post(self._url, json={"batch": calls}, timeout=10)
                except requests.RequestException:
                    return  # killed: nothing is known of this request, so nothing is promised
                if response.status_code == 200 and response.json()["accepted"] == CALLS_PER_REQUEST:
                    self.acknowledged += [str(call["messageId"]) for call in calls]

    def stop(self) -> None:
        self._stopping.set()
        self.join(timeout=15)


def _build_call(number: int) -> dict[str, object]:
    """Every tenth order forgets its revenue, and so has to end among the dead letters."""
    properties = {} if number % 10 == 0 else {"revenue": 5}
    return {
        "type": "track",
        "messageId": f"crash-{number}",
        "userId": f"u{number}",
        "event": "Order Completed",
        "properties": properties,
    }


def test_thirty_kills_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """After 30 SIGKILLs at random moments every acknowledged messageId is accounted for, and repeats are bounded."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    numbers = count(1)
    acknowledged: list[str] = []
    with running("emulator", "--port", "0", folder=tmp_path) as meta:
        meta_url = meta.announced["url"]
        config = write_configuration(tmp_path, meta_url)
        for _ in range(ROUNDS):
            gateway = start("serve", "--config", str(config), folder=tmp_path)
            load = Load(gateway.announced["tracking_url"], numbers)
            load.start()
            time.sleep(chance.uniform(0.05, 0.7))
            gateway.kill()
            load.stop()
            acknowledged += load.acknowledged
            assert gateway.process.stdout is not None
            gateway.process.stdout.close()
        with running("serve", "--config", str(config), folder=tmp_path) as gateway:
            ledger = drain(gateway)
        rows = _read_all_rows(meta_url)
    arrived = {row["event_id"]: row["accepted"] for row in rows}
    buried = _read_dead_letters(tmp_path / "data" / "queue.db")
    lost = [message_id for message_id in acknowledged if message_id not in arrived and message_id not in buried]

    assert len(acknowledged) > ROUNDS * CALLS_PER_REQUEST
    assert lost == []
    assert ledger["imbalance"] == 0
    assert not arrived.keys() & buried
    assert sum(arrived.values()) - len(arrived) <= ROUNDS * MOST_REPEATS_PER_KILL


def _read_all_rows(meta_url: str) -> list[dict[str, int]]:
    text = requests.get(f"{meta_url}/_emulator/ledger?format=jsonl", timeout=30).text
    return [requests.compat.json.loads(line) for line in text.splitlines() if line]


def _read_dead_letters(file: Path) -> set[str]:
    with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as database:
        return {row[0] for row in database.execute("SELECT message_id FROM dead_letters")}
