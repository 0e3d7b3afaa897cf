"""The main job over real sockets: Segment's client -> gateway process -> local Meta process."""

import json
import time
from pathlib import Path

import requests
from segment.analytics import Client

from tests.acceptance.commands import run
from tests.acceptance.processes import PIXEL_ID, WRITE_KEY, drain, read_json, running, write_configuration

GOLDEN = Path(__file__).parents[1] / "mapping/golden/facebook-conversions-api/product_added/monopoly.json"


def test_the_monopoly_event_arrives_once_and_as_documented(tmp_path: Path) -> None:
    """Segment's own example, sent by Segment's own client, is at Meta once and equal to the worked example."""
    case = json.loads(GOLDEN.read_text())
    call, expected = case["segment_event"], case["results"][0]["server_event"]
    with running("emulator", "--port", "0", folder=tmp_path) as meta:
        meta_url = meta.announced["url"]
        config = write_configuration(tmp_path, meta_url)
        with running("serve", "--config", str(config), folder=tmp_path) as gateway:
            failures: list[Exception] = []
            began = int(time.time())
            client = Client(
                WRITE_KEY,
                host=gateway.announced["tracking_url"],
                upload_interval=0.05,
                on_error=lambda error, _: failures.append(error),
            )
            client.track(
                call["userId"], call["event"], call["properties"], call["context"], message_id=call["messageId"]
            )
            client.flush()
            client.join()
            assert not failures
            assert read_json(f"{meta_url}/_emulator/wait?count=1&timeout=10")["reached"]
            ledger = drain(gateway)
            (asked_for,) = gateway.read_api(f"/api/events?message_id={call['messageId']}")["events"]
        arguments = ("find", call["messageId"], "--json", "--config", str(config))
        (found,) = json.loads(run(*arguments, folder=tmp_path).stdout)["events"]
        stored = read_json(f"{meta_url}/_emulator/events")["events"]
        asked = read_json(f"{meta_url}/_emulator/requests")["requests"]

    assert len(stored) == 1
    received = stored[0]["body"]
    assert began - 1 <= received["event_time"] <= time.time()
    assert received == {**expected, "event_time": received["event_time"]}
    assert list(received) == list(expected)
    assert stored[0]["dataset_id"] == PIXEL_ID
    assert [(request["path"], request["status"]) for request in asked] == [(f"/v26.0/{PIXEL_ID}/events", 200)]
    assert (ledger["events"]["accepted"], ledger["events"]["delivered"], ledger["imbalance"]) == (1, 1, 0)
    assert (found["state"], found["destination_id"], found["fbtrace_id"]) == (
        "delivered",
        "main-pixel",
        asked[0]["fbtrace_id"],
    )
    assert {**asked_for, "received_at": 0, "ended_at": 0, "event_time": 0} == {
        **found,
        "received_at": 0,
        "ended_at": 0,
        "event_time": 0,
    }


def test_a_call_sent_twice_becomes_one_conversion(tmp_path: Path) -> None:
    """The same messageId is answered with 200 both times and delivered once, across a restart of the gateway."""
    with running("emulator", "--port", "0", folder=tmp_path) as meta:
        meta_url = meta.announced["url"]
        config = write_configuration(tmp_path, meta_url)
        call = {"messageId": "once", "userId": "u1", "event": "Signed Up"}
        answers = []
        for _ in range(2):
            with running("serve", "--config", str(config), folder=tmp_path) as gateway:
                url = f"{gateway.announced['tracking_url']}/v1/track"
                answers += [requests.post(url, json=call, auth=(WRITE_KEY, ""), timeout=10).json() for _ in range(2)]
                assert read_json(f"{meta_url}/_emulator/wait?count=1&timeout=10")["reached"]
        totals = read_json(f"{meta_url}/_emulator/ledger")["totals"]
    assert [(answer["accepted"], answer["duplicates"]) for answer in answers] == [(1, 0), (0, 1), (0, 1), (0, 1)]
    assert totals["accepted"] == 1
