"""`signalpost map`: JSON Lines of calls in, JSON Lines of what they would send out, and nothing sent."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.commands import read_error, run

ORDER = {"type": "track", "userId": "u1", "event": "Order Completed", "messageId": "m1", "properties": {"revenue": 5}}
ARGUMENTS = ("--destination", "facebook-conversions-api", "--settings", "settings.json")


@pytest.fixture(autouse=True)
def settings(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text('{"pixel_id": "1234567890"}')


def lines_of(output: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


def test_a_mapped_a_discarded_and_an_invalid_call(tmp_path: Path) -> None:
    """Each line has its own answer, in the order given; all were JSON, so the exit code is 0."""
    calls = [ORDER, {**ORDER, "messageId": "m2", "properties": {}}, {**ORDER, "userId": None}]
    text = "\n".join(json.dumps(call) for call in calls).encode()
    ended = run("map", *ARGUMENTS, "--received-at", "2026-11-21T12:00:00Z", folder=tmp_path, given=text)
    mapped, discarded, invalid = lines_of(ended.stdout)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert mapped["message_id"] == "m1"
    assert mapped["results"][0]["status"] == "mapped"
    assert mapped["results"][0]["dataset_id"] == "1234567890"
    assert mapped["results"][0]["server_event"]["event_name"] == "Purchase"
    assert mapped["results"][0]["server_event"]["event_time"] == 1_795_262_400
    assert mapped["results"][0]["warnings"] == ["missing_client_user_agent", "missing_event_source_url"]
    assert discarded == {
        "message_id": "m2",
        "results": [
            {
                "status": "discarded",
                "code": "MESSAGE_REJECTED",
                "reason": "missing_value",
                "message": "A Purchase needs a numeric value: send revenue, total or value.",
            }
        ],
    }
    assert invalid == {
        "message_id": None,
        "error": {"code": "no_user_anon_id", "message": "userId or anonymousId is required"},
    }


def test_a_file_and_standard_input_give_the_same(tmp_path: Path) -> None:
    """A file, -, and no name at all; calls without a messageId map to the same bytes each time."""
    text = json.dumps({**ORDER, "messageId": None}).encode()
    (tmp_path / "calls.jsonl").write_bytes(text)
    at = ("--received-at", "2026-11-21T12:00:00Z")
    outputs = [
        run("map", *file, *ARGUMENTS, *at, folder=tmp_path, given=given).stdout
        for file, given in ((("calls.jsonl",), b""), (("-",), text), ((), text))
    ]
    assert outputs[0] == outputs[1] == outputs[2] != b""
    assert lines_of(outputs[0])[0]["message_id"].startswith("line-")


def test_a_line_that_is_no_json(tmp_path: Path) -> None:
    """The others still come out; the exit code is 1 and standard error names the line, without quoting it."""
    good = json.dumps(ORDER).encode()
    ended = run("map", *ARGUMENTS, folder=tmp_path, given=good + b'\n{"email": "jo@example.com\n' + good)
    assert (ended.returncode, len(lines_of(ended.stdout))) == (1, 2)
    assert ended.stderr == b"error: line 2 is not valid JSON (byte 25)\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--destination", "tiktok"), "--destination: must be one of facebook-conversions-api, facebook-offline-con"),
        (("nowhere.jsonl", *ARGUMENTS), "nowhere.jsonl: cannot be read: No such file or directory"),
        ((*ARGUMENTS[:2], "--settings", "no.json"), "--settings: cannot read no.json: No such file or directory"),
        ((*ARGUMENTS, "--received-at", "soon"), "--received-at: soon is not an ISO 8601 date and time"),
    ],
)
def test_wrong_usage(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    """What the user got wrong is one sentence and exit code 2."""
    ended = run("map", *arguments, folder=tmp_path)
    assert ended.returncode == 2
    assert read_error(ended).startswith(message)


def test_wrong_settings(tmp_path: Path) -> None:
    """A setting that is wrong is named with what would be right."""
    (tmp_path / "settings.json").write_text('{"pixle_id": "1234567890"}')
    ended = run("map", *ARGUMENTS, folder=tmp_path)
    assert ended.returncode == 2
    assert read_error(ended) == "settings.json: pixle_id: there is no such setting; did you mean pixel_id?"


def test_a_reader_that_stops_early(tmp_path: Path) -> None:
    """`signalpost map … | head -1` ends without a traceback."""
    calls = "\n".join([json.dumps(ORDER)] * 5_000).encode()
    (tmp_path / "calls.jsonl").write_bytes(calls)
    command = [sys.executable, "-m", "signalpost", "map", "calls.jsonl", *ARGUMENTS]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""


def test_an_explanation_for_people(tmp_path: Path) -> None:
    """With --explain each field stands beside where it came from, personal data only masked or hashed."""
    call = {**ORDER, "context": {"traits": {"email": "jo.bloggs@example.com"}}}
    ended = run("map", *ARGUMENTS, "--explain", folder=tmp_path, given=json.dumps(call).encode())
    text = ended.stdout.decode()
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert "context.traits.email" in text
    assert "properties.revenue" in text
    assert "missing_event_source_url" in text
    assert "jo.bloggs" not in text


def test_an_explanation_for_machines(tmp_path: Path) -> None:
    """With --json as well it is one object a call, an invalid one too; a line that is no JSON still fails."""
    text = "\n".join([json.dumps(ORDER), json.dumps({**ORDER, "userId": None}), "{"]).encode()
    ended = run("map", *ARGUMENTS, "--explain", "--json", folder=tmp_path, given=text)
    explained, invalid = lines_of(ended.stdout)
    assert ended.returncode == 1
    assert b"line 3" in ended.stderr
    fields = {field["field"]: field for field in explained["explanations"][0]["fields"]}
    assert fields["custom_data.value"]["from"] == ["properties.revenue"]
    assert invalid["error"]["code"] == "no_user_anon_id"
