"""`signalpost demo --once`: the whole product in one command, with nothing to configure."""

import json
import socket
from contextlib import ExitStack, suppress
from pathlib import Path

from tests.acceptance.commands import run

CALLS = [
    ("Products Searched", "Search", "delivered"),
    ("Product List Viewed", "ViewContent", "delivered"),
    ("Product Viewed", "ViewContent", "delivered"),
    ("Product Added", "AddToCart", "delivered"),
    ("Checkout Started", "InitiateCheckout", "delivered"),
    ("Order Completed", "Purchase", "delivered"),
    ("Newsletter Joined", "Newsletter Joined", "delivered"),
    ("Order Completed", "Purchase", "rejected"),
]


def test_what_a_person_sees(tmp_path: Path) -> None:
    """A line for each call with what became of it, the table that adds up, exit code 0, and nothing left behind."""
    ended = run("demo", "--once", folder=tmp_path)
    text = ended.stdout.decode()
    assert (ended.returncode, ended.stderr) == (0, b"")
    steps = [line for line in text.splitlines() if "accepted →" in line]
    assert len(steps) == len(CALLS)
    for step, (call, mapped_to, state) in zip(steps, CALLS, strict=True):
        assert f" {call} " in step
        assert f"→ {mapped_to} " in step
        assert f"→ {state}" in step
    assert steps[-1].endswith("rejected missing_value")
    assert "A Purchase needs a numeric value: send revenue, total or value." in text
    _, names, counts, *_ = [line for line in text[text.index("Where every event") :].splitlines() if line.strip()]
    assert dict(zip(names.split(), counts.split(), strict=True)) == {
        "accepted": "8",
        "delivered": "7",
        "filtered": "0",
        "rejected": "1",
        "expired": "0",
        "pending": "0",
    }
    assert "The local Meta holds 7 server events: everything is accounted for." in text
    assert list(tmp_path.iterdir()) == []


def test_machines_and_taken_ports(tmp_path: Path) -> None:
    """While the usual ports are taken it takes others; with --json each line is an object, the summary last."""
    with ExitStack() as stack:
        for port in (8080, 8081, 8090):
            with suppress(OSError):  # taken by somebody else already: just as well
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
        ended = run("demo", "--once", "--json", folder=tmp_path)
    *steps, summary = [json.loads(line) for line in ended.stdout.splitlines()]
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert [(step["call"], step["mapped_to"], step["state"]) for step in steps] == CALLS
    assert summary["complete"] is True
    assert summary["accepted_by_meta"] == summary["ledger"]["events"]["delivered"] == 7
    assert summary["ledger"]["imbalance"] == 0


def test_the_demo_leaves_a_real_gateway_alone(tmp_path: Path, monkeypatch) -> None:
    """Settings of a real gateway in the environment don't reach the demo: its data and its Meta are its own."""
    monkeypatch.setenv("SIGNALPOST_SERVER__DATA_DIR", str(tmp_path / "real"))
    monkeypatch.setenv("SIGNALPOST_META__BASE_URL", "https://graph.invalid")
    assert run("demo", "--once", folder=tmp_path).returncode == 0
    assert not (tmp_path / "real").exists()
