"""`signalpost import` against a running gateway and a local Meta: every row once, whatever happens on the way."""

import csv
import json
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests

from tests.acceptance.commands import read_error, run, run_in_terminal
from tests.acceptance.processes import WRITE_KEY, drain, read_json, running

DATASET = "2233445566778899"
ROWS = 20_000
KILLS = 4
IN_DOUBT = 1_000
"""Rows that a crash may leave so."""


@contextmanager
def running_gateway(folder: Path):
    """A gateway whose source feeds an Offline Conversions destination, and its Meta."""
    with running("emulator", "--port", "0", folder=folder) as emulator:
        config = folder / "signalpost.toml"
        config.write_text(
            f"""
            [server]
            host = "127.0.0.1"
            port = 0
            console_port = 0
            data_dir = "{folder / "data"}"
            [meta]
            base_url = "{emulator.announced["url"]}"
            [delivery]
            linger_seconds = 0.05
            [[sources]]
            name = "stores"
            write_keys = ["{WRITE_KEY}"]
            destinations = ["offline"]
            [[destinations]]
            name = "offline"
            type = "facebook-offline-conversions"
            access_token = "EMULATOR_TOKEN"
            event_sets = {{ "Order Completed" = "{DATASET}" }}
            """
        )
        with running("serve", "--config", str(config), folder=folder) as gateway:
            yield gateway, emulator


def write_sales(file: Path, rows: int) -> None:
    now = datetime.now(UTC)
    with file.open("w") as stream:
        stream.write("order number,date,email,total,currency\n")
        for number in range(rows):
            at = now - timedelta(days=1, seconds=number % 1000)
            stream.write(f"R-{number},{at:%Y-%m-%d %H:%M:%S},customer{number}@example.com,{number % 90 + 1}.50,EUR\n")


def read_ledger(emulator) -> Counter:
    """How often the local Meta accepted each event."""
    text = requests.get(f"{emulator.announced['url']}/_emulator/ledger?format=jsonl", timeout=60).text
    return Counter({row["event_id"]: row["accepted"] for row in map(json.loads, text.splitlines())})


def to(gateway):
    return ("--write-key", WRITE_KEY, "--url", gateway.announced["tracking_url"])


def test_rows_reach_meta_and_the_others_are_told(tmp_path: Path) -> None:
    """Good rows are delivered with the file's times; refused ones are in a file that can be mended and imported."""
    sold = datetime.now(UTC) - timedelta(days=50)
    rows = [
        "Bestellnummer;Datum;E-Mail;Betrag",
        f"R-1;{sold:%d.%m.%Y %H:%M};ada@example.com;39,95 €",
        f"R-2;{sold:%d.%m.%Y %H:%M};;12,00 €",
        "R-3;12.01.2020;old@example.com;5,00 €",
    ]
    (tmp_path / "sales.csv").write_text("\n".join(rows), encoding="utf-8-sig")
    with running_gateway(tmp_path) as (gateway, emulator):
        ended = run("import", "sales.csv", *to(gateway), "--yes", "--timezone", "Europe/Berlin", folder=tmp_path)
        assert ended.returncode == 1
        told = ended.stdout.decode()
        assert "3 rows: 1 accepted, 2 refused." in told
        assert "mend the rows in sales.csv.rejected.csv" in told
        with (tmp_path / "sales.csv.rejected.csv").open(encoding="utf-8-sig") as stream:
            refused = list(csv.DictReader(stream, delimiter=";"))
        assert [(row["signalpost_row"], row["signalpost_reason"].partition(":")[0]) for row in refused] == [
            ("3", "no_match_key"),
            ("4", "too_old"),
        ]
        assert refused[0]["Bestellnummer"] == "R-2"
        drain(gateway)
        (event,) = read_json(f"{emulator.announced['url']}/_emulator/events")["events"]
        sent = event["body"]
        assert (sent["event_name"], sent["action_source"]) == ("Purchase", "physical_store")
        assert sent["custom_data"] == {"value": 39.95, "currency": "EUR", "order_id": "R-1"}
        berlin = sold.replace(second=0, microsecond=0) - timedelta(hours=1)
        assert abs(sent["event_time"] - berlin.timestamp()) <= 3600  # one hour more while it is summer there

        again = run("import", "sales.csv", *to(gateway), "--yes", "--timezone", "Europe/Berlin", folder=tmp_path)
        assert "was imported completely" in again.stdout.decode()
        (tmp_path / "sales.csv").write_text("\n".join([*rows, rows[1]]), encoding="utf-8-sig")
        changed = run("import", "sales.csv", *to(gateway), "--yes", folder=tmp_path)
        assert "has changed since it was imported" in read_error(changed)
        assert read_ledger(emulator).total() == 1


