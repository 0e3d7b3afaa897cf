"""A token that Meta refuses: the events wait, and a new one in the file lets them go, without a restart."""

import signal
import time
from pathlib import Path

import requests

from tests.acceptance.processes import WRITE_KEY, Program, drain, read_json, running, write_configuration


def read_metrics(gateway: Program) -> str:
    return requests.get(f"{gateway.announced['console_url']}/metrics", timeout=10).text


def wait_for(gateway: Program, line: str) -> None:
    deadline = time.monotonic() + 20
    while line not in read_metrics(gateway).splitlines():
        assert time.monotonic() < deadline, f"never seen: {line}"
        time.sleep(0.02)


def test_a_new_token_resumes_a_paused_destination(tmp_path: Path) -> None:
    """With an expired token events wait; SIGHUP delivers them once the file is mended; a spoilt one changes nothing."""
    with running("emulator", "--port", "0", folder=tmp_path) as meta:
        config = write_configuration(tmp_path, meta.announced["url"])
        good = config.read_text()
        config.write_text(good.replace("EMULATOR_TOKEN", "EMULATOR_EXPIRED"))
        with running("serve", "--config", str(config), folder=tmp_path) as gateway:
            url = f"{gateway.announced['tracking_url']}/v1/track"
            call = {"userId": "u1", "event": "Order Completed", "properties": {"revenue": 5}}
            assert requests.post(url, json=call, auth=(WRITE_KEY, ""), timeout=10).json()["accepted"] == 1
            wait_for(gateway, 'signalpost_destination_paused{destination="main-pixel",reason="token"} 1.0')
            ledger = gateway.read_api("/api/ledger")
            assert (sum(ledger["events"]["pending"].values()), ledger["events"]["delivered"]) == (1, 0)

            config.write_text(good.replace("pixel_id", "pixle_id"))
            gateway.process.send_signal(signal.SIGHUP)
            deadline = time.monotonic() + 10
            while "did you mean pixel_id" not in (tmp_path / "serve.log").read_text():
                assert time.monotonic() < deadline
                time.sleep(0.02)
            assert requests.post(url, json=call, auth=(WRITE_KEY, ""), timeout=10).status_code == 200

            config.write_text(good)
            gateway.process.send_signal(signal.SIGHUP)
            ledger = drain(gateway)
            assert gateway.stop() == 0
        totals = read_json(f"{meta.announced['url']}/_emulator/ledger")["totals"]
    assert (ledger["events"]["delivered"], ledger["imbalance"]) == (2, 0)
    assert (totals["accepted"], totals["repeats"]) == (2, 0)
