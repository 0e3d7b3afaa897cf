"""The event tester: what it says of a call, who may send, and that a dry run sends nothing."""

import html
import json
from typing import Any

from signalpost.console.event_test import describe_outcome
from signalpost.model.delivery import Rejected, Throttled, Unauthorized, Unavailable, Unclear
from signalpost.store.audit import Actor
from tests.console.conftest import Gateway

CALL: dict[str, Any] = {"event": "Order Completed", "userId": "u1", "properties": {"revenue": 5, "currency": "USD"}}


async def add_destination(gateway: Gateway) -> None:
    settings = {"pixel_id": "1234567890"}
    await gateway.service.workspace.add_destination("Main", "facebook-conversions-api", settings, Actor("test"))


async def test_a_dry_run_needs_no_token_and_offers_no_sending(gateway: Gateway) -> None:
    await add_destination(gateway)
    writer, reader = await gateway.sign_in("admin"), await gateway.sign_in("viewer")
    page = await writer.get("/tester")
    assert "a dry run only" in page.text
    assert "Send to Meta" not in page.text
    for browser in (reader, writer):
        said = await browser.post("/tester", {"call": json.dumps(CALL), "destination": "Main"})
        assert said.status == 200
        shown = said.text.replace("<wbr>", "")
        assert "custom_data.value" in shown
        assert "properties.revenue" in shown
    sent = {"call": json.dumps(CALL), "destination": "Main"}
    assert (await reader.post("/tester/send", sent)).status == 403
    without_token = await writer.post("/tester/send", sent)
    assert without_token.status == 200
    assert "Meta took" not in without_token.text


async def test_what_is_no_call_is_explained(gateway: Gateway) -> None:
    await add_destination(gateway)
    reader = await gateway.sign_in("viewer")
    for text, code, fix in (
        ("{", "invalid_json", "valid JSON"),
        ('{"event": "x"}', "no_user_anon_id", "Send userId"),
        ("[" * 5000, "invalid_json", "valid JSON"),
        ("[]", "invalid_event", "as a JSON object"),
    ):
        said = await reader.post("/tester", {"call": text, "destination": "Main"})
        assert said.status == 422, text[:20]
        assert code in said.text
        assert fix in html.unescape(said.text)
    filtered = await reader.post(
        "/tester", {"call": json.dumps({**CALL, "integrations": {"All": False}}), "destination": "Main"}
    )
    assert "integration_disabled" in filtered.text
    assert (await reader.post("/tester", {"call": "{}", "destination": "nothing"})).status == 404


def test_each_answer_but_taken_says_what_to_do() -> None:
    for outcome in (
        Unclear(0, "T"),
        Throttled(None, "4"),
        Unavailable("no answer"),
        Unauthorized("token", "190"),
        Rejected("100", "100 Invalid parameter"),
    ):
        answer = describe_outcome(outcome)
        assert not answer.is_good
        assert answer.said
        assert answer.fix
