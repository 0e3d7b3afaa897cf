"""Trouble on request: every row as a fault, every fault of the connection, and the four ways to ask."""

import asyncio
import json
import re
from pathlib import Path

import aiohttp
import msgspec
import pytest
from typer.testing import CliRunner

from signalpost.cli import app
from signalpost.emulator.app import EmulatorSettings, build_app, running_emulator
from signalpost.emulator.errors import read_error_rows
from signalpost.emulator.fault_effects import EFFECTS
from signalpost.emulator.faults import TRANSPORT_FAULTS, FaultMatch, FaultPlan, UnknownFaultError, read_faults_file

ROWS = read_error_rows()


def ask(fault: str) -> dict[str, str]:
    return {"X-Emulator-Fault": fault}


async def count(client, event_id="event-1") -> tuple[int, int, int, int]:
    ledger = await client.get("/ledger", event_id=event_id)
    return ledger["received"], ledger["accepted"], ledger["refused"], ledger["lost"]


def test_every_fault_has_an_effect():
    """The faults that are listed are the faults that exist."""
    assert set(TRANSPORT_FAULTS) == set(EFFECTS)


async def test_rows(client, make_event):
    """Each row answers with exactly its status, headers and body; only the trace id is fresh."""
    for row in ROWS.values():
        async with client.session.post(
            f"{client.url}/v26.0/1/events",
            json={"data": [make_event()]},
            headers={"Authorization": "Bearer EMULATOR_TOKEN", **ask(row.id)},
            allow_redirects=False,
        ) as answer:
            content = await answer.read()
        assert answer.status == row.http_status
        assert all(answer.headers[name] == value for name, value in row.headers.items())
        if isinstance(row.body, str):
            assert content.decode() == row.body
            assert ("Content-Type" in answer.headers) == ("Content-Type" in row.headers)
        else:
            sent = json.loads(content)
            for envelope in (sent, row.body):
                envelope.get("error", envelope).pop("fbtrace_id")
            assert sent == row.body
    assert client.emulator.store.accepted_count == 0
    received, accepted, refused, lost = await count(client)
    assert (received, accepted, refused, lost) == (len(ROWS), 0, len(ROWS), 0)


async def test_by_token(client, make_event):
    """A token EMULATOR_FAULT_<id> asks for a fault; for a fault of the connection it is otherwise a good token."""
    assert (await client.send(make_event(), token="EMULATOR_FAULT_service_unavailable"))[0] == 503
    assert (await client.send(make_event(), token="EMULATOR_FAULT_close_keepalive"))[0] == 200


async def test_unknown_by_header(client, make_event):
    """A header that names no fault is refused aloud, so that a misspelt test can't pass."""
    status, body, headers = await client.send(make_event(), headers=ask("nonsense"))
    assert (status, headers["X-Emulator-Rule"]) == (400, "fault_unknown")
    assert "nonsense" in body["error"]["error_user_msg"]


async def test_by_control(client, make_event):
    """A plan is armed with POST, listed with GET and disarmed with DELETE."""
    status, armed = await client.control("/faults", {"fault": "service_unavailable", "times": 1})
    assert status == 201
    assert (await client.send(make_event()))[0] == 503
    assert (await client.send(make_event()))[0] == 200
    (listed,) = (await client.get("/faults"))["faults"]
    assert (listed["fault_id"], listed["matched"], listed["fired"]) == (armed["fault_id"], 2, 1)
    async with client.session.delete(f"{client.url}/_emulator/faults/{armed['fault_id']}") as answer:
        assert answer.status == 200
    assert (await client.get("/faults"))["faults"] == []


@pytest.mark.parametrize(
    "order",
    [{"fault": "nonsense"}, {"fault": "slow", "time": 1}, {"fault": "poison", "params": {"as": "nonsense"}}, {}, []],
)
async def test_bad_order(client, order):
    """An order that makes no sense is refused with the reason."""
    status, body = await client.control("/faults", order)
    assert status == 400
    assert body["error"]


async def test_by_file(tmp_path: Path):
    """A faults file holds the same objects, in force from the start and again after a reset."""
    path = tmp_path / "faults.json"
    path.write_text('[{"fault": "policy_blocked", "match": {"dataset_id": "7"}}]')
    faults = read_faults_file(path)
    assert faults == (FaultPlan("policy_blocked", match=FaultMatch(dataset_id="7")),)
    async with running_emulator(EmulatorSettings(port=0, faults=faults)) as running:
        running.state.faults.disarm_all()
        running.state.reset()
        assert [armed.plan for armed in running.state.faults.armed.values()] == list(faults)