def test_killed_and_started_again(tmp_path: Path) -> None:
    """SIGKILL in the middle, again and again; then it goes on: every row at Meta once, and nothing is counted twice."""
    write_sales(tmp_path / "sales.csv", ROWS)
    with running_gateway(tmp_path) as (gateway, emulator):
        command = [sys.executable, "-m", "signalpost", "import", "sales.csv", *to(gateway), "--yes", "--json"]
        noted = 0
        for _ in range(KILLS):
            with subprocess.Popen(command, cwd=tmp_path) as importer:
                noted = wait_for_rows(tmp_path, noted + ROWS // (2 * KILLS))
                importer.kill()
            assert noted < ROWS
        ended = run(*command[3:], folder=tmp_path)
        assert ended.returncode == 0, ended.stderr
        told = json.loads(ended.stdout)
        assert (told["rows"], told["refused"]) == (ROWS, 0)
        assert told["accepted"] + told["duplicates"] == ROWS
        assert told["duplicates"] <= KILLS * IN_DOUBT  # known by their ids
        ledger = drain(gateway, timeout_seconds=120)
        assert ledger["events"]["delivered"] == ROWS
        received = read_ledger(emulator)
        assert len(received) == ROWS
        assert set(received.values()) == {1}


def test_interrupted_by_hand(tmp_path: Path) -> None:
    """Ctrl-C: a sentence that says how to go on, and what the gateway has taken is not sent as new."""
    write_sales(tmp_path / "sales.csv", ROWS)
    with running_gateway(tmp_path) as (gateway, _):
        command = [sys.executable, "-m", "signalpost", "import", "sales.csv", *to(gateway), "--yes", "--json"]
        with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as importer:
            noted = wait_for_rows(tmp_path, 1_000)
            importer.send_signal(signal.SIGINT)
            _, told = importer.communicate(timeout=60)
        assert importer.returncode == 1
        assert told == "error: interrupted; run the same command again, and it goes on where it was\n"
        assert noted < ROWS
        ended = json.loads(run(*command[3:], folder=tmp_path).stdout)
        assert (ended["rows"], ended["accepted"] + ended["duplicates"]) == (ROWS, ROWS)
        assert ended["duplicates"] <= IN_DOUBT


def wait_for_rows(folder: Path, rows: int) -> int:
    """Until the progress file says so many are done; how many then."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for file in folder.glob("sales.csv.import-*"):
            lines = file.read_bytes().split(b"\n")[:-1]
            done = json.loads(lines[-1]).get("rows", 0) if lines else 0
            if done >= rows:
                return int(done)
        time.sleep(0.005)
    raise AssertionError("the import does not come on")


@pytest.mark.parametrize("shown", [(), ("--json",)], ids=["text", "json"])
def test_a_dry_run_sends_nothing(tmp_path: Path, shown) -> None:
    """It needs no gateway; it shows calls, what would be refused, and by what people can be matched."""
    write_sales(tmp_path / "sales.csv", 20)
    with (tmp_path / "sales.csv").open("a") as stream:
        stream.write("R-x,,nobody@example.com,1,EUR\n")
    (tmp_path / "settings.json").write_text(json.dumps({"event_sets": {"Order Completed": DATASET}}))
    ended = run("import", "sales.csv", "--dry-run", *shown, folder=tmp_path)
    mapped = run("import", "sales.csv", "--dry-run", "--settings", "settings.json", *shown, folder=tmp_path)
    assert (ended.returncode, mapped.returncode) == (1, 1)
    assert {file.name for file in tmp_path.iterdir()} == {"sales.csv", "settings.json"}
    if not shown:
        assert "21 rows: 20 would be sent, 1 would not." in ended.stdout.decode()
        assert "customer0@example.com" not in mapped.stdout.decode()
        assert max(map(len, ended.stdout.decode().splitlines())) <= 80
        return
    *rows, summary = map(json.loads, ended.stdout.splitlines())
    assert len(rows) == 21
    assert rows[0]["call"]["context"]["traits"]["email"] == "customer0@example.com"
    assert rows[-1]["refused"]["code"] == "missing_time"
    assert (summary["sendable"], summary["refused"], summary["match_keys"]["em"]) == (20, {"missing_time": 1}, 20)
    first = json.loads(mapped.stdout.splitlines()[0])
    (result,) = first["results"]
    assert (result["status"], result["dataset_id"]) == ("mapped", DATASET)


def test_what_is_asked_and_told(tmp_path: Path) -> None:
    """One sentence each; nothing is sent without a yes."""
    write_sales(tmp_path / "sales.csv", 3)
    (tmp_path / "odd.csv").write_text("email,date,total\na@b.co,03/04/2026,5\n")
    to_nowhere = ("--write-key", WRITE_KEY, "--url", "http://127.0.0.1:1")
    expected = {
        ("sales.csv",): "--write-key: is needed to send anything",
        ("sales.csv", *to_nowhere, "--yes"): "http://127.0.0.1:1 cannot be reached",
        ("odd.csv", *to_nowhere): "could begin with the day or the month",
        ("odd.csv", *to_nowhere, "--dates", "european"): "--dates: must be day-first or month-first",
        ("none.csv", *to_nowhere): "none.csv: cannot be read",
        ("sales.csv", *to_nowhere, "--format", "xlsx"): "--format: must be one of csv, tsv",
    }
    for arguments, message in expected.items():
        ended = run("import", *arguments, folder=tmp_path)
        assert ended.returncode in {1, 2}
        assert message in read_error(ended), arguments
    unasked = run("import", "sales.csv", *to_nowhere, folder=tmp_path)
    assert unasked.returncode == 2
    assert "add --yes, or --columns FILE" in unasked.stderr.decode()
    assert "E-mail address" in unasked.stdout.decode()


@pytest.mark.parametrize(
    ("answer", "exit_code", "last"),
    [("y\n", 0, "3 accepted"), ("n\n", 1, "Nothing was sent."), ("\n", 1, "Nothing was sent.")],
    ids=["yes", "no", "enter"],
)
def test_a_person_is_asked(tmp_path: Path, answer, exit_code, last) -> None:
    """In a terminal of 80 columns: what each column means, then the question; only a yes sends anything."""
    write_sales(tmp_path / "sales.csv", 3)
    with running_gateway(tmp_path) as (gateway, emulator):
        ended, shown = run_in_terminal(
            "import", "sales.csv", *to(gateway), folder=tmp_path, question="[y/N]:", answer=answer
        )
        asked, _, told = shown.partition("[y/N]:")
        assert (ended, last in told) == (exit_code, True), shown
        assert "Time of the event  date" in asked
        assert "Import 3 rows into http://127.0.0.1" in asked
        assert max(map(len, re.split("[\r\n]", shown))) <= 80
        assert "customer0@" not in shown
        if not exit_code:
            drain(gateway)
        assert len(read_ledger(emulator)) == (0 if exit_code else 3)
        assert bool(list(tmp_path.glob("sales.csv.import-*"))) == (not exit_code)


def test_columns_written_edited_and_used(tmp_path: Path) -> None:
    """What was guessed can be edited as a file; standard input works like a file."""
    write_sales(tmp_path / "sales.csv", 3)
    run("import", "sales.csv", "--write-columns", "columns.toml", folder=tmp_path)
    plan = (tmp_path / "columns.toml").read_text()
    assert 'email = "email"' in plan
    (tmp_path / "columns.toml").write_text(plan.replace("Order Completed", "Visited Showroom"))
    content = (tmp_path / "sales.csv").read_bytes()
    ended = run("import", "-", "--columns", "columns.toml", "--dry-run", "--json", folder=tmp_path, given=content)
    assert [json.loads(line)["call"]["event"] for line in ended.stdout.splitlines()[:-1]] == ["Visited Showroom"] * 3
