"""Memory and ledger: what is kept, what is counted, how repeats are judged, and how to wait for events."""

import asyncio
import json

import aiohttp
import pytest
from starlette.requests import Request

from signalpost.emulator.app import EmulatorSettings, running_emulator
from signalpost.emulator.control import build_control_routes
from signalpost.emulator.ledger import Ledger
from signalpost.emulator.store import EventStore


def fill(store: EventStore, count: int, dataset_id: str = "1") -> None:
    logged = store.log_request(received_at=0, method="POST", path="/")
    logged.dataset_id = dataset_id
    events = [{"event_name": "Lead", "event_time": 1, "event_id": f"id-{number}"} for number in range(count)]
    store.accept(events, [()] * count, logged, now=0)


async def test_event_by_seq(client, make_event):
    """A stored event keeps its body, its test code and its notes, and can be fetched alone."""
    await client.send(make_event(event_id=None), test_event_code="TEST1")
    event = await client.get("/events/1")
    assert event["body"] == make_event(event_id=None, event_time=event["event_time"])
    assert (event["test_event_code"], event["channel"], event["verdict"]) == ("TEST1", "server", "kept")
    assert [(note["rule"], note["field"]) for note in event["notes"]] == [("event_id_missing", "event_id")]
    assert "error" in await client.get("/events/2")


async def test_repeats(client, make_event):
    """The same name and id from the server twice is ambiguous: both are kept, and the repeat is counted."""
    await client.send(make_event(), make_event(event_id="EVENT-1"), make_event(event_name="Lead"))
    await client.send(make_event())
    events = (await client.get("/events"))["events"]
    assert [event["verdict"] for event in events] == ["kept", "kept", "kept", "ambiguous"]
    assert (events[3]["against"], events[3]["reason"]) == (1, "Meta does not promise to discard it")
    assert (await client.get("/ledger"))["totals"]["repeats"] == 1
    assert len((await client.get("/events", verdict="ambiguous"))["events"]) == 1


async def test_twin_in_one_batch(client, make_event):
    """A batch that holds its own twin has one repeat."""
    await client.send(make_event(), make_event())
    assert [event["verdict"] for event in (await client.get("/events"))["events"]] == ["kept", "ambiguous"]


async def test_same_id_in_another_dataset(client, make_event):
    """Datasets know nothing of each other."""
    await client.send(make_event(), dataset_id="1")
    await client.send(make_event(), dataset_id="2")
    assert (await client.get("/ledger"))["totals"]["repeats"] == 0


async def test_filters(client, make_event):
    """Events are filtered by dataset, name, id and test code, and read page by page."""
    await client.send(*[make_event(event_id=f"id-{number}") for number in range(5)])
    await client.send(make_event(event_name="Lead", event_id="lead"), dataset_id="7", test_event_code="T")

    async def seqs(**params):
        return [event["seq"] for event in (await client.get("/events", **params))["events"]]

    assert await seqs(event_name="Lead") == [6]
    assert await seqs(dataset_id="7") == [6]
    assert await seqs(event_id="id-3") == [4]
    assert await seqs(test_event_code="T") == [6]
    assert await seqs(event_name="Lead", dataset_id="8") == []
    assert await seqs(after_seq="4", limit="1") == [5]
    assert (await client.get("/events", limit=2))["next_after_seq"] == 2
    assert (await client.get("/events", limit="many"))["error"]


async def test_keep(make_event):
    """Only the last bodies are kept, while the ledger forgets nothing."""
    store = EventStore(keep=10)
    fill(store, 25)
    assert [stored.seq for stored in store.events] == list(range(16, 26))
    assert store.find_event(15) is None
    assert store.find_event(16).event_id == "id-15"
    assert store.ledger.count_ids() == 25


async def test_ledger_of_many(client):
    """The ledger lists a hundred thousand ids, by page and as a stream of lines."""
    fill(client.emulator.store, 100_000)
    page = await client.get("/ledger", limit=3, offset=99_998)
    assert page["event_ids"] == 100_000
    assert [row["event_id"] for row in page["rows"]] == ["id-99998", "id-99999"]
    assert page["next_offset"] is None
    async with client.session.get(f"{client.url}/_emulator/ledger", params={"format": "jsonl"}) as answer:
        lines = (await answer.read()).splitlines()
    assert len(lines) == 100_000
    assert json.loads(lines[7]) == {
        "dataset_id": "1",
        "event_name": "Lead",
        "event_id": "id-7",
        "received": 1,
        "accepted": 1,
        "refused": 0,
        "lost": 0,
    }