async def test_unknown_at_start():
    """A start with a fault that there isn't fails at once."""
    with pytest.raises(UnknownFaultError):
        async with running_emulator(EmulatorSettings(port=0, faults=(FaultPlan("nonsense"),))):
            pass


async def test_matchers(client, make_event):
    """A plan befalls only the requests that fit all its matchers."""
    client.emulator.arm(
        FaultPlan(
            "service_unavailable",
            match=FaultMatch(dataset_id="7", event_name="Lead", event_id=["x", "y"], min_batch=2, path="/v26.0/*"),
        )
    )
    fitting = [make_event(event_name="Lead", event_id="y"), make_event()]
    assert (await client.send(*fitting, dataset_id="7"))[0] == 503
    assert (await client.send(*fitting, dataset_id="8"))[0] == 200
    assert (await client.send(fitting[0], dataset_id="7"))[0] == 200
    assert (await client.send(fitting[1], fitting[1], dataset_id="7"))[0] == 200


async def test_schedule(client, make_event):
    """`skip`, `every` and `times` say which of the matching requests are hit."""
    client.emulator.arm(FaultPlan("service_unavailable", skip=1, every=3, times=2))
    statuses = [(await client.send(make_event()))[0] for _ in range(9)]
    assert statuses == [200, 503, 200, 200, 503, 200, 200, 200, 200]


async def test_duration(client, make_event):
    """`for_seconds` ends a plan by the emulator's clock."""
    client.emulator.arm(FaultPlan("service_unavailable", for_seconds=30))
    assert (await client.send(make_event()))[0] == 503
    await client.control("/clock", {"advance": 31})
    assert (await client.send(make_event()))[0] == 200


async def test_probability_repeats(make_event):
    """With a seed, a random plan hits the same requests in every run."""
    runs = []
    for _ in range(2):
        plan = FaultPlan("service_unavailable", probability=0.5)
        async with (
            running_emulator(EmulatorSettings(port=0, seed=3, faults=(plan,))) as running,
            aiohttp.ClientSession(headers={"Authorization": "Bearer EMULATOR_TOKEN"}) as session,
        ):
            statuses = []
            for _ in range(20):
                async with session.post(f"{running.url}/v26.0/1/events", json={"data": [make_event()]}) as answer:
                    statuses.append(answer.status)
        runs.append(statuses)
    assert runs[0] == runs[1]
    assert set(runs[0]) == {200, 503}


@pytest.mark.parametrize(
    ("fault", "error", "counts"),
    [
        ("reset_before", aiohttp.ClientOSError, (0, 0, 0, 0)),
        ("lost_answer", aiohttp.ClientOSError, (1, 1, 0, 1)),
        ("truncated", aiohttp.ClientPayloadError, (1, 1, 0, 1)),
        ("garbage", ValueError, (1, 1, 0, 1)),
        ("wrong_length", aiohttp.ClientError, (1, 1, 0, 1)),
        ("bad_gzip", aiohttp.ClientError, (1, 1, 0, 1)),
    ],
)
async def test_broken_answers(client, make_event, fault, error, counts):
    """The caller sees a broken connection or answer; the ledger tells whether the event was recorded first."""
    with pytest.raises(error):
        await client.send(make_event(), headers=ask(fault))
    assert await count(client) == counts
    assert (await client.last_request())["fault"] == fault


async def test_reset_by_plan(client, make_event):
    """A planned reset has read the events, and neither accepted nor refused them."""
    client.emulator.arm(FaultPlan("reset_before", times=1))
    with pytest.raises(aiohttp.ClientError):
        await client.send(make_event())
    assert await count(client) == (1, 0, 0, 0)


@pytest.mark.parametrize(("fault", "counts"), [("blackhole", (1, 0, 0, 0)), ("late_answer;ms=30", (1, 1, 0, 1))])
async def test_no_answer_in_time(client, make_event, fault, counts):
    """A caller that gives up has lost the answer, but not always the event."""
    with pytest.raises(TimeoutError):
        async with client.session.post(
            f"{client.url}/v26.0/1/events",
            json={"data": [make_event()]},
            headers={"Authorization": "Bearer EMULATOR_TOKEN", **ask(fault)},
            timeout=aiohttp.ClientTimeout(total=0.01),
        ):
            pass
    await client.emulator.state.pause(0.04)
    assert await count(client) == counts


