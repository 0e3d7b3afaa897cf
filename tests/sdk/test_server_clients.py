"""Real SDKs, as programs of their own, against a real gateway: the snippets of docs/sdks, run as they stand."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.sdk.lines import Line
from tests.sdk.recording_proxy import REFUSALS, Exchange, Trouble, recording_proxy, split_by_status
from tests.sdk.snippets import Snippet, read_snippets, run

pytestmark = pytest.mark.needs_sdk_clients

SNIPPETS = read_snippets()
ALL_TYPES = ["alias", "group", "identify", "page", "screen", "track"]
CLIENTS = [
    "@rudderstack/rudder-sdk-node",
    "@segment/analytics-node",
    "analytics-node",
    "analytics-python",
    "rudder-sdk-python",
    "segment-analytics-python",
]
JITSU = "@jitsu/js"
STANDARD, BATCHING = "@segment/analytics-next", "@segment/analytics-next-batching"
SCRIPT_TAG = "@segment/analytics-next-script"
EMAIL_HASH = hashlib.sha256(b"jo@example.com").hexdigest()
USER_HASH = hashlib.sha256(b"u1").hexdigest()


def send(client: str, line: Line, folder: Path, trouble: Trouble | None = None, key: str = "") -> list[Exchange]:
    """Run the client's snippet to its end; what was said on the way."""
    is_final = bool(key) or trouble in {"invalid", "too_large"}  # some clients end with an error then
    return send_snippet(SNIPPETS[client], line, folder, trouble, key, may_fail=is_final)


def send_snippet(
    snippet: Snippet, line: Line, folder: Path, trouble: Trouble | None = None, key: str = "", *, may_fail: bool = False
) -> list[Exchange]:
    with recording_proxy(line.gateway_url, trouble) as proxy:
        ended = run(snippet, proxy.url, key or line.write_key, folder)
        assert may_fail or ended.returncode == 0, ended.stderr
        return proxy.posts


def list_ids(exchanges: Sequence[Exchange]) -> list[str]:
    return sorted(call["messageId"] for exchange in exchanges for call in exchange.calls)


def check_arrival(line: Line, calls: Sequence[dict[str, Any]]) -> None:
    """Each call counts once, the purchase is at Meta once, and it is the right person's."""
    ledger = line.drain(len(calls))
    events = ledger["events"]
    assert (events["accepted"], events["delivered"], ledger["imbalance"]) == (len(calls), 1, 0)
    assert events["filtered"] == {"UNSUPPORTED_EVENT_TYPE": len(calls) - 1}
    (stored,) = line.read_stored()
    (track,) = [call for call in calls if call["type"] == "track"]
    body = stored["body"]
    assert (body["event_id"], body["event_name"]) == (track["messageId"], "Purchase")
    assert (body["user_data"]["em"], body["user_data"]["external_id"]) == (EMAIL_HASH, USER_HASH)
    assert (body["custom_data"]["value"], body["custom_data"]["currency"]) == (39.95, "EUR")


@pytest.mark.parametrize("client", CLIENTS)
def test_every_call_arrives_once(client: str, line: Line, tmp_path: Path) -> None:
    """One flush of every call type: each call is sent once, accepted, and of the right user and type."""
    exchanges = send(client, line, tmp_path)
    calls = [call for exchange in exchanges for call in exchange.calls]
    assert {exchange.status for exchange in exchanges} == {200}
    assert sorted(call["type"] for call in calls) == ALL_TYPES
    assert {call["userId"] for call in calls} == {"u1"}
    assert [exchange.receipt for exchange in exchanges] == [(len(exchange.calls), 0, 0) for exchange in exchanges]
    check_arrival(line, calls)


