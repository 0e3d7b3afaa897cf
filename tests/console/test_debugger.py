"""The debugger's page: what is masked, who may reveal, and that nothing is sent while nothing comes."""

import re
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest
from fastapi import Request

from signalpost.console.access import Caller
from signalpost.console.call_search import CallSearch
from signalpost.console.call_steps import list_call_rows, trace_journeys
from signalpost.console.call_warnings import CALL_WARNINGS, list_call_warnings
from signalpost.console.door_fixes import CALL_FIXES, REQUEST_FIXES
from signalpost.console.pages import debugger
from signalpost.console.rendering import render, render_in_turns
from signalpost.history.entries import CallEntry, EventState
from signalpost.ingest.decode import FaultCode
from signalpost.model.delivery import State
from signalpost.model.ids import DestinationId, MessageId, SourceId
from signalpost.model.segment_event import CallCode, CallWarning
from signalpost.store.audit import Actor, list_changes
from signalpost.turns import Turn
from tests.console.conftest import Gateway
from tests.event_loop import count_turns

PERSON = "jane.canary@example.com"
NOW = datetime(2026, 1, 31, tzinfo=UTC)


def test_each_refusal_has_a_fix() -> None:
    assert set(CALL_FIXES) == set(get_args(CallCode))
    assert set(REQUEST_FIXES) == set(get_args(FaultCode))


@pytest.mark.parametrize(
    ("state", "detail", "marks", "why"),
    [
        ("pending", "", "done done now ahead", ""),
        ("pending", "throttled: 4", "done done now ahead", "throttled: 4"),
        ("delivered", "Trace1", "done done done done", ""),
        ("expired", "event_too_old", "done done done stopped", "longer than Meta accepts"),
        ("filtered", "FILTERED_BY_INTEGRATIONS_OBJECT/integration_disabled", "done stopped ahead ahead", "excludes"),
        ("rejected", "MESSAGE_REJECTED/event_too_old", "done stopped ahead ahead", "older than Meta accepts"),
        ("rejected", "100/2804003 Invalid parameter", "done done done stopped", "Invalid parameter"),
        ("rejected", "DISCARDED/discarded_by_operator", "done done stopped ahead", "gave up what waited"),
        ("erased", "", "done done stopped ahead", "deletion"),
    ],
)
def test_an_event_stands_at_one_of_four_steps(state: State, detail: str, marks: str, why: str) -> None:
    event = EventState(DestinationId("main"), "Purchase", state, detail)
    entry = CallEntry(SourceId("web"), NOW, MessageId("m"), "track", "Order Completed", "accepted", events=[event])
    (journey,) = trace_journeys(entry)
    assert " ".join(step.mark for step in journey.steps) == marks
    assert why in journey.why


@pytest.mark.parametrize(
    ("verdict", "marks"), [("duplicate", "done stopped ahead ahead"), ("rejected", "stopped ahead ahead ahead")]
)
def test_a_call_of_which_nothing_comes_stands_somewhere_too(verdict: str, marks: str) -> None:
    entry = CallEntry(SourceId("web"), NOW, None, "track", "", verdict, "event_not_defined")  # type: ignore[arg-type]
    (journey,) = trace_journeys(entry)
    assert " ".join(step.mark for step in journey.steps) == marks
    assert (journey.fix != "") == (verdict == "rejected")


def test_each_warning_has_words_and_a_fix() -> None:
    """Of calls as of their events; each code once, with the destinations that it is for."""
    assert set(CALL_WARNINGS) == {*get_args(CallWarning), "lone_surrogate_replaced"}
    events = [
        EventState(DestinationId(name), "Purchase", "pending", "", ("invalid_email", "value_coerced"))
        for name in ("main", "other")
    ]
    entry = CallEntry(SourceId("web"), NOW, MessageId("m"), "track", "x", "accepted", events=events)
    entry.warnings = ("id_coerced",)
    found = list_call_warnings(entry)
    assert [(row.code, row.destinations) for row in found] == [
        ("id_coerced", []),
        ("invalid_email", ["main", "other"]),
        ("value_coerced", ["main", "other"]),
    ]
    assert all(row.sentence.endswith(".") and row.fix for row in found)


async def send(gateway: Gateway, event: str = "Order Completed") -> None:
    workspace = gateway.service.workspace
    if not workspace.sources:
        await workspace.add_source("Website", Actor("test"))
    key = workspace.sources[0].keys[0][0]
    call = {"event": event, "userId": "u1", "context": {"traits": {"email": PERSON}}}
    headers = {"X-Write-Key": key}
    async with gateway.http.post(f"{gateway.service.tracking_url}/v1/track", json=call, headers=headers) as answer:
        assert answer.status == 200, await answer.text()


