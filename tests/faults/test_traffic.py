"""Faults under load, with real processes: a refused token (F10), stop after stop (F15), too many calls (F20)."""

import signal
import threading
import time
from itertools import count
from pathlib import Path

import pytest
import requests

from tests.acceptance.processes import WRITE_KEY, Program, drain, read_json, running, start, write_configuration
from tests.faults.harness import Load, arm, build_call, disarm, find_lost, read_arrived, read_memory, wait_until

STOPS = 20
LONGEST_STOP_SECONDS = 20
OFFERED_A_SECOND = 250
OFFERED_SECONDS = 4
SENDERS = 8
CALLS_PER_OFFER = 5


def test_refused_token_under_load(tmp_path: Path, meta_url: str) -> None:
    """F10: while Meta refuses the token calls are taken as before; a reload delivers everything, in 5 seconds."""
    config = write_configuration(tmp_path, meta_url)
    with running("serve", "--config", str(config), folder=tmp_path) as gateway:
        load = Load(gateway.announced["tracking_url"], count(1))
        load.start()
        wait_until(lambda: len(load.acknowledged) >= 100)
        arm(meta_url, "token_invalid_session")
        wait_until(lambda: 'reason="token"' in read_paused(gateway))
        taken = len(load.acknowledged)
        wait_until(lambda: len(load.acknowledged) >= taken + 500)
        load.stop()
        events = gateway.read_api("/api/ledger")["events"]
        assert sum(events["pending"].values()) >= 400
        assert all(code.startswith("MESSAGE_REJECTED") for code in events["rejected"])
        disarm(meta_url)
        began = time.monotonic()
        gateway.process.send_signal(signal.SIGHUP)
        wait_until(lambda: 'reason="token"' not in read_paused(gateway))
        assert time.monotonic() - began < 5
        ledger = drain(gateway)
    assert (load.refusals, find_lost(load.acknowledged, meta_url, tmp_path / "data")) == ([], [])
    assert read_json(f"{meta_url}/_emulator/ledger")["totals"]["repeats"] == 0
    assert (ledger["imbalance"], ledger["dead_letter_imbalance"]) == (0, 0)


def test_stops_under_load(tmp_path: Path, meta_url: str) -> None:
    """F15: at 20 stops in the middle of the traffic nothing is lost and nothing repeated; each ends with 0."""
    arm(meta_url, "late_answer", params={"ms": 300})  # so that at each stop Meta has taken what it has not answered yet
    numbers = count(1)
    acknowledged: list[str] = []
    config = write_configuration(tmp_path, meta_url)
    for stop in range(STOPS):
        with running("serve", "--config", str(config), folder=tmp_path) as gateway:
            load = Load(gateway.announced["tracking_url"], numbers)
            load.start()
            wait_until(lambda load=load, least=20 + 40 * (stop % 5): len(load.acknowledged) >= least)
            began = time.monotonic()
            assert gateway.stop() == 0
            assert time.monotonic() - began < LONGEST_STOP_SECONDS
            load.stop()
            acknowledged += load.acknowledged
    disarm(meta_url)
    with running("serve", "--config", str(config), folder=tmp_path) as gateway:
        ledger = drain(gateway)
    assert find_lost(acknowledged, meta_url, tmp_path / "data") == []
    assert set(read_arrived(meta_url).values()) == {1}
    assert (ledger["imbalance"], ledger["dead_letter_imbalance"]) == (0, 0)


def test_second_stop_ends_at_once(tmp_path: Path, meta_url: str) -> None:
    """F15: a second SIGTERM does not wait for the request that hangs; the next start delivers its events."""
    config = write_configuration(tmp_path, meta_url)
    arm(meta_url, "blackhole")
    gateway = start("serve", "--config", str(config), folder=tmp_path)
    call = build_call(1)
    response = requests.post(
        f"{gateway.announced['tracking_url']}/v1/track", json=call, auth=(WRITE_KEY, ""), timeout=10
    )
    assert response.status_code == 200
    wait_until(lambda: read_json(f"{meta_url}/_emulator/requests")["requests"] != [])
    gateway.process.send_signal(signal.SIGTERM)
    wait_until(lambda: not is_listening(gateway))
    gateway.process.send_signal(signal.SIGTERM)
    gateway.process.wait(timeout=5)  # the request itself would last 10 seconds
    assert gateway.process.stdout is not None
    gateway.process.stdout.close()
    disarm(meta_url)
    with running("serve", "--config", str(config), folder=tmp_path) as gateway:
        ledger = drain(gateway)
    assert find_lost([str(call["messageId"])], meta_url, tmp_path / "data") == []
    assert ledger["imbalance"] == 0


