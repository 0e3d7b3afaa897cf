"""`signalpost tail`: what arrives at a running gateway, in another terminal."""

import json
import os
import subprocess
import sys
from pathlib import Path

import requests

from tests.acceptance.commands import read_error, run
from tests.acceptance.processes import WRITE_KEY, Program, running, write_configuration

NOBODY = "http://127.0.0.1:1"


def track(gateway: Program, key: str = WRITE_KEY, **fields: object) -> None:
    call = {"userId": "jo-bloggs", "event": "Signed Up", "context": {"traits": {"email": "jo@example.com"}}, **fields}
    requests.post(f"{gateway.announced['tracking_url']}/v1/track", json=call, auth=(key, ""), timeout=10)


def is_refused(item: dict[str, object]) -> bool:
    return item["kind"] == "refused" and item["key_ending"] == "6789"


def test_calls_as_they_come(tmp_path: Path) -> None:
    """First the calls that came before, then each as it comes, masked; a wrong key too; it ends with the gateway."""
    config = write_configuration(tmp_path, NOBODY)
    with running("serve", "--config", str(config), folder=tmp_path) as gateway:
        track(gateway, messageId="before")
        command = [sys.executable, "-m", "signalpost", "tail", "--config", str(config), "--json"]
        watcher = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=tmp_path, text=True, env=os.environ)
        assert watcher.stdout is not None
        assert json.loads(watcher.stdout.readline())["message_id"] == "before"
        items: list[dict[str, object]] = []
        while not ({"after"} <= {item.get("message_id") for item in items} and any(map(is_refused, items))):
            track(gateway, "wk_mistyped_0123456789")  # again, in case it does not watch yet
            track(gateway, messageId="after")
            items.append(json.loads(watcher.stdout.readline()))
        assert gateway.stop() == 0
        assert watcher.wait(timeout=30) is not None
        watcher.stdout.close()
    shown = json.dumps(items)
    assert "jo-bloggs" not in shown
    assert "jo@example.com" not in shown


def test_filters_and_text(tmp_path: Path) -> None:
    """Only what is asked for, in lines for people; a filter that is none ends with a sentence."""
    config = write_configuration(tmp_path, NOBODY)
    with running("serve", "--config", str(config), folder=tmp_path) as gateway:
        track(gateway, messageId="m1")
        track(gateway, messageId="m2", event="Order [bold]Completed")
        track(gateway, messageId="m3", userId=None)
        track(gateway, "wk_mistyped_01234567\x1b[2J", event="\x1b[31m\u009b2J\u202e\naccepted", messageId="\r4")
        track(gateway, event="\x1b[31m\u009b2J\u202e\naccepted", messageId="\r4"[1:])
        ask = ("tail", "--config", str(config), "--no-follow")
        everything = run(*ask, folder=tmp_path)
        rejected = run(*ask, "--filter", "verdict=rejected", folder=tmp_path)
        one = run(*ask, "--filter", "event=Order [bold]Completed", "--source", "website", folder=tmp_path)
        wrong = run(*ask, "--filter", "colour=red", folder=tmp_path)
        assert gateway.stop() == 0
    assert [line in everything.stdout.decode() for line in ("m1", "m2", "no_user_anon_id")] == [True] * 3
    lines = everything.stdout.decode().split("\n")
    assert all(line.isprintable() for line in lines)
    assert not any(line.startswith("accepted") and "website" not in line for line in lines)
    assert "m3" in rejected.stdout.decode()
    assert "m1" not in rejected.stdout.decode()
    assert "Order [bold]Completed" in one.stdout.decode()
    assert "m1" not in one.stdout.decode()
    assert wrong.returncode == 2
    assert "--filter: must be name=value" in read_error(wrong)
    gone = run(*ask, folder=tmp_path)
    assert gone.returncode == 1
    assert "signalpost serve" in read_error(gone)