@pytest.mark.parametrize("fault", ["slow;ms=20", "late_answer;ms=20", "drip;bytes_per_second=50000"])
async def test_answer_in_the_end(client, make_event, fault):
    """A slow answer is a good answer for whoever waits."""
    status, body, _ = await client.send(make_event(), headers=ask(fault))
    assert (status, body["events_received"]) == (200, 1)
    assert await count(client) == (1, 1, 0, 0)


async def test_close_keepalive(client, make_event):
    """The answer promises to keep the connection, which then ends."""
    host, port = client.url.removeprefix("http://").split(":")
    content = json.dumps({"data": [make_event()]})
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        b"POST /v26.0/1/events HTTP/1.1\r\nHost: x\r\nX-Emulator-Fault: close_keepalive\r\n"
        b"Authorization: Bearer EMULATOR_TOKEN\r\nContent-Type: application/json\r\n"
        + f"Content-Length: {len(content)}\r\n\r\n{content}".encode()
    )
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"connection: close" not in answer.lower()
    assert await count(client) == (1, 1, 0, 0)


async def test_poison(client, make_event):
    """Batches with the poisonous event are refused with the chosen row, all others are accepted."""
    client.emulator.arm(FaultPlan("poison", match=FaultMatch(event_id="bad"), params={"as": "lead_id_invalid"}))
    _, body, _ = await client.send(make_event(), make_event(event_id="bad"))
    assert body["error"]["error_subcode"] == 2804036
    assert (await client.send(make_event()))[0] == 200
    assert await count(client) == (2, 1, 1, 0)


async def test_usage(client, make_event):
    """Success carries the usage numbers that were asked for."""
    client.emulator.arm(FaultPlan("usage", params={"headers": {"X-App-Usage": {"call_count": 96}}}))
    status, _, headers = await client.send(make_event())
    assert (status, headers["X-App-Usage"]) == (200, '{"call_count":96}')


async def test_quota(client, make_event):
    """A quota lets n events pass in a minute, then throttles and names the minutes left, then lets pass again."""
    client.emulator.arm(FaultPlan("quota", params={"n": 3}))
    events = [make_event(event_id=str(number)) for number in range(2)]
    assert (await client.send(*events))[0] == 200
    status, body, headers = await client.send(*events)
    assert (status, body["error"]["code"]) == (400, 80004)
    usage = json.loads(headers["X-Business-Use-Case-Usage"])
    assert usage["1234567890"][0]["estimated_time_to_regain_access"] == 1
    assert (await client.send(events[0]))[0] == 200
    await client.control("/clock", {"advance": 60})
    assert (await client.send(*events))[0] == 200


async def test_waiting_ends_with_the_server(make_event):
    """A server that goes down does not wait for the calls it swallowed."""
    async with aiohttp.ClientSession() as session, running_emulator() as running:
        headers = {"Authorization": "Bearer EMULATOR_TOKEN"}
        with pytest.raises(TimeoutError):
            await session.post(
                f"{running.url}/v26.0/1/events",
                json={"data": [make_event()]},
                headers={**headers, **ask("slow;ms=60000")},
                timeout=aiohttp.ClientTimeout(total=0.01),
            )


@pytest.mark.parametrize(
    ("text", "told"),
    [('[{"fault": "earthquake"}]', "earthquake"), ('{"fault": "slow"}', "array"), (None, "No such file")],
)
def test_faults_file_that_cannot_be_used(tmp_path, text, told):
    """`signalpost emulator --faults` says what is wrong with the file, and does not start."""
    file = tmp_path / "faults.json"
    if text is not None:
        file.write_text(text)
    result = CliRunner().invoke(app, ["emulator", "--port", "0", "--faults", str(file)])
    assert result.exit_code == 2
    assert "--faults" in result.output
    assert told in result.output.replace("\n", " ")


def test_how_to_names_every_fault():
    """The page lists what can be asked for, and its example is a file that can be used."""
    page = (Path(__file__).parents[2] / "docs/howto/rehearse-trouble.md").read_text()
    named = set(re.findall(r"`(\w+)`", page))
    assert named >= TRANSPORT_FAULTS.keys() | ROWS.keys()
    example = re.search(r"```json\n(.*?)```", page, re.DOTALL)
    plans = msgspec.json.decode(example[1], type=list[FaultPlan])
    build_app(EmulatorSettings(faults=tuple(plans)))