@pytest.mark.parametrize(
    ("limits", "is_meta_slow", "status"),
    [
        ("[limits]\nrate_limit = 50\n", False, 429),
        ("[queue]\nmax_bytes = 100000\nmax_source_share = 1.0\n", True, 503),
    ],
    ids=["rate", "room"],
)
def test_five_times_too_much(tmp_path: Path, meta_url: str, limits: str, is_meta_slow: bool, status: int) -> None:
    """F20: what is too much is refused with Retry-After; what is accepted is answered soon, and none of it is lost."""
    config = write_configuration(tmp_path, meta_url)
    config.write_text(limits + config.read_text().replace("[delivery]", "[delivery]\nmax_batch_events = 50"))
    if is_meta_slow:
        arm(meta_url, "slow", params={"ms": 600})
    with running("serve", "--config", str(config), folder=tmp_path) as gateway:
        senders = [OpenLoop(gateway.announced["tracking_url"], number) for number in range(SENDERS)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join(timeout=60)
        disarm(meta_url)
        memory = read_memory(gateway.process.pid)
        ledger = drain(gateway)
    refusals = [answer for sender in senders for answer in sender.refusals]
    acknowledged = [message_id for sender in senders for message_id in sender.acknowledged]
    seconds = sorted(each for sender in senders for each in sender.seconds)
    print(f"accepted {len(seconds)}, refused {len(refusals)}, p99 {seconds[len(seconds) * 99 // 100]:.3f} s")
    assert len(refusals) > len(seconds) > 50
    assert {answer.status_code for answer in refusals} == {status}
    assert all(int(answer.headers["Retry-After"]) > 0 for answer in refusals)
    assert seconds[len(seconds) * 99 // 100] < 1
    assert memory < 512 << 20
    assert find_lost(acknowledged, meta_url, tmp_path / "data") == []
    assert (ledger["imbalance"], ledger["dead_letter_imbalance"]) == (0, 0)


class OpenLoop(threading.Thread):
    """One of several senders that begin a request at fixed times, whatever became of those before."""

    def __init__(self, url: str, number: int) -> None:
        super().__init__(daemon=True)
        self.acknowledged: list[str] = []
        self.refusals: list[requests.Response] = []
        self.seconds: list[float] = []
        self._url = f"{url}/v1/batch"
        self._number = number

    def run(self) -> None:
        interval = SENDERS / OFFERED_A_SECOND
        began = time.monotonic()
        with requests.Session() as session:
            session.auth = (WRITE_KEY, "")
            for turn in range(OFFERED_A_SECOND * OFFERED_SECONDS // SENDERS):
                time.sleep(max(began + turn * interval - time.monotonic(), 0))
                first = (turn * SENDERS + self._number) * CALLS_PER_OFFER
                calls = [build_call(first + each) for each in range(CALLS_PER_OFFER)]
                sent_at = time.monotonic()
                response = session.post(self._url, json={"batch": calls}, timeout=30)
                if response.status_code == 200:
                    self.seconds.append(time.monotonic() - sent_at)
                    self.acknowledged += [str(call["messageId"]) for call in calls]
                else:
                    self.refusals.append(response)


def read_paused(gateway: Program) -> str:
    text = requests.get(f"{gateway.announced['console_url']}/metrics", timeout=10).text
    return "\n".join(line for line in text.splitlines() if line.startswith("signalpost_destination_paused{"))


def is_listening(gateway: Program) -> bool:
    try:
        requests.get(f"{gateway.announced['tracking_url']}/health", timeout=10)
    except requests.RequestException:
        return False
    return True
