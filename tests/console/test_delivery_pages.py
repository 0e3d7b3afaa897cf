"""Delivery, dead letters and the overview: every event and every reason is shown, as text, and only admins change."""

import asyncio
import re
from hashlib import sha256
from typing import Any
from urllib.parse import unquote

from signalpost.model.ids import DestinationId
from tests.builders import build_call, build_new_event
from tests.console.conftest import Answer, Gateway

HOSTILE = "<img src=x onerror=alert(1)>'\""
SLUG = "facebook-conversions-api"


async def make_dead_letters(gateway: Gateway, *names: str) -> None:
    """Orders without a currency: mapping rejects each. The destination has no token, so nothing is sent."""
    program = gateway.program
    source = await program.send("POST", "/api/sources", json={"name": "web"})
    settings = {"pixel_id": "1234567890", "standard_events": dict.fromkeys(names, "Purchase")}
    body = {"name": "main", "type": SLUG, "settings": settings}
    assert (await program.send("POST", "/api/destinations", json=body)).status == 201
    assert (await program.send("PUT", "/api/sources/web/destinations/main")).status == 204
    key = source.json["write_keys"][0]["key"]
    for number, name in enumerate(names):
        call: dict[str, Any] = {"userId": f"u{number}", "event": name, "writeKey": key, "properties": {}}
        async with gateway.http.post(f"{gateway.service.tracking_url}/v1/track", json=call) as response:
            assert response.status == 200


async def test_a_rejected_event_is_counted_explained_and_shown(gateway: Gateway) -> None:
    """The delivery page has its reason with a fix; the sample has the hashed payload."""
    await make_dead_letters(gateway, "Order Completed")
    browser = await gateway.sign_in("viewer")
    for period in ("10m", "1h", "24h", "7d", "14d", "nonsense"):
        page = await browser.get(f"/delivery?period={period}")
        assert page.status == 200
        assert "missing_value" in page.text
        assert "A Purchase needs a numeric value" in page.text
    error = await browser.get("/delivery?code=MESSAGE_REJECTED&reason=missing_value&period=10m&figures=shares")
    assert '<tr class="chosen">' in error.text
    assert "100 % </b>" in error.text or ">100 %<" in error.text
    assert "&#34;event_name&#34;: &#34;Purchase&#34;" in error.text
    ledger = (await browser.get("/delivery/ledger")).text
    assert "Balanced" in ledger
    assert "until <time" in ledger  # it is counted more seldom than the rest, so the two may differ for a while
    assert "1 dead letter</b> waits" in (await browser.get("/overview")).text
    trend = (await browser.get("/delivery/trend?period=1h")).json
    assert sum(trend["failed"]) == 1
    assert {len(values) for values in trend.values()} == {len(trend["times"])}


async def test_dead_letters_are_counted_before_and_after_they_are_discarded(gateway: Gateway) -> None:
    """By selection, then by filter; each leaves a row in the audit log."""
    await make_dead_letters(gateway, "A", "B", "C")
    browser = await gateway.sign_in("admin")
    letters = await gateway.service.queue.browse_dead_letters()
    one = {"action": "discard", "ids": str(letters[0].id)}
    assert "Discard 1 dead letter?" in (await browser.post("/dead-letters/preview", one)).text
    assert len(await gateway.service.queue.browse_dead_letters()) == 3
    assert (await browser.post("/dead-letters/change", one)).status == 303
    assert len(await gateway.service.queue.browse_dead_letters()) == 2
    rest = {"action": "discard", "everything": "true", "reason": "missing_value"}
    assert "Discard 2 dead letters?" in (await browser.post("/dead-letters/preview", rest)).text
    await browser.post("/dead-letters/change", {**rest, "event_name": "nothing"})
    assert len(await gateway.service.queue.browse_dead_letters()) == 2
    await browser.post("/dead-letters/change", rest)
    assert "No dead letters" in (await browser.get("/dead-letters")).text
    rows = (await gateway.program.get("/api/audit")).json
    assert [row["after"]["count"] for row in rows if row["action"] == "dead_letters.discarded"] == [2, 0, 1]


async def test_a_viewer_sees_hashes_and_no_addresses(gateway: Gateway) -> None:
    """What Meta gets in clear (address, user agent) is masked on pages and in the API; an admin sees it."""
    await make_dead_letters(gateway, "A")
    key = gateway.service.workspace.sources[0].keys[0][0]
    context = {"ip": "203.0.113.77", "userAgent": "Canary/1.0", "traits": {"email": "jo@example.com"}}
    call = {"userId": "u", "event": "A", "writeKey": key, "messageId": "m1", "context": context}
    async with gateway.http.post(f"{gateway.service.tracking_url}/v1/track", json=call) as response:
        assert response.status == 200
    admin, viewer = await gateway.sign_in("admin"), await gateway.sign_in("viewer")
    (event,) = (await gateway.service.queue.find_events("m1")).events
    paths = ["/dead-letters", "/find?id=m1", "/delivery?code=MESSAGE_REJECTED&reason=missing_value"]
    paths += ["/api/events?message_id=m1", f"/api/dead-letters/{event.dead_letter_id}"]
    email_hash = sha256(b"jo@example.com").hexdigest()
    for path in paths:
        shown, masked = (await admin.get(path)).text, (await viewer.get(path)).text
        assert all(email_hash in text for text in (shown, masked)), path
        assert [text in shown for text in ("203.0.113.77", "Canary/1.0")] == [True, True], path
        assert [text in masked for text in ("203.0.113.77", "Canary/1.0")] == [False, False], path


