"""What a person sees, as text: pages without scripts, labelled as no Meta, safe with any event."""

import asyncio
import os
import signal
import sys

import pytest

from signalpost.emulator.body_fields import list_body_fields
from signalpost.emulator.pages import format_ago


async def read(client, path: str) -> tuple[int, str]:
    async with client.session.get(client.url + path) as answer:
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        return answer.status, await answer.text()


async def test_first_look(client):
    """An empty emulator says what it is, and how to send the first event."""
    status, page = await read(client, "/")
    assert status == 200
    assert "Local emulator, not Meta" in page
    assert f"curl {client.url}/v26.0/1234567890/events" in page


async def test_events_page(client, make_event):
    """The events page shows each name with its count, and each event with method, id, code, verdict and notes."""
    await client.send(make_event(event_id="first"), make_event(event_id="second"), test_event_code="TEST7")
    await client.send(make_event(event_id=None, event_name="Lead"), dataset_id="77")
    await client.send(make_event(event_id="first"))
    _, page = await read(client, "/")
    for text in ("ViewContent", "Connection Method", "Server", "second", "TEST7", "Kept", "Ambiguous", "1 note", "77"):
        assert text in page
    _, narrowed = await read(client, "/?dataset=77&name=Lead")
    assert "second" not in narrowed


async def test_event_page(client, make_event):
    """One event's page shows its body, with each finding beside its field, the rule's source and its confidence."""
    event = make_event(event_source_url=None)
    event["user_data"]["em"] = "anna@example.com"
    await client.send(event)
    _, page = await read(client, "/events/1")
    for text in ("anna@example.com", "personal data in clear", "Customer Information Parameters", "not there"):
        assert text in page
    assert (await read(client, "/events/2"))[0] == 404


async def test_requests_page(client, make_event):
    """The requests page shows answers and what they mean, and no token."""
    await client.send(make_event(), token="EMULATOR_EXPIRED")
    _, page = await read(client, "/requests")
    for text in ("401", "token_expired", "Session has expired", "IRED"):
        assert text in page
    assert "EMULATOR_EXPIRED" not in page


async def test_markup_in_events(client, make_event):
    """An event's text is never markup."""
    await client.send(make_event(event_name="<script>alert(1)</script>", event_id='"><b>'))
    for path in ("/", "/events/1", "/requests"):
        assert "<script>alert" not in (await read(client, path))[1]


async def test_own_assets(client):
    """Pages use the emulator's own files only."""
    _, page = await read(client, "/")
    assert page.count("https://") == 0
    for asset in ("emulator.css", "live.js", "icon.svg"):
        async with client.session.get(f"{client.url}/static/{asset}") as answer:
            assert answer.status == 200


def test_body_fields():
    """Fields stand in the order of the body; a finding about an absent field stands where the field would be."""
    notes = [{"field": "user_data.em"}, {"field": "user_data.fbc"}, {"field": "event_id"}]
    body = {"user_data": {"em": ["a"], "ph": "b"}, "custom_data": {}}
    fields = list_body_fields(body, notes)
    assert [(field.path, field.depth, field.value, field.is_absent) for field in fields] == [
        ("user_data", 0, None, False),
        ("user_data.em", 1, None, False),
        ("user_data.em.0", 2, '"a"', False),
        ("user_data.ph", 1, '"b"', False),
        ("user_data.fbc", 1, None, True),
        ("custom_data", 0, "{}", False),
        ("event_id", 0, None, True),
    ]
    assert [len(field.notes) for field in fields] == [0, 1, 0, 0, 1, 0, 1]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "just now"), (0.4, "just now"), (12, "12 s ago"), (61, "1 min ago"), (7300, "2 h ago"), (90_000, "1 d ago")],
)
def test_ago(seconds, text):
    """Distances in time are told in their largest unit."""
    assert format_ago(seconds) == text


async def test_serve_until_told_to_stop():
    """As a process of its own it says when it is ready, and ends cleanly when told to stop."""
    program = (
        "import asyncio\n"
        "from signalpost.emulator.app import EmulatorSettings, serve\n"
        "asyncio.run(serve(EmulatorSettings(port=0), on_ready=lambda url: print(url, flush=True)))\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE, env=dict(os.environ)
    )
    assert (await process.stdout.readline()).startswith(b"http://127.0.0.1:")
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 0
