"""JSON Lines of calls become JSON Lines of what they would send, as if the gateway had received them."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from signalpost.map_lines import MappedLine, NotJson, map_lines, read_destination
from signalpost.mapping.destinations import build_destination
from signalpost.model.errors import ConfigError

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
CONVERSIONS = build_destination("facebook-conversions-api", {"pixel_id": "1234567890"})


def run(*lines: bytes, destination=CONVERSIONS):
    return [
        json.loads(line.output) if isinstance(line, MappedLine) else line
        for line in map_lines(lines, destination, NOON)
    ]


def track(**fields: object) -> bytes:
    return json.dumps({"type": "track", "userId": "u1", "event": "Seen", "messageId": "m", **fields}).encode()


def test_a_mapped_call():
    """The output names the call and holds the dataset, the server event and the warnings."""
    (line,) = run(track(context={"traits": {"email": "jo@example.com"}}))
    (result,) = line["results"]
    assert (line["message_id"], result["status"], result["dataset_id"]) == ("m", "mapped", "1234567890")
    assert list(result) == ["status", "dataset_id", "server_event", "warnings"]
    assert result["server_event"]["event_name"] == "Seen"
    assert result["server_event"]["event_time"] == int(NOON.timestamp())
    assert result["warnings"] == ["missing_client_user_agent", "missing_event_source_url"]
    assert "jo@example.com" not in json.dumps(line)


def test_a_discarded_call():
    """The output says why: the code, the exact reason, and a sentence."""
    (line,) = run(track(event="x" * 51))
    assert line["results"] == [
        {
            "status": "discarded",
            "code": "MESSAGE_REJECTED",
            "reason": "event_name_too_long",
            "message": "A custom event name can have at most 50 characters.",
        }
    ]


def test_several_results():
    """An event in several Offline tables has a result for each."""
    tables = {"event_sets": {"Order Completed": "11111"}, "lead_event_sets": {"Order Completed": "22222"}}
    offline = build_destination("facebook-offline-conversions", tables)
    (line,) = run(track(event="Order Completed", properties={"revenue": 1}), destination=offline)
    assert [result["dataset_id"] for result in line["results"]] == ["11111", "22222"]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b'{"type":"track","event":"x"}', "no_user_anon_id"),
        (b"7", "invalid_event"),
        (b"[]", "invalid_event"),
        (b"null", "invalid_event"),
        (b'{"userId":"u","event":"x"}', "unknown_type"),
        (track(properties={"x": "y" * (33 << 10)}), "event_too_large"),
        (b'{"a":' * 70 + b"1" + b"}" * 70, "too_deep"),
    ],
)
def test_a_call_that_the_gateway_would_refuse(line, code):
    """It is shown with the code that the gateway would answer; its line was read all the same."""
    (shown,) = run(line)
    assert (shown["message_id"], shown["error"]["code"], list(shown["error"])) == (None, code, ["code", "message"])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{", "line 2 is not valid JSON"),
        (b'{"email": "jo@example.com"', "line 2 is not valid JSON"),
        (b'{"a": NaN}', "line 2 is not valid JSON (byte 6)"),
        (b'{"a":"\xff"}', "line 2 is not valid UTF-8 (byte 6)"),
        (b"[" * 100_000, "line 2 is not valid JSON"),
    ],
)
def test_a_line_that_is_no_json(line, message):
    """It is told by its number, never quoted; the others still come out."""
    first, fault, last = run(track(), line, track())
    assert fault == NotJson(2, message)
    assert first == last


def test_what_the_gateway_reads_is_read():
    """A byte order mark, a lone surrogate and blank lines are no obstacle."""
    lines = run(b"\xef\xbb\xbf" + track(), b"\n", b"  \r\n", track(event="\ud83d") + b"\r\n")
    assert [line["results"][0]["server_event"]["event_name"] for line in lines] == ["Seen", "\ufffd"]


def test_the_output_repeats():
    """A call without a messageId gets a digest of its line: the same each time, different for different lines."""
    lines = [track(messageId=None), track(messageId=None, event="Other")]
    assert run(*lines) == run(*lines)
    first, second = (line["message_id"] for line in run(*lines))
    assert first != second
    assert first.startswith("line-")
    assert run(lines[0] + b"\n")[0]["message_id"] == first


def test_settings_from_a_file(tmp_path):
    """A JSON object of settings, checked like those of signalpost.toml."""
    file = tmp_path / "settings.json"
    file.write_text('{"pixel_id": "1234567890", "value_field": "value"}')
    assert read_destination("facebook-conversions-api", file).settings.value_field == "value"
    assert read_destination("facebook-conversions-api", None).settings.pixel_id == ""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"--settings: cannot read .*: No such file"),
        ("{", r"--settings: .* is not valid JSON"),
        ("[]", r"--settings: .* must hold a JSON object"),
        ('{"pixel_id": 1}', r"settings\.json: pixel_id: must be text"),
        ('{"pixle_id": "1"}', r"settings\.json: pixle_id: there is no such setting; did you mean pixel_id\?"),
    ],
)
def test_wrong_settings(tmp_path, content, message):
    """The message names the option or the key."""
    file = Path(tmp_path / "settings.json")
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigError, match=message):
        read_destination("facebook-conversions-api", file)


def test_an_unknown_destination_type():
    """The message lists those that there are."""
    with pytest.raises(ConfigError, match=r"--destination: must be one of facebook-conversions-api, .*, not tiktok"):
        read_destination("tiktok", None)