def test_counts_are_separate():
    """The four counts of an id never spill into each other."""
    ledger = Ledger()
    event = {"event_name": "Lead", "event_id": "x"}
    ledger.refuse("1", [event] * 70_000)
    ledger.lose("1", [event] * 3)
    ledger.leave_unanswered("1", [event])
    ledger.find_or_open("1", "Lead").accept("x")
    (row,) = ledger.list_rows("x")
    assert (row.received, row.accepted, row.refused, row.lost) == (70_002, 1, 70_000, 3)


async def test_requests(client, make_event):
    """Each request is recorded with its time, size, count, answer and trace id."""
    _, body, _ = await client.send(make_event(), make_event())
    request = await client.last_request()
    assert request["event_count"] == 2
    assert request["size_bytes"] > 500
    assert (request["status"], request["fbtrace_id"]) == (200, body["fbtrace_id"])
    assert json.loads(request["answer"]) == body
    assert request["path"] == "/v26.0/1234567890/events"
    assert len((await client.get("/requests", after_seq=1))["requests"]) == 0


async def test_wait(client, make_event):
    """A waiting test is answered when the last event it waits for is accepted, or when its time is over."""
    waiting = asyncio.create_task(client.get("/wait", count=2, timeout=5))
    await client.send(make_event())
    await client.send(make_event())
    assert await waiting == {"reached": True, "accepted": 2}
    assert await client.get("/wait", count=3, timeout=0.01) == {"reached": False, "accepted": 2}
    assert await client.get("/wait", count=1) == {"reached": True, "accepted": 2}


async def test_clock(client, make_event):
    """The clock can be set and advanced, and events are judged by it."""
    await client.control("/clock", {"now": "2026-11-01T12:00:00Z"})
    health = await client.get("/healthz")
    assert health["now"].startswith("2026-11-01T12:00:0")
    await client.control("/clock", {"advance": 3600})
    assert (await client.get("/healthz"))["now"].startswith("2026-11-01T13:00:0")
    assert (await client.send(make_event(event_time=1793538000)))[0] == 200
    assert (await client.control("/clock", {}))[0] == 400
    assert (await client.control("/clock", {"now": "soon"}))[0] == 400


async def test_profile_and_reset(client, make_event):
    """The profile can be switched; a reset goes back to the start and forgets everything."""
    await client.control("/profile", {"profile": "strict"})
    assert (await client.send(make_event(event_id=None)))[0] == 400
    assert (await client.control("/profile", {"profile": "loose"}))[0] == 400
    await client.control("/faults", {"fault": "slow"})
    await client.control("/reset")
    assert (await client.get("/healthz"))["profile"] == "observed"
    assert (await client.get("/faults"))["faults"] == []
    assert (await client.get("/requests"))["requests"] == []
    await client.send(make_event())
    assert (await client.get("/events"))["events"][0]["seq"] == 1


@pytest.mark.parametrize(
    ("address", "status"),
    [("127.0.0.1", 200), ("::1", 200), ("::ffff:127.0.0.1", 200), ("10.0.0.5", 403), ("2001:db8::1", 403), ("x", 403)],
)
async def test_loopback_only(emulator, address, status):
    """The control API answers this computer and refuses all others."""
    (show_health,) = [route for route in build_control_routes(emulator.state) if route.path == "/_emulator/healthz"]
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "client": (address, 1)}
    assert (await show_health.endpoint(Request(scope))).status_code == status


async def test_taken_port(emulator):
    """A port that is taken is an OSError of the caller."""
    port = int(emulator.url.rpartition(":")[2])
    with pytest.raises(OSError, match="in use"):
        async with running_emulator(EmulatorSettings(port=port)):
            pass


async def test_ipv6_address():
    """An IPv6 address stands in brackets."""
    async with running_emulator(EmulatorSettings(host="::1", port=0)) as running, aiohttp.ClientSession() as session:
        assert running.url.startswith("http://[::1]:")
        async with session.get(f"{running.url}/_emulator/healthz") as answer:
            assert answer.status == 200
