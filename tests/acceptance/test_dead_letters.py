"""Dead letters on the command line: the same with a running gateway and without one."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import requests

from signalpost.data_folder import DataFolder
from tests.acceptance.commands import read_error, run
from tests.acceptance.processes import WRITE_KEY, Program, drain, running, write_configuration

NEVER_BEFORE = {"userId": "u1", "event": "Order Completed"}


def build_call(message_id: str, **properties: Any) -> dict[str, Any]:
    return {**NEVER_BEFORE, "type": "track", "messageId": message_id, "properties": properties}


def fill(gateway: Program, meta: Program) -> None:
    """Two events that Meta refuses, for now, two that mapping rejects, one that is delivered."""
    plan = {"fault": "poison", "match": {"event_id": ["refused-1", "refused-2"]}}
    requests.post(f"{meta.announced['url']}/_emulator/faults", json=plan, timeout=10).raise_for_status()
    good = [build_call(name, revenue=5) for name in ("refused-1", "refused-2", "good")]
    calls = [*good, build_call("bad-1"), build_call("bad-2")]
    url = f"{gateway.announced['tracking_url']}/v1/batch"
    requests.post(url, json={"batch": calls}, auth=(WRITE_KEY, ""), timeout=10).raise_for_status()
    drain(gateway)
    requests.delete(f"{meta.announced['url']}/_emulator/faults", timeout=10).raise_for_status()


def ask(config: Path, *arguments: str) -> list[Any]:
    ended = run("dead-letters", *arguments, "--json", "--config", str(config), folder=config.parent)
    assert ended.returncode == 0, ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines()]


@pytest.mark.parametrize("is_served", [True, False], ids=["through the gateway", "with the lock"])
def test_list_show_requeue_discard(tmp_path: Path, is_served: bool) -> None:
    """What Meta refused is requeued and then delivered; what mapping rejected is refused with the reason, then goes."""
    with running("emulator", "--port", "0", folder=tmp_path) as meta:
        config = write_configuration(tmp_path, meta.announced["url"])
        with running("serve", "--config", str(config), folder=tmp_path) as gateway:
            fill(gateway, meta)
            if not is_served:
                assert gateway.stop() == 0
            letters = ask(config, "list")
            assert len(letters) == 4
            assert len(ask(config, "list", "--limit", "1")) == 1
            assert {letter["message_id"] for letter in ask(config, "list", "--code", "400")} == {
                "refused-1",
                "refused-2",
            }
            refused = next(letter for letter in letters if letter["message_id"] == "refused-1")
            (full,) = ask(config, "show", str(refused["id"]))
            assert full["payload"]["event_id"] == "refused-1"
            assert full["fbtrace_id"]
            assert full["fix"]

            (planned,) = ask(config, "requeue", "--all", "--dry-run")
            assert len(ask(config, "list")) == 4
            (done,) = ask(config, "requeue", "--all", "--yes")
            assert {**planned, "dry_run": False} == done
            assert done["requeued"] == 2
            assert [(each["reason"], each["count"]) for each in done["refused"]] == [("not_requeueable", 2)]
            (discarded,) = ask(config, "discard", "--reason", "missing_value", "--yes")
            assert discarded == {"dry_run": False, "discarded": 2}
            assert ask(config, "list") == []
            if is_served:
                ledger, rows = drain(gateway), gateway.read_api("/api/audit")
        if not is_served:
            with running("serve", "--config", str(config), folder=tmp_path) as gateway:
                ledger, rows = drain(gateway), gateway.read_api("/api/audit")
    assert [(row["actor"], row["action"], row["after"]) for row in rows] == [
        ("command line", "dead_letters.discarded", {"discarded": 2, "filter": {"reason": "missing_value"}}),
        ("command line", "dead_letters.requeued", {"requeued": 2, "filter": {}}),
    ]
    assert ledger["events"]["delivered"] == 3
    assert sum(ledger["events"]["rejected"].values()) == 2
    assert (ledger["imbalance"], ledger["dead_letter_imbalance"]) == (0, 0)


def test_what_people_see_fits_a_terminal(tmp_path: Path) -> None:
    """Tables of at most 80 columns that name the reason, Meta's as Meta's, and what to do."""
    with running("emulator", "--port", "0", folder=tmp_path) as meta:
        config = write_configuration(tmp_path, meta.announced["url"])
        with running("serve", "--config", str(config), folder=tmp_path) as gateway:
            fill(gateway, meta)
            status = run("status", "--config", str(config), folder=tmp_path)
            listed = run("dead-letters", "list", "--config", str(config), folder=tmp_path).stdout.decode()
            (first,) = ask(config, "list", "--reason", "missing_value", "--limit", "1")
            shown = run(
                "dead-letters", "show", str(first["id"]), "--config", str(config), folder=tmp_path
            ).stdout.decode()
            planned = run("dead-letters", "requeue", "--all", "--dry-run", "--config", str(config), folder=tmp_path)
            later = gateway.read_api("/api/ledger?source=website&since=2099-01-01T00:00:00Z")
    assert (later["events"]["accepted"], later["imbalance"]) == (0, 0)
    counted = status.stdout.decode()
    assert max(len(line) for line in (listed + shown + counted).splitlines()) <= 80
    assert status.returncode == 0
    assert re.search(r"main-pixel +5 +1 +0 +4 +0 +0", counted)
    assert "The ledger balances" in counted
    assert "Meta 100/" in listed
    assert "missing_value" in listed
    assert "What to do" in shown
    assert re.search(r"2 would wait again.*2 stay: not_requeueable", planned.stdout.decode(), re.DOTALL)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["requeue"], "name the dead letters"),
        (["discard", "1", "--all"], "name the dead letters"),
        (["list", "--since", "yesterday"], "--since: yesterday is neither a span"),
        (["show", "1"], "there is no dead letter 1"),
    ],
)
def test_wrong_use_is_one_sentence(tmp_path: Path, arguments: list[str], message: str) -> None:
    """Nothing happens by leaving something out."""
    config = write_configuration(tmp_path, "http://127.0.0.1:9")
    with DataFolder(tmp_path / "data"):
        pass
    ended = run("dead-letters", *arguments, "--config", str(config), folder=tmp_path)
    assert ended.returncode in {1, 2}
    assert message in read_error(ended)


def test_a_filter_without_a_person_needs_yes(tmp_path: Path) -> None:
    """A script that names a filter is told how many it concerns, and changes nothing."""
    with running("emulator", "--port", "0", folder=tmp_path) as meta:
        config = write_configuration(tmp_path, meta.announced["url"])
        with running("serve", "--config", str(config), folder=tmp_path) as gateway:
            fill(gateway, meta)
            ended = run("dead-letters", "discard", "--all", "--config", str(config), folder=tmp_path)
            assert (ended.returncode, "concerns 4 dead letters" in read_error(ended)) == (2, True)
            assert len(ask(config, "list")) == 4


def test_a_folder_that_another_process_holds_is_left_alone(tmp_path: Path) -> None:
    """When it is no gateway that could be asked: exit 3 and who holds it."""
    config = write_configuration(tmp_path, "http://127.0.0.1:9")
    code = f"""
import sys
from pathlib import Path
from signalpost.data_folder import DataFolder
with DataFolder(Path({str(tmp_path / "data")!r})):
    print(flush=True)
    sys.stdin.read()
"""
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        ended = run("dead-letters", "discard", "--all", "--yes", "--config", str(config), folder=tmp_path)
        assert ended.returncode == 3
        assert f"already running (pid {holder.pid})" in read_error(ended)
