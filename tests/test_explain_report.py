"""Explanations as tables that fit the terminal and as JSON that leaves nothing out."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from rich.console import Console

import signalpost
from scripts.rewrite_golden import GOLDEN
from signalpost.explain_report import build_report, describe_explanation
from signalpost.mapping.explanation import Explanation, explain_event
from signalpost.mapping.fixes import REASON_FIXES, WARNING_FIXES
from signalpost.mapping.normalize import hash_value
from signalpost.model.results import REASONS, WARNINGS

CAPI, OFFLINE = "facebook-conversions-api", "facebook-offline-conversions"
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
PIXEL = signalpost.build_destination(CAPI, {"pixel_id": "1234567890"})
RECIPE = json.loads((GOLDEN / CAPI / "order_completed/recipe_with_products.json").read_text(encoding="utf-8"))


def explain(call: dict[str, Any], destination: signalpost.Destination = PIXEL) -> tuple[Explanation, ...]:
    request = signalpost.RequestContext(NOON, new_message_id=lambda: "made-here")
    event = signalpost.parse_call({"type": "track", "userId": "u1", "event": "Seen", "messageId": "m"} | call, request)
    assert isinstance(event, signalpost.SegmentEvent)
    return explain_event(event, destination)


def show(explanations: tuple[Explanation, ...], width: int = 100) -> str:
    console = Console(width=width, highlight=False, emoji=False)
    with console.capture() as capture:
        console.print(build_report(explanations, width))
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def describe(explanations: tuple[Explanation, ...]) -> list[Any]:
    return json.loads(msgspec.json.encode([describe_explanation(each) for each in explanations]))


RECIPE_AT_100 = """
mapped  Purchase → dataset 1234567890