async def test_what_cannot_wait_again_is_refused_with_its_reason(gateway: Gateway) -> None:
    """Mapping would reject it again: it stays."""
    await make_dead_letters(gateway, "A")
    browser = await gateway.sign_in("admin")
    chosen = {"action": "requeue", "everything": "true"}
    preview = await browser.post("/dead-letters/preview", chosen)
    assert "Requeue 0 dead letters?" in preview.text
    assert "not_requeueable" in preview.text
    await browser.post("/dead-letters/change", chosen)
    assert len(await gateway.service.queue.browse_dead_letters()) == 1
    assert (await browser.post("/dead-letters/preview", {"action": "requeue"})).status == 303


async def test_what_strangers_send_is_text(gateway: Gateway) -> None:
    """Names of events, in the address and in the list."""
    await make_dead_letters(gateway, "A")
    browser = await gateway.sign_in("admin")
    paths = ("/delivery?destination={}", "/dead-letters?event_name={}", "/delivery?code={}&reason={}")
    for path in paths:
        page = await browser.get(path.replace("{}", "%3Cimg src=x onerror=alert(1)%3E"))
        assert (page.status, "<img src=x" in page.text) == (200, False), path


async def test_only_admins_resume_a_destination(gateway: Gateway) -> None:
    """Resuming is an admin's, and audited; an unknown name is told."""
    await make_dead_letters(gateway, "A")
    admin, viewer = await gateway.sign_in("admin"), await gateway.sign_in("viewer")
    assert (await viewer.post("/delivery/resume", {"destination": "main"})).status == 403
    assert (await admin.post("/delivery/resume", {"destination": "other"})).status == 404
    assert (await admin.post("/delivery/resume", {"destination": "main"})).status == 303
    assert (await gateway.program.get("/api/audit")).json[0]["action"] == "destination.resumed"


async def test_only_what_was_counted_is_given_up(gateway: Gateway) -> None:
    """A paused destination's events, by an admin, audited; what has come since it was counted stays."""
    await make_dead_letters(gateway, "A")
    admin, viewer = await gateway.sign_in("admin"), await gateway.sign_in("viewer")
    not_paused = await admin.get("/delivery/discard?destination=main")
    assert (not_paused.status, "is not paused" in read_flash(not_paused)) == (303, True)
    await send_well(gateway, "first")
    await until_paused(gateway)
    page = (await admin.get("/delivery?destination=main")).text
    assert "Discard what waits" in page
    assert "It has no access token, so its events wait" in page
    assert "does not accept the access token" not in page + (await admin.get("/overview")).text
    assert "Discard what waits" not in (await viewer.get("/delivery?destination=main")).text
    assert (await viewer.get("/delivery/discard?destination=main")).status == 403
    assert (await admin.get("/delivery/discard?destination=other")).status == 404
    counted = await admin.get("/delivery/discard?destination=main")
    assert "Discard 1 event that waits for main?" in counted.text
    found = re.search('name="until" value="([^"]+)"', counted.text)
    assert found is not None
    await send_well(gateway, "second")
    chosen = {"destination": "main", "until": found[1]}
    assert (await viewer.post("/delivery/discard", chosen)).status == 403
    done = await admin.post("/delivery/discard", chosen)
    assert (done.status, "1 discarded" in read_flash(done)) == (303, True)
    row = (await gateway.program.get("/api/audit")).json[0]
    assert (row["action"], row["after"]["discarded"]) == ("destination.events_discarded", 1)
    found_events = [(await gateway.service.queue.find_events(name)).events[0].state for name in ("first", "second")]
    assert found_events == ["rejected", "pending"]
    assert "Discard 1 event that waits" in (await admin.get("/delivery/discard?destination=main")).text


async def test_what_waits_for_a_destination_that_is_gone_is_shown_and_can_be_given_up(gateway: Gateway) -> None:
    """The configuration file no longer names it, so nobody delivers its events; they are no secret for all that."""
    admin = await gateway.sign_in("admin")
    await gateway.service.queue.put([build_call(build_new_event(destination_id=DestinationId("old")), message_id="m1")])
    for path in ("/overview", "/delivery", "/find?id=m1"):
        page = await admin.get(path)
        assert "no settings name it any more" in page.text, path
    assert 'href="/destinations/old"' not in (await admin.get("/delivery")).text
    counted = await admin.get("/delivery/discard?destination=old")
    assert "Discard 1 event that waits for old?" in counted.text
    found = re.search('name="until" value="([^"]+)"', counted.text)
    assert found is not None
    await admin.post("/delivery/discard", {"destination": "old", "until": found[1]})
    assert "Not configured" not in (await admin.get("/delivery")).text
    assert "1 event of the last 24 hours failed and is settled" in (await admin.get("/overview")).text
    assert (await admin.get("/delivery/discard?destination=old")).status == 404


def read_flash(answer: Answer) -> str:
    return unquote(answer.headers["Set-Cookie"])


async def send_well(gateway: Gateway, message_id: str) -> None:
    """An event that only a token keeps from being delivered."""
    key = gateway.service.workspace.sources[0].keys[0][0]
    call = {"userId": "u", "event": "A", "writeKey": key, "messageId": message_id, "properties": {"revenue": 1}}
    call["context"] = {"traits": {"email": "jo@example.com"}}
    async with gateway.http.post(f"{gateway.service.tracking_url}/v1/track", json=call) as response:
        assert response.status == 200


async def until_paused(gateway: Gateway) -> None:
    async with asyncio.timeout(20):
        while (await gateway.program.get("/api/delivery")).json[0]["pause"] is None:  # noqa: ASYNC110 - nobody tells a test
            await asyncio.sleep(0.01)
