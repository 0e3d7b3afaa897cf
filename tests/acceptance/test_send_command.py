"""`signalpost send`: calls from a file to a running gateway."""

import json
from pathlib import Path

from tests.acceptance.commands import read_error, run
from tests.acceptance.processes import WRITE_KEY, running, write_configuration

CALLS = [{"type": "track", "userId": "u1", "event": "Seen", "messageId": f"m{number}"} for number in range(3)]


def test_files_of_every_form(tmp_path: Path) -> None:
    """JSON Lines, an array and a batch object are sent; the sums are printed, and a rejected call is exit code 1."""
    files = {
        "lines": "\n".join(json.dumps(call) for call in CALLS),
        "array": json.dumps([*CALLS[:1], {"type": "track", "event": "x"}]),
        "batch": json.dumps({"batch": CALLS, "integrations": {"All": False}}),
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    config = write_configuration(tmp_path, "http://127.0.0.1:1")
    with running("serve", "--config", str(config), folder=tmp_path) as gateway:
        to = ("--write-key", WRITE_KEY, "--url", gateway.announced["tracking_url"])
        lines, array, batch = (run("send", name, *to, folder=tmp_path) for name in files)
        for_machines = run("send", "array", *to, "--json", folder=tmp_path)
        wrong_key = run("send", "lines", "--write-key", "wk_wrong_0123456789", "--url", to[3], folder=tmp_path)
    assert (lines.returncode, lines.stdout) == (0, b"3 accepted, 0 duplicates, 0 rejected\n")
    assert (array.returncode, array.stdout.decode().splitlines()) == (
        1,
        [
            "0 accepted, 1 duplicates, 1 rejected",
            "  call 2: no_user_anon_id: userId or anonymousId is required",
        ],
    )
    assert (batch.returncode, batch.stdout) == (0, b"0 accepted, 3 duplicates, 0 rejected\n")
    assert json.loads(for_machines.stdout) == {
        "accepted": 0,
        "duplicates": 1,
        "rejected": [{"number": 2, "code": "no_user_anon_id", "message": "userId or anonymousId is required"}],
    }
    assert wrong_key.returncode == 1
    assert "answered 401: the write key is not known here" in read_error(wrong_key)


def test_what_cannot_be_sent(tmp_path: Path) -> None:
    """A gateway that is not there, and a file that can't be read, are one sentence and exit code 1."""
    (tmp_path / "calls.jsonl").write_text(json.dumps(CALLS[0]))
    (tmp_path / "broken.jsonl").write_text('{"a": 1}\n{"b": ')
    to = ("--write-key", WRITE_KEY, "--url", "http://127.0.0.1:1")
    expected = {
        "calls.jsonl": "http://127.0.0.1:1 cannot be reached",
        "broken.jsonl": "broken.jsonl: line 2 is not valid JSON",
        "nowhere.jsonl": "nowhere.jsonl: cannot be read: No such file or directory",
    }
    for name, message in expected.items():
        ended = run("send", name, *to, folder=tmp_path)
        assert ended.returncode == 1
        assert read_error(ended).startswith(message)
