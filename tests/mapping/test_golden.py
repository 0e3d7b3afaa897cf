"""The golden cases: one small file each, readable by whoever knows the shop, and all of them true."""

import json
from pathlib import Path
from typing import Any

import pytest

import signalpost
from signalpost.map_lines import describe_result
from signalpost.model.timestamps import read_timestamp

GOLDEN = Path(__file__).parent / "golden"
CASES = sorted(GOLDEN.rglob("*.json"))


def _map(case: dict[str, Any], destination_type: str) -> list[dict[str, Any]]:
    received_at = read_timestamp(case["received_at"])
    assert received_at is not None
    request = signalpost.RequestContext(received_at=received_at, new_message_id=lambda: "made-here")
    event = signalpost.parse_call(case["segment_event"], request)
    assert isinstance(event, signalpost.SegmentEvent), event
    destination = signalpost.build_destination(destination_type, case["settings"])
    results = [describe_result(result) for result in signalpost.map_event(event, destination)]
    for result in results:
        if "server_event" in result:
            result["server_event"] = json.loads(result["server_event"].to_json())
    return json.loads(json.dumps(results))  # type: ignore[no-any-return]


@pytest.mark.parametrize("file", CASES, ids=lambda file: str(file.relative_to(GOLDEN).with_suffix("")))
def test_golden_case(file: Path) -> None:
    """A call maps to exactly what its golden file says, down to the order of the keys."""
    case = json.loads(file.read_text(encoding="utf-8"))
    assert case["why"].endswith(".")
    results = _map(case, file.relative_to(GOLDEN).parts[0])
    assert results == case["results"]
    for result, expected in zip(results, case["results"], strict=True):
        if "server_event" in expected:
            assert json.dumps(result["server_event"]) == json.dumps(expected["server_event"])
