"""A destination that Meta refuses, as its operator sees it: status, metrics, ledger; and how it goes on."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests

from tests.acceptance.commands import read_error, run
from tests.acceptance.processes import WRITE_KEY, Program, drain, running, write_configuration


def wait_for(found: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 30
    while not (value := found()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return value


def find_pause(gateway: Program) -> Any:
    (state,) = gateway.read_api("/api/delivery")
    return state["pause"]


def test_a_paused_destination_is_shown_with_reason_and_fix_until_it_goes_on(tmp_path: Path) -> None:
    """From the revoked token to the delivered event; nothing is lost, and every surface tells the same."""
    with running("emulator", "--port", "0", folder=tmp_path) as meta:
        config = write_configuration(tmp_path, meta.announced["url"])
        good = config.read_text()
        config.write_text(good.replace("EMULATOR_TOKEN", "EMULATOR_REVOKED"))
        arguments = ("--config", str(config))
        with running("serve", *arguments, folder=tmp_path) as gateway:
            call = {"userId": "u1", "event": "Order Completed", "properties": {"revenue": 5}}
            url = gateway.announced["tracking_url"]
            requests.post(f"{url}/v1/track", json=call, auth=(WRITE_KEY, ""), timeout=10).raise_for_status()
            pause = wait_for(lambda: find_pause(gateway))
            assert (pause["reason"], bool(pause["fix"])) == ("token", True)
            shown = " ".join(run("status", *arguments, folder=tmp_path).stdout.decode().split())
            assert "main-pixel is paused (token)" in shown
            assert pause["fix"] in shown
            assert gateway.read_api("/api/ledger")["events"]["pending"] == {
                "ready": 0, "leased": 0, "retrying": 0, "held": 1,
            }  # fmt: skip
            metrics = requests.get(f"{gateway.announced['console_url']}/metrics", timeout=10).text
            assert 'signalpost_queued_events{destination="main-pixel",state="held"} 1.0' in metrics
            assert 'signalpost_destination_paused{destination="main-pixel",reason="token"} 1.0' in metrics
            assert 'signalpost_breaker_open{destination="main-pixel"} 0.0' in metrics
            skew = next(line for line in metrics.splitlines() if line.startswith("signalpost_clock_skew_seconds "))
            assert abs(float(skew.split()[1])) < 60

            assert run("resume", "main-pixel", *arguments, folder=tmp_path).returncode == 0
            wait_for(lambda: find_pause(gateway))  # the token is as bad as before
            unknown = run("resume", "pixel", *arguments, folder=tmp_path)
            assert (unknown.returncode, 'named "pixel"' in read_error(unknown)) == (1, True)
            (row,) = gateway.read_api("/api/audit")
            assert (row["action"], row["actor"], row["subject"]) == (
                "destination.resumed",
                "command line",
                "main-pixel",
            )

            config.write_text(good)
            gateway.process.send_signal(1)  # SIGHUP: read the configuration again
            assert drain(gateway)["events"]["delivered"] == 1
            (state,) = json.loads(run("status", "--json", *arguments, folder=tmp_path).stdout)["delivery"]
            assert (state["pause"], state["last_outcome"]) == (None, "accepted")


def test_what_a_paused_destination_holds_can_be_given_up(tmp_path: Path) -> None:
    """Counted first, asked for, in the audit log and the ledger; refused while the destination is delivered to."""
    with running("emulator", "--port", "0", folder=tmp_path) as meta:
        config = write_configuration(tmp_path, meta.announced["url"])
        good = config.read_text()
        config.write_text(good.replace("EMULATOR_TOKEN", "EMULATOR_REVOKED"))
        arguments = ("--config", str(config))

        def discard(*more: str) -> Any:
            return run("discard", "main-pixel", *more, *arguments, folder=tmp_path)

        with running("serve", *arguments, folder=tmp_path) as gateway:
            refused = discard("--yes")
            assert (refused.returncode, "not paused" in read_error(refused)) == (1, True)
            calls = [{"type": "track", "userId": "u1", "event": "Signed Up"}] * 3
            url = f"{gateway.announced['tracking_url']}/v1/batch"
            requests.post(url, json={"batch": calls}, auth=(WRITE_KEY, ""), timeout=10).raise_for_status()
            wait_for(lambda: find_pause(gateway))
            wait_for(lambda: gateway.read_api("/api/ledger")["events"]["pending"]["held"] == 3)
            unasked = discard()
            assert (unasked.returncode, "3 events that wait for main-pixel" in read_error(unasked)) == (2, True)
            done = json.loads(discard("--json", "--yes").stdout)
            assert (done["dry_run"], done["discarded"]) == (False, 3)
            ledger = gateway.read_api("/api/ledger")
            assert ledger["events"]["rejected"] == {"DISCARDED/discarded_by_operator": 3}
            assert (ledger["imbalance"], drain(gateway)["events"]["delivered"]) == (0, 0)
            (row,) = gateway.read_api("/api/audit")
            assert (row["action"], row["actor"], row["subject"], row["after"]["discarded"]) == (
                "destination.events_discarded",
                "command line",
                "main-pixel",
                3,
            )


def test_without_a_gateway_status_says_that_nothing_is_sent(tmp_path: Path) -> None:
    """The ledger is read from the file all the same; what an ended run has left is not taken for a gateway."""
    config = write_configuration(tmp_path, "http://127.0.0.1:9")
    with running("serve", "--config", str(config), folder=tmp_path):
        pass
    shown = run("status", "--config", str(config), folder=tmp_path)
    assert shown.returncode == 0
    assert b"No gateway runs on this data folder" in shown.stdout
    assert json.loads(run("status", "--json", "--config", str(config), folder=tmp_path).stdout)["delivery"] is None
    refused = run("resume", "main-pixel", "--config", str(config), folder=tmp_path)
    assert (refused.returncode, "signalpost serve" in read_error(refused)) == (1, True)