Field                    From                               Normalised     On the wire
event_name               event                                             Purchase
event_time               timestamp                                         1795262398
event_id                 messageId                                         w6-recipe
action_source            properties.action_source                          website
event_source_url         context.page.url                                  https://shop.example/tha…
user_data
 em                      context.traits.email               m***@e***.com  d305eaff…
 ph                      context.traits.phone               +44 *** 958    35e206e5…
 fn                      context.traits.firstName           v***           08e1996b…
 ln                      context.traits.lastName            o***           7a0fbfdf…
 db                      context.traits.birthday            1***           01acdbf6…
 ct                      context.traits.address.city        l***           6089854c…
 zp                      context.traits.address.postalCode  s***           830e1d4b…
 country                 context.traits.address.country     g***           0b407281…
 external_id             userId                             u***           1bee97ac…
 client_ip_address       context.ip                                        2001:db8::1
 client_user_agent       context.userAgent                                 Mozilla/5.0 (Macintosh; …
 fbc                     properties.fbc                                    fb.1.1795262390000.AbC_9
 fbp                     properties.fbp                                    fb.1.1795262000000.10981…
custom_data
 value                   properties.revenue                                59.98
 currency                properties.currency                               EUR
 content_ids             properties.products[0].product_id                 ["9","G-33"]
                         properties.products[1].sku
 contents[0].id          properties.products[0].product_id                 9
 contents[0].quantity    properties.products[0].quantity                   2
 contents[0].item_price  properties.products[0].price                      18.99
 contents[1].id          properties.products[1].sku                        G-33
 contents[1].quantity    properties.products[1].quantity                   1
 contents[1].item_price  properties.products[1].price                      22
 content_type            default                                           product
 num_items               properties.products                               2
 order_id                properties.order_id                               A-1001
 tax                     properties.tax                                    4.2

Match keys
  direct       em, ph, external_id, fbc
  browser      fbp, client_ip_address + client_user_agent
  descriptive  fn, ln, db, ct, zp, country                 missing: ge, st
  Meta accepts an event with these keys.
  → add first: Send the state or region, if the country has them, as context.traits.address.state.

Without effect
  anonymousId, properties.products[0].name
"""


def test_the_recipe_as_a_table() -> None:
    """An order with everything fits 100 columns with a line for each field."""
    assert show(explain(RECIPE["segment_event"])).strip() == RECIPE_AT_100.strip()


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_it_fits_the_terminal(width: int) -> None:
    """No line is wider than the terminal; from 80 columns on no path is broken, and nothing is wider than 120."""
    text = show(explain(RECIPE["segment_event"]), width)
    assert max(map(len, text.splitlines())) <= min(width, 120)
    if width >= 80:
        assert len(text.split("Match keys")[0].strip().splitlines()) == 37
        assert "context.traits.address.postalCode" in text


def test_a_narrow_table_has_a_column_less() -> None:
    """At 80 columns a masked text and its hash stand side by side."""
    text = show(explain(RECIPE["segment_event"]), 80)
    assert "Normalised" not in text
    assert "context.traits.email               m***@e***.com d305e…" in text


def test_several_values_of_a_key() -> None:
    """Two addresses are two lines, each with its own hash, in both forms of the table."""
    explanations = explain({"context": {"traits": {"email": ["jo@example.com", "mary@example.org"]}}})
    first, second = hash_value("jo@example.com"), hash_value("mary@example.org")
    wide = show(explanations)
    assert f"j***@e***.com  {first[:8]}…\n" in wide
    assert f"m***@e***.org  {second[:8]}…\n" in wide


def test_the_json_leaves_nothing_out() -> None:
    """Fields with whole hashes, warnings with fixes, match keys by tier, and what had no effect."""
    (described,) = describe(explain(RECIPE["segment_event"]))
    assert list(described) == [
        "status", "dataset_id", "discard", "fields", "warnings", "match_keys", "unused", "complete"
    ]  # fmt: skip
    assert (described["status"], described["dataset_id"], described["complete"]) == ("mapped", "1234567890", True)
    fields = {field["field"]: field for field in described["fields"]}
    assert fields["user_data.em"] == {
        "field": "user_data.em",
        "from": ["context.traits.email"],
        "depends_on": [],
        "normalized": ["m***@e***.com"],
        "value": hash_value("mary_smith@example.com"),
    }
    assert described["match_keys"]["present"]["direct"] == ["em", "ph", "external_id", "fbc"]
    assert described["match_keys"]["accepted"] is True
    assert described["unused"] == ["anonymousId", "properties.products[0].name"]


def test_warnings() -> None:
    """Each has its place, its sentence and its fix, in both forms."""
    explanations = explain({"context": {"traits": {"email": "nobody"}}, "properties": {"total": 5}})
    (described,) = describe(explanations)
    assert described["warnings"][0] == {
        "code": "invalid_email",
        "message": WARNINGS["invalid_email"],
        "fix": WARNING_FIXES["invalid_email"],
        "where": ["context.traits.email"],
    }
    text = show(explanations, 120)
    assert "  invalid_email  at context.traits.email\n" in text
    assert f"    {WARNINGS['invalid_email']}\n    → {WARNING_FIXES['invalid_email']}\n" in text


def test_a_rejected_call() -> None:
    """The reason comes first with its fix; what would have been sent is explained below."""
    explanations = explain({"event": "Order Completed", "properties": {"currency": "EUR"}})
    (described,) = describe(explanations)
    assert described["status"] == "discarded"
    assert described["discard"] == {
        "code": "MESSAGE_REJECTED",
        "reason": "missing_value",
        "message": REASONS["missing_value"].sentence,
        "fix": REASON_FIXES["missing_value"],
        "where": [],
    }
    lines = show(explanations).strip().splitlines()
    assert lines[0] == "discarded  Purchase → dataset 1234567890  MESSAGE_REJECTED"
    assert lines[1].strip() == "missing_value"
    assert any(line.split() == ["currency", "properties.currency", "EUR"] for line in lines)


def test_a_filtered_call() -> None:
    """Nothing but the reason and what to do."""
    explanations = explain({"type": "identify"})
    assert show(explanations).strip().splitlines() == [
        "discarded  UNSUPPORTED_EVENT_TYPE",
        "  unsupported_type",
        f"    {REASONS['unsupported_type'].sentence}",
        f"    → {REASON_FIXES['unsupported_type']}",
    ]
    (described,) = describe(explanations)
    assert (described["dataset_id"], described["fields"], described["match_keys"]) == (None, [], None)


def test_several_results_are_counted() -> None:
    """Each has a part of its own."""
    tables = {"event_sets": {"Seen": "11111"}, "lead_event_sets": {"Seen": "22222"}}
    text = show(explain({}, signalpost.build_destination(OFFLINE, tables)))
    assert "1 of 2  mapped  Seen → dataset 11111\n" in text
    assert "2 of 2  mapped  Lead → dataset 22222\n" in text


def test_too_little_to_match() -> None:
    """When Meta would refuse the keys it says so."""
    destination = signalpost.build_destination(CAPI, {"pixel_id": "1234567890", "external_id_field": "properties.no"})
    text = show(explain({}, destination))
    assert "Too little: Meta would match this event to nobody, and refuses it." in text
    assert "  at setting external_id_field\n" in text


def test_texts_of_a_call_are_only_text() -> None:
    """Control characters do not reach the terminal, and brackets are no markup."""
    hostile = {"[red]x": "[bold]\x1b[31mred\x07\u202e", "\x1b[2J": 1, "products": [{"id": "[/]"}]}
    text = show(explain({"event": "[blink]Seen\x9b", "properties": hostile}))
    assert not set("\x1b\x07\x9b\u202e") & set(text)
    assert "[bold]�[31mred��" in text
    assert "[blink]Seen�" in text
    assert "[red]x" in text


def test_a_long_table_is_cut() -> None:
    """Of very many fields the first are shown, and how many more there are; the JSON has them all."""
    explanations = explain({"properties": {f"p{number}": number for number in range(90)}})
    fields = len(explanations[0].fields)
    text = show(explanations)
    assert f"… and {fields - 60} more fields; --json shows all." in text
    assert len(describe(explanations)[0]["fields"]) == fields


def test_an_incomplete_explanation_says_so() -> None:
    """Whoever reads it knows that not all was tried."""
    text = show(explain({"properties": {f"p{number}": number for number in range(400)}}))
    assert "The call is too big to try all of it, so some origins are not traced." in text


def test_long_names_break_at_a_seam() -> None:
    """A path too long for its column goes on in the next line, after a dot or an underscore."""
    call = {"integrations": {"Facebook Conversions API": {"dataProcessingOptions": [["LDU"], 1, 1000]}}}
    destination = signalpost.build_destination(CAPI, {"pixel_id": "1234567890", "limited_data_use": True})
    lines = [line.split() for line in show(explain(call, destination), 80).splitlines()]
    assert ["data_processing_options_", "integrations.Facebook"] in [line[:2] for line in lines]
    assert any(line[:1] == ["country"] for line in lines)