async def test_an_open_page_gets_nothing_while_nothing_changes(gateway: Gateway) -> None:
    reader = await gateway.sign_in("viewer")
    await send(gateway)
    page = await reader.get("/debugger")
    seen = re.search(r"calls\?seen=([^\"]+)\"", page.text)
    assert seen is not None
    again = await reader.get(f"/debugger/calls?seen={seen[1]}")
    assert (again.status, again.text) == (204, "")
    await send(gateway, "Signed Up")
    changed = await reader.get(f"/debugger/calls?seen={seen[1]}")
    assert changed.status == 200
    assert "Signed Up" in changed.text


async def test_a_flood_is_asked_for_half_as_often(gateway: Gateway) -> None:
    """A list that was filled within seconds is not read line by line; one that took longer is."""
    reader = await gateway.sign_in("viewer")
    history, now = gateway.service.history, datetime.now(UTC)

    async def ask(received_at: datetime) -> str:
        for number in range(100):
            history.record(CallEntry(SourceId("web"), received_at, MessageId(f"m{number}"), "track", "x", "accepted"))
        return (await reader.get("/debugger/calls")).text

    assert 'hx-trigger="every 1s"' in await ask(now - timedelta(minutes=1))
    assert 'hx-trigger="every 2s"' in await ask(now)


async def test_only_an_admin_reveals_and_the_audit_log_says_so(gateway: Gateway) -> None:
    reader, writer = await gateway.sign_in("viewer"), await gateway.sign_in("admin")
    await send(gateway)
    number = gateway.service.history.recent()[-1].number
    for browser in (reader, writer):
        assert PERSON not in (await browser.get(f"/debugger?call={number}")).text
        assert PERSON not in (await browser.get(f"/debugger/calls/{number}")).text
    assert "Reveal" not in (await reader.get(f"/debugger/calls/{number}")).text
    assert (await reader.post(f"/debugger/calls/{number}/reveal")).status == 403
    assert [row.action for row in gateway.store.read(list_changes)] == ["source.added"]
    revealed = await writer.post(f"/debugger/calls/{number}/reveal")
    assert PERSON in revealed.text
    row = gateway.store.read(list_changes)[0]
    assert (row.actor, row.action, row.subject) == ("admin", "call.revealed", "Website")
    assert PERSON not in str(row)


async def test_a_forgotten_call_is_said_to_be_gone(gateway: Gateway) -> None:
    reader = await gateway.sign_in("viewer")
    assert "no longer remembered" in (await reader.get("/debugger?call=99")).text
    assert "no longer remembered" in (await reader.get("/debugger/calls/99")).text
    assert (await reader.get("/debugger/calls/99/steps")).status == 200


async def test_a_paused_list_shows_all_that_is_remembered(gateway: Gateway) -> None:
    """The live one is read every second, and so has the newest 100 only."""
    await send(gateway)
    batch = [{"type": "track", "event": "Lead", "userId": f"u{number}"} for number in range(150)]
    key = gateway.service.workspace.sources[0].keys[0][0]
    url, headers = f"{gateway.service.tracking_url}/v1/batch", {"X-Write-Key": key}
    async with gateway.http.post(url, json={"batch": batch}, headers=headers) as answer:
        assert answer.status == 200
    reader = await gateway.sign_in("viewer")
    live, paused = await reader.get("/debugger"), await reader.get("/debugger?paused=true")
    assert [page.text.count('class="feed-row"') for page in (live, paused)] == [100, 151]
    assert ["Pause to see all" in page.text for page in (live, paused)] == [True, False]


async def test_a_long_list_lets_others_go_on_while_it_is_rendered(gateway: Gateway) -> None:
    """Each call of the list is a piece of its own; together they are the same page."""
    await send(gateway)
    (entry,) = gateway.service.history.recent()
    app = gateway.service.console_app
    request = Request({"type": "http", "method": "GET", "path": "/debugger/calls", "headers": [], "app": app})
    caller = Caller(Actor("ann"), "admin")
    context = debugger._collect(app.state.parts, caller, CallSearch()) | {"rows": list_call_rows([entry] * 50)}
    context |= {"paused": False, "opened": None}
    rendering = render_in_turns(request, "debugger_calls.html", caller=caller, turn=Turn(longest_seconds=0), **context)
    turns, answer = await count_turns(rendering)
    assert turns > 50
    assert answer.body == render(request, "debugger_calls.html", caller=caller, **context).body
