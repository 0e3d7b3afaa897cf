"""Uploads for the API that Meta ended become calls that say the same."""

import hashlib
import json
from datetime import UTC, datetime

import pytest

from signalpost.file_import.legacy_offline import LegacyCallBuilder
from signalpost.file_import.tables import ImportFailed, Refusal
from signalpost.mapping.destinations import build_destination
from signalpost.mapping.mapper import map_event
from signalpost.model.results import Mapped
from signalpost.model.segment_event import RequestContext, SegmentEvent, parse_call
from tests.file_import.builders import DIGEST, NOW, open_file, refusal_codes


def sha(text):
    return hashlib.sha256(text.encode()).hexdigest()


ENTRY = {
    "match_keys": {
        "email": [sha("ham@solo.com")], "phone": [sha("14012345678")], "gen": sha("m"), "fn": sha("ham"),
        "ln": sha("solo"), "ct": sha("eastgreenwich"), "st": sha("ri"), "zip": sha("02818"), "country": sha("us"),
        "extern_id": sha("hamsolo813"), "lead_id": "123456789012345", "doby": "1990", "dobm": "1", "dobd": "31",
        "madid": sha("advertiser"),
    },
    "event_name": "Purchase", "event_time": 1795163400, "value": 39.95, "currency": "USD", "order_id": "R-1",
    "content_type": "product", "contents": [{"id": "G-32", "quantity": 2, "price": 18.99}],
    "custom_data": {"shippingMethod": "2-day"},
}  # fmt: skip


def build(entry):
    return LegacyCallBuilder(DIGEST, NOW).build(7, (entry,))


def test_an_entry_comes_out_as_meta_wants_it_now():
    """Renamed keys, hashes as they were, the price of an item, the birthday in one piece; no advertiser id."""
    call = json.loads(json.dumps(build(ENTRY), default=str))
    event = parse_call(call, RequestContext(received_at=NOW, new_message_id=str))
    assert isinstance(event, SegmentEvent)
    settings = {"event_sets": {"Order Completed": "1234567890"}}
    (result,) = map_event(event, build_destination("facebook-offline-conversions", settings))
    assert isinstance(result, Mapped)
    sent = json.loads(result.server_event.to_json())
    assert sent["user_data"] == {
        "em": sha("ham@solo.com"), "ph": sha("14012345678"), "ge": sha("m"), "db": sha("19900131"), "fn": sha("ham"),
        "ln": sha("solo"), "ct": sha("eastgreenwich"), "st": sha("ri"), "zp": sha("02818"), "country": sha("us"),
        "external_id": sha("hamsolo813"), "lead_id": "123456789012345",
    }  # fmt: skip
    assert sent["custom_data"] == {
        "value": 39.95, "currency": "USD", "content_type": "product", "content_ids": ["G-32"], "num_items": 1,
        "contents": [{"id": "G-32", "quantity": 2, "item_price": 18.99}], "order_id": "R-1", "shippingMethod": "2-day",
    }  # fmt: skip
    assert (sent["event_name"], sent["event_time"], sent["event_id"]) == ("Purchase", 1795163400, call["messageId"])
    assert result.warnings == ()


@pytest.mark.parametrize("name", ["Lead", "CompleteRegistration", "Visited Showroom"])
def test_other_events_keep_their_names(name):
    """The tables of the destination say where they go."""
    assert build({**ENTRY, "event_name": name})["event"] == name


def test_ids_instead_of_contents():
    """content_ids become products without a price."""
    entry = {key: value for key, value in ENTRY.items() if key != "contents"} | {"content_ids": ["A", "B"]}
    assert build(entry)["properties"]["products"] == [{"product_id": "A"}, {"product_id": "B"}]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"event_name": None}, "missing_event"),
        ({"event_time": "soon"}, "missing_time"),
        ({"event_time": 1500000000}, "too_old"),
        ({"value": None}, "missing_value"),
        ({"match_keys": {"madid": "x", "doby": sha("1990")}}, "no_match_key"),
    ],
)
def test_entries_that_are_refused(change, code):
    """For what Meta could never use."""
    refusal = build({**ENTRY, **change})
    assert isinstance(refusal, Refusal)
    assert refusal.code == code


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(ENTRY) + "\n" + json.dumps(ENTRY) + "\n",
        json.dumps([ENTRY, ENTRY]),
        json.dumps({"upload_tag": "shop", "data": [ENTRY, ENTRY]}),
        json.dumps({"upload_tag": "shop", "data": [ENTRY, ENTRY]}, indent=2),
        json.dumps({"upload_tag": "shop", "data": json.dumps([ENTRY, ENTRY])}),
        json.dumps({"data": [ENTRY]}) + "\n" + json.dumps({"data": [ENTRY]}),
    ],
    ids=["entries", "array", "upload", "pretty", "form_field", "uploads"],
)
def test_forms_of_a_file(tmp_path, text):
    """Entries and uploads, a line each or as one document; such a file is known by its match_keys."""
    table = open_file(tmp_path / "upload.json", text)
    assert [row[0] for row in table.rows()] == [ENTRY, ENTRY]
    assert table.row_count == 2


def test_what_is_no_entry(tmp_path):
    """It costs only itself; a document that is no JSON is told."""
    table = open_file(tmp_path / "upload.json", json.dumps([ENTRY, {"event_name": "x"}, 7]))
    assert refusal_codes(table) == ["no_match_keys", "no_match_keys"]
    with pytest.raises(ImportFailed, match="line 2 is not valid JSON"):
        open_file(tmp_path / "broken.json", json.dumps(ENTRY) + "\n{")


def test_the_time_is_the_entry_s():
    """event_time is Unix time."""
    assert build(ENTRY)["timestamp"] == datetime(2026, 11, 20, 8, 30, tzinfo=UTC)