@pytest.mark.parametrize("trouble", ["unavailable", "limited"])
@pytest.mark.parametrize("client", CLIENTS)
def test_told_to_wait_once(client: str, trouble: Trouble, line: Line, tmp_path: Path) -> None:
    """After one 503 or 429 with Retry-After the client sends again; nothing is lost, and nothing is doubled."""
    exchanges = send(client, line, tmp_path, trouble)
    refused, taken = split_by_status(exchanges, REFUSALS[trouble][0])
    assert {exchange.status for exchange in taken} == {200}
    assert set(list_ids([refused])) <= set(list_ids(taken))
    assert sum(duplicates for _, duplicates, _ in (exchange.receipt for exchange in taken)) == 0
    check_arrival(line, [call for exchange in taken for call in exchange.calls])


@pytest.mark.parametrize("client", CLIENTS)
def test_answer_lost_once(client: str, line: Line, tmp_path: Path) -> None:
    """When the connection breaks after the commit the client sends again, and every repeat is known for what it is."""
    exchanges = send(client, line, tmp_path, "cut")
    cut, taken = split_by_status(exchanges, 0)
    assert {exchange.status for exchange in taken} == {200}
    (repeat,) = [exchange for exchange in taken if list_ids([exchange]) == list_ids([cut])]
    assert repeat.receipt == (0, len(cut.calls), 0)
    check_arrival(line, [call for exchange in taken for call in exchange.calls])


@pytest.mark.parametrize("client", CLIENTS)
def test_unknown_write_key(client: str, line: Line, tmp_path: Path) -> None:
    """A 401 is final: no call is sent a second time."""
    exchanges = send(client, line, tmp_path, key="wk_nobody_0123456789abcdef")
    assert {exchange.status for exchange in exchanges} == {401}
    ids = list_ids(exchanges)
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("trouble", ["invalid", "too_large"])
@pytest.mark.parametrize("client", CLIENTS)
def test_refused_once(client: str, trouble: Trouble, line: Line, tmp_path: Path) -> None:
    """A 400 and a 413 are final too: what met one is not sent again."""
    refused, taken = split_by_status(send(client, line, tmp_path, trouble), REFUSALS[trouble][0])
    assert not set(list_ids([refused])) & set(list_ids(taken))


def test_zipped(line: Line, tmp_path: Path) -> None:
    """Segment's Python client with the switch that its page names."""
    snippet = SNIPPETS["segment-analytics-python"]
    zipped = replace(snippet, code=snippet.code.replace("\nperson", "\nanalytics.gzip = True\nperson", 1))
    exchanges = send_snippet(zipped, line, tmp_path)
    assert {exchange.headers["content-encoding"] for exchange in exchanges} == {"gzip"}
    check_arrival(line, [call for exchange in exchanges for call in exchange.calls])


def test_jitsu(line: Line, tmp_path: Path) -> None:
    """Jitsu's client sends each call by itself, its key in X-Write-Key before a colon, and a mask in the body."""
    exchanges = send(JITSU, line, tmp_path)
    calls = [call for exchange in exchanges for call in exchange.calls]
    assert [exchange.path for exchange in exchanges] == [f"/api/s/{call['type']}" for call in calls]
    assert {exchange.headers["x-write-key"] for exchange in exchanges} == {f"{line.write_key}:-"}
    assert line.write_key not in {call["writeKey"] for call in calls}
    assert {exchange.status for exchange in exchanges} == {200}
    assert sorted(call["type"] for call in calls) == ["group", "identify", "page", "track"]
    assert {call["userId"] for call in calls} == {"u1"}
    check_arrival(line, calls)


def test_jitsu_never_sends_again(line: Line, tmp_path: Path) -> None:
    """As its page warns: the call that meets a 503 is lost at the client, and only that one."""
    refused, *taken = send(JITSU, line, tmp_path, "unavailable")
    assert (refused.status, {exchange.status for exchange in taken}) == (503, {200})
    assert list_ids([refused])[0] not in list_ids(taken)
    check_arrival(line, [call for exchange in taken for call in exchange.calls])


def test_every_snippet_is_run() -> None:
    """Each snippet that a page calls run by these tests is."""
    assert sorted(SNIPPETS) == sorted([*CLIENTS, JITSU, STANDARD, SCRIPT_TAG, BATCHING])
