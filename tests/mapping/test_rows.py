"""The feature rows, F001 to F260: what each asks of mapping, written by hand from its text.

A row holds for a call that is valid by default: a Track with messageId "m-1", userId "u1" and a time two seconds before
its receipt. It asserts only what the row names; the golden cases beside this file hold whole results.
"""

import dataclasses
import hashlib
import itertools
import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec
import pytest
from pydantic import ValidationError

import signalpost
from signalpost.mapping.destinations import conversions_api, offline_conversions
from signalpost.mapping.standard_events import STANDARD_EVENTS
from signalpost.model.results import WARNINGS
from tests.mapping.test_golden import CASES

ROOT = Path(__file__).parents[2]
CAPI, OFFLINE = "facebook-conversions-api", "facebook-offline-conversions"
PIXEL, SET_1, SET_2 = "1234567890", "2233445566778899", "3344556677889900"
BROWSER = "Mozilla/5.0 (Macintosh; Intel Mac OS X 11_1_0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/88.0.4324.96"
RECEIVED_AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
RECEIVED_SECONDS = 1795262400
ABSENT = object()
JsonObject = Mapping[str, Any]
NOTHING: JsonObject = MappingProxyType({})


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def track(event: str = "Clicked Email", properties: JsonObject | None = None, **fields: Any) -> dict[str, Any]:
    """A valid call; a field that is None is left out."""
    call = {
        "type": "track",
        "messageId": "m-1",
        "timestamp": "2026-11-21T11:59:58.000Z",
        "userId": "u1",
        "event": event,
        "properties": properties,
        **fields,
    }
    return {name: value for name, value in call.items() if value is not None}


def purchase(properties: JsonObject | None = None, **fields: Any) -> dict[str, Any]:
    return track("Order Completed", {"revenue": 5, **(properties or {})}, **fields)


def with_traits(**traits: Any) -> dict[str, Any]:
    return track(context={"traits": traits})


def with_address(**address: Any) -> dict[str, Any]:
    return with_traits(address=address)


def with_options(name: str, **options: Any) -> dict[str, Any]:
    return track(integrations={name: options})


def allowing(**categories: bool) -> dict[str, Any]:
    return track(context={"consent": {"categoryPreferences": categories}})


def aged(age: timedelta, properties: JsonObject | None = None) -> dict[str, Any]:
    return track(properties=properties, timestamp=(RECEIVED_AT - age).isoformat())


def parse(call: JsonObject, received_at: datetime = RECEIVED_AT, **request: Any) -> signalpost.SegmentEvent:
    event = signalpost.parse_call(call, signalpost.RequestContext(received_at, lambda: "made-here", **request))
    assert isinstance(event, signalpost.SegmentEvent), event
    return event


def map_call(
    call: JsonObject, settings: JsonObject | None = None, to: str = CAPI
) -> tuple[signalpost.MappingResult, ...]:
    defaults: JsonObject = {"pixel_id": PIXEL} if to == CAPI else {"event_sets": {call.get("event"): SET_1}}
    return signalpost.map_event(parse(call), signalpost.build_destination(to, {**defaults, **(settings or {})}))


def read_sent(result: signalpost.MappingResult) -> dict[str, Any]:
    assert isinstance(result, signalpost.Mapped), result
    return json.loads(result.server_event.to_json())


def find(sent: JsonObject, path: str) -> object:
    """The value at a dotted path of a server event, or ABSENT."""
    value: Any = sent
    for name in path.split("."):
        if name not in value:
            return ABSENT
        value = value[name]
    return value


def is_same(found: object, expected: object) -> bool:
    """Equal as JSON: 2 is not 2.0, true is not 1, and the order of keys counts."""
    if found is ABSENT or expected is ABSENT:
        return found is expected
    return json.dumps(found) == json.dumps(expected)


class Row(NamedTuple):
    """One case of a feature row.

    sent: dotted path in the server event -> its value, or ABSENT. warns, silent: codes, separated by spaces, that must
    and must not be among the warnings. reason: why the call is discarded. settings: on top of a pixel id, or (Offline)
    of a table that names the event.
    """

    id: str
    call: JsonObject
    sent: JsonObject = NOTHING
    warns: str = ""
    silent: str = ""
    reason: str = ""
    settings: JsonObject = NOTHING
    to: str = CAPI


def offline(row_id: str, call: JsonObject, sent: JsonObject = NOTHING, **fields: Any) -> Row:
    return Row(row_id, call, sent, to=OFFLINE, **fields)


def value(amount: object) -> dict[str, object]:
    return {"custom_data.value": amount}


def external_id(text: str) -> dict[str, object]:
    return {"user_data.external_id": sha(text)}


def hashed(**texts: str) -> dict[str, object]:
    return {f"user_data.{key}": sha(text) for key, text in texts.items()}


NO_MATCH_KEY = dict.fromkeys((f"user_data.{key}" for key in ("em", "ph", "fn", "ln", "ge", "db", "ct", "st")), ABSENT)
NO_CONTENTS = dict.fromkeys(("custom_data.contents", "custom_data.content_ids", "custom_data.num_items"), ABSENT)
NO_CONTENT_TYPE = {"custom_data.content_type": ABSENT}
NO_LDU = dict.fromkeys(
    ("data_processing_options", "data_processing_options_country", "data_processing_options_state"), ABSENT
)
LDU = {
    "data_processing_options": ["LDU"],
    "data_processing_options_country": 0,
    "data_processing_options_state": 0,
}
CALIFORNIA = {
    "data_processing_options": [],
    "data_processing_options_country": 1,
    "data_processing_options_state": 1000,
}
NO_ADDRESS_WARNINGS = "missing_client_user_agent missing_event_source_url"
FBC, FBP = "fb.1.1795262390000.AbC_9", "fb.1.1795262000000.1098115397"
CAPI_NAME, OFFLINE_NAME = "Facebook Conversions API", "Facebook Offline Conversions"
BY_EXTERNAL_ID = {"external_id_field": "properties.externalId"}
VEHICLES = {"content_types": {"cars": "vehicle"}}
LDU_ON, PAGE_VIEWS = {"limited_data_use": True}, {"page_view_events": True}
REGISTRATION = {"standard_events": {"Signed Up": "CompleteRegistration"}}
ADVERTISING = {"consent_categories": ["advertising"]}
GAME = {"product_id": "g-32", "quantity": 2, "price": 18.99}
CALIFORNIA_OPTIONS = {"dataProcessingOptions": [[], 1, 1000]}

# fmt: off
ROWS = [
    # Destination, type, integrations
    Row("F001", track()),
    Row("F002", track(), reason="missing_pixel_id", settings={"pixel_id": ""}),
    *(
        Row("F003", {"type": kind, "userId": "u1", "groupId": "g", "previousId": "p"}, reason="unsupported_type")
        for kind in ("identify", "page", "screen", "group", "alias")
    ),
    *(
        Row("F004", track(integrations={name: False}), reason="integration_disabled")
        for name in ("Facebook Pixel Server-Side", "Facebook Pixel Server Side", CAPI_NAME)
    ),
    # Names
    *(
        Row(row, track(event, {"revenue": 5}), {"event_name": name})
        for row, event, name in (
            ("F005", "Order Completed", "Purchase"),
            ("F006", "Product Added", "AddToCart"),
            ("F007", "Product Viewed", "ViewContent"),
            ("F008", "Product List Viewed", "ViewContent"),
            ("F009", "Products Searched", "Search"),
            ("F010", "Checkout Started", "InitiateCheckout"),
        )
    ),
    Row("F012", track("Signed Up"), {"event_name": "CompleteRegistration"}, settings=REGISTRATION),
    Row("F013", track("Signed Up", {"plan": "pro", "seats": 3}), {"custom_data.plan": "pro", "custom_data.seats": 3},
        settings=REGISTRATION),
    Row("F014", track("Clicked Email"), {"event_name": "Clicked Email"}),
    Row("F015", track(properties={"a": 1, "b": "x"}), {"custom_data.a": 1, "custom_data.b": "x"}),
    Row("F016", track("n" * 50), {"event_name": "n" * 50}),
    Row("F017", track("n" * 51), reason="event_name_too_long"),
    offline("F017", track("n" * 51), reason="event_name_too_long"),
    offline("F018", track("n" * 60), {"event_name": "Lead"},
        settings={"event_sets": {}, "lead_event_sets": {"n" * 60: SET_1}}),
    Row("F018", track("n" * 60), {"event_name": "Lead"}, settings={"standard_events": {"n" * 60: "Lead"}}),
    Row("F019", purchase(), {"custom_data.currency": "USD"}),
    Row("F020", purchase({"currency": "EUR"}), {"custom_data.currency": "EUR"}),
    *(
        Row("F021", track(event), {"custom_data.currency": "USD"})
        for event in ("Product Viewed", "Product List Viewed", "Clicked Email")
    ),
    Row("F022", track(), {"event_id": "m-1"}),
    # Identifiers
    Row("F024", track(anonymousId="a1"), external_id("u1")),
    Row("F025", track(userId=None, anonymousId="a1"), external_id("a1")),
    Row("F026", track(properties={"externalId": "X9"}), external_id("x9"), settings=BY_EXTERNAL_ID),
    Row("F027", with_traits(email=" Jo@Ex.com "), external_id("jo@ex.com"),
        settings={"external_id_field": "context.traits.email"}),
    Row("F028", track(properties={"externalId": "A", "externalid": "b"}), external_id("b"),
        settings={"external_id_field": "properties.externalid"}),
    Row("F029", with_traits(email="jo@ex.com"), {"user_data.external_id": ABSENT}, "external_id_missing",
        settings=BY_EXTERNAL_ID),
    Row("F030", track(properties={"externalId": "X9", "plan": "pro"}),
        {"custom_data.externalId": ABSENT, "custom_data.plan": "pro"}, settings=BY_EXTERNAL_ID),
    Row("F030", track(properties={"customer": {"number": "X9", "tier": "gold"}}),
        {"custom_data.customer": {"tier": "gold"}, **external_id("x9")},
        settings={"external_id_field": "properties.customer.number"}),
    Row("F031", track(context={"ip": "192.0.2.7"}), {"user_data.client_ip_address": "192.0.2.7"}),
    Row("F032", track(context={"userAgent": BROWSER}), {"user_data.client_user_agent": BROWSER}),
    Row("F033", track(context={"page": {"url": "https://shop.example/cart?step=2#top"}}),
        {"event_source_url": "https://shop.example/cart?step=2#top"}, silent="pii_in_properties"),
    Row("F033", track(context={"page": {"url": "https://shop.example/@jo?at=10%405&by=@jo"}}),
        {"event_source_url": "https://shop.example/@jo?at=10%405&by=@jo"}, silent="pii_in_properties"),
    *(
        Row("F033", track(context={"page": {"url": f"https://shop.example/cart?{query}&step=2"}}),
            {"event_source_url": f"https://shop.example/cart?{query.replace(written, sha(email))}&step=2"},
            "pii_in_properties")
        for query, written, email in (
            ("mail=Jo@Ex.com", "Jo@Ex.com", "jo@ex.com"),
            ("mail=jo%40ex.com", "jo%40ex.com", "jo@ex.com"),
            ("mail=jo+news@ex.com", "jo+news@ex.com", "jo+news@ex.com"),
            ("mail=jo%2Bnews%40ex.com", "jo%2Bnews%40ex.com", "jo+news@ex.com"),
            ("mail=+jo@ex.com+", "+jo@ex.com+", "jo@ex.com"),
            ("jo@ex.com", "jo@ex.com", "jo@ex.com"),
        )
    ),
    Row("F034", with_traits(email=" Jo@Ex.com "), hashed(em="jo@ex.com")),
    Row("F035", with_traits(phone="+1 (650) 555-1212"), hashed(ph="16505551212")),
    Row("F036", with_traits(firstName="Mary"), hashed(fn="mary")),
    Row("F037", with_traits(lastName="O'Connor"), hashed(ln="oconnor")),
    Row("F038", with_address(city="New York"), hashed(ct="newyork")),
    Row("F039", with_address(state="California"), hashed(st="ca")),
    Row("F040", with_address(postalCode="SW1A 1AA"), hashed(zp="sw1a1aa")),
    Row("F041", with_traits(birthday="1997-02-16"), {**hashed(db="19970216"), "user_data.bd": ABSENT}),
    Row("F042", with_traits(), NO_MATCH_KEY, silent=" ".join(code for code in WARNINGS if "invalid" in code)),
    Row("F042", with_traits(email=None, phone=None, name=None, gender=None, birthday=None, address={"city": None}),
        NO_MATCH_KEY, silent=" ".join(code for code in WARNINGS if "invalid" in code)),
    Row("F044", track(properties={"email": "Jo@Ex.com"}), {"user_data.em": ABSENT, "custom_data.email": ABSENT},
        "pii_in_properties"),
    Row("F044", track(properties={"email": "Jo@Ex.com"}), {"user_data.em": ABSENT, "custom_data.email": "Jo@Ex.com"},
        "pii_in_properties", settings={"custom_data_pii": "send"}),
    Row("F044", track(properties={"email": "Jo@Ex.com"}),
        {"user_data.em": ABSENT, "custom_data.email": sha("jo@ex.com")}, "pii_in_properties",
        settings={"custom_data_pii": "hash"}),
    Row("F045", with_traits(name="John Doe"), hashed(fn="john", ln="doe")),
    Row("F046", track(properties={"fbp": FBP, "fbc": FBC}),
        {"user_data.fbp": FBP, "user_data.fbc": FBC, "custom_data.fbp": ABSENT, "custom_data.fbc": ABSENT}),
    # Value, currency, other properties
    *(
        Row("F047", track(event, {"revenue": 39.95}), {**value(39.95), "custom_data.revenue": ABSENT})
        for event in ("Order Completed", "Checkout Started", "Products Searched", "Clicked Email")
    ),
    Row("F047", track(properties={"revenue": -5}), value(-5)),
    Row("F048", track("Product Added", {"price": 18.99}), value(18.99)),
    Row("F049", track("Product Viewed", {"price": 18.99}), value(18.99)),
    Row("F050", track("Product Added", {"price": 18.99, "value": 5}), value(5), settings={"value_field": "value"}),
    Row("F051", track("Product Added", {"revenue": 9, "price": 18.99}), value(18.99)),
    Row("F052", track("Product List Viewed", {"revenue": 9}), value(9)),
    *(
        Row("F053", track(event, {"currency": "GBP"}), {"custom_data.currency": "GBP"})
        for event in ("Product Added", "Products Searched", "Clicked Email")
    ),
    Row("F054", track("Products Searched", {"query": "blue roses"}),
        {"custom_data.search_string": "blue roses", "custom_data.query": ABSENT}),
    Row("F055", track(properties={"status": "done"}), {"custom_data.status": "done"}),
    Row("F056", purchase({"products": [{"product_id": 1, "quantity": "2", "price": 19}]}),
        {"custom_data.contents": [{"id": "1", "quantity": 2, "item_price": 19}]}),
    Row("F057", purchase({"products": [GAME]}),
        {"custom_data.contents": [{"id": "g-32", "quantity": 2, "item_price": 18.99}]}),
    Row("F058", purchase({"products": [{"product_id": "a"}, {"product_id": "b"}]}),
        {"custom_data.num_items": 2, "custom_data.contents": [{"id": "a"}, {"id": "b"}]}),
    *(
        Row("F059", purchase({"products": products}), NO_CONTENTS, "products_not_array")
        for products in (GAME, "g-32", {}, "")
    ),
    *(
        Row("F060", track(event, {"revenue": 5, "products": [], "product_id": "p", "category": "Games"}),
            {**NO_CONTENTS, **NO_CONTENT_TYPE}, silent="products_not_array product_without_id")
        for event in ("Order Completed", "Product List Viewed", "Product Added")
    ),
    Row("F061", purchase({"products": [{**GAME, "name": "Monopoly", "sku": "s", "category": "Games"}]}),
        {"custom_data.contents": [{"id": "g-32", "quantity": 2, "item_price": 18.99}]}),
    Row("F062", track(properties={"coupon": "MAYDEALS", "brand": "Hasbro", "cart_id": "c"}),
        {"custom_data.coupon": "MAYDEALS", "custom_data.brand": "Hasbro", "custom_data.cart_id": "c"}),
    Row("F063",
        purchase({"currency": "EUR", "products": [GAME], "query": "q", "fbp": FBP, "fbc": FBC, "action_source": "email",
        "actionSource": "email", "event_id": "e", "value": 3}),
        {**{f"custom_data.{name}": ABSENT for name in ("revenue", "products", "query", "fbp", "fbc")},
        **{f"custom_data.{name}": ABSENT for name in ("action_source", "actionSource", "event_id")},
        "custom_data.currency": "EUR", "custom_data.value": 5}),
    Row("F064", track("Product Viewed", {"product_id": "c-1", "category": "cars"}),
        {"custom_data.content_type": "vehicle"}, settings=VEHICLES),
    Row("F064", track(properties={"category": "cars"}), {"custom_data.content_type": "vehicle"}, settings=VEHICLES),
    Row("F064", track("Product List Viewed", {"category": "cars"}),
        {"custom_data.content_type": "vehicle", "custom_data.content_ids": ["cars"]}, settings=VEHICLES),
    Row("F065", purchase({"products": [GAME]}), {"custom_data.content_type": "product"}),
    Row("F065", track("Product List Viewed", {"category": "Games"}), {"custom_data.content_type": "product_group"}),
    Row("F066", track("My Custom Event", {"checkinDate": "2026-11-20T00:00:00.000Z", "myCoolProperty": "foobar"}),
        {"event_name": "My Custom Event", "custom_data.checkinDate": "2026-11-20T00:00:00.000Z",
        "custom_data.myCoolProperty": "foobar"}),
    # Action source
    Row("F067", track(), {"action_source": "website"}),
    Row("F068", track(properties={"action_source": "email"}), {"action_source": "email"}),
    Row("F069", track(properties={"actionSource": "phone_call"}),
        {"action_source": "phone_call", "custom_data.actionSource": ABSENT}),
    *(
        Row(row, track(properties={"action_source": source}), {"action_source": source})
        for row, source in (
            ("F070", "chat"),
            ("F071", "other"),
            ("F072", "phone_call"),
            ("F073", "physical_store"),
            ("F074", "system_generated"),
            ("F075", "website"),
        )
    ),
    *(
        Row("F076", track(properties={"action_source": source}), reason="invalid_action_source")
        for source in ("bogus", "Website", " website", 1, True, False, [], {})
    ),
    Row("F077", track(context={"page": {"url": "https://shop.example/"}}), {"user_data.client_user_agent": ABSENT},
        "missing_client_user_agent", "missing_event_source_url"),
    Row("F078", track(context={"userAgent": BROWSER}), {"event_source_url": ABSENT}, "missing_event_source_url",
        "missing_client_user_agent"),
    *(
        Row("F078", track(context={"page": {"url": url}}), {"event_source_url": ABSENT}, "missing_event_source_url")
        for url in ("", None, 5, {})
    ),
    Row("F079", track(properties={"action_source": "email"}), silent=NO_ADDRESS_WARNINGS),
    # Limited Data Use
    Row("F083", with_options(CAPI_NAME, **CALIFORNIA_OPTIONS), NO_LDU, settings={"limited_data_use": False}),
    Row("F084", track(), LDU, settings=LDU_ON),
    Row("F085", with_options(CAPI_NAME, **CALIFORNIA_OPTIONS), CALIFORNIA, settings=LDU_ON),
    Row("F086", with_options(CAPI_NAME, dataProcessingOptions=[["LDU"], 1, 1000]),
        {**CALIFORNIA, "data_processing_options": ["LDU"]}, settings=LDU_ON),
    Row("F087", with_options(CAPI_NAME, **CALIFORNIA_OPTIONS), NO_LDU),
    Row("F088", track(context={"ip": "192.0.2.7"}), {"user_data.client_ip_address": "192.0.2.7", **LDU},
        settings=LDU_ON),
    *(
        Row("F089", with_options(CAPI_NAME, dataProcessingOptions=given), LDU, "invalid_data_processing_options",
            settings=LDU_ON)
        for given in (
            "LDU", [[]], [[], "1", 1000], [["ldu"], 1, 1000], [[], True, 1000], [[], 1, True], [[], 1, 1000, 0], {}, 0,
        )
    ),
    # Who it was
    Row("F096", track(), {"user_data": {"external_id": sha("u1")}}),
    Row("F098", track(userId=None, anonymousId="a-77"), {"user_data": {"external_id": sha("a-77")}}),
    Row("F099", purchase(context={"traits": {"email": "jo@ex.com"}}), {**hashed(em="jo@ex.com"), **external_id("u1")}),
    Row("F100", track("Ticket Closed", {"action_source": "other"}),
        {"event_name": "Ticket Closed", "action_source": "other"}),
    Row("F101", with_traits(email="jo@ex.com", gender="f"), hashed(em="jo@ex.com", ge="f")),
    Row("F102", track(context={"ip": "2001:db8::1"}), {"user_data.client_ip_address": "2001:db8::1"}),
    # The tables and names of Offline
    offline("F105", track(), reason="event_not_mapped", settings={"event_sets": {"Order Completed": SET_1}}),
    offline("F106", purchase(), {"event_name": "Purchase"}),
    offline("F107", track("Lead Generated"), {"event_name": "Lead"},
        settings={"event_sets": {}, "lead_event_sets": {"Lead Generated": SET_1}}),
    offline("F108", track("Signed Up"), {"event_name": "CompleteRegistration"},
        settings={"event_sets": {}, "complete_registration_event_sets": {"Signed Up": SET_1}}),
    *(
        offline(row, track(event, {"revenue": 5, "value": 7}), {"event_name": name, **value(amount)})
        for row, event, name, amount in (
            ("F110", "Products Searched", "Search", 7), ("F111", "Product Viewed", "ViewContent", 7),
            ("F112", "Product List Viewed", "ViewContent", 7),
            ("F113", "Product Added to Wishlist", "AddToWishlist", 7), ("F114", "Product Added", "AddToCart", 7),
            ("F115", "Checkout Started", "InitiateCheckout", 7), ("F116", "Payment Info Entered", "AddPaymentInfo", 7),
            ("F117", "Order Completed", "Purchase", 5), ("F118", "Visited Showroom", "Visited Showroom", 5),
        )
    ),
    *(
        offline(row, track(event), value(ABSENT), silent="value_field_missing")
        for row, event in (
            ("F110", "Products Searched"), ("F113", "Product Added to Wishlist"), ("F115", "Checkout Started"),
            ("F116", "Payment Info Entered"), ("F118", "Visited Showroom"),
        )
    ),
    *(
        offline(row, track(event), value(ABSENT), warns="value_field_missing")
        for row, event in (("F111", "Product Viewed"), ("F112", "Product List Viewed"), ("F114", "Product Added"))
    ),
    offline("F120", track(timestamp="2026-11-20T08:30:00.999Z"), {"event_time": 1795163400}),
    offline("F121", purchase({"currency": "EUR"}), {"custom_data.currency": "EUR"}),
    offline("F122", track("Product Viewed", {"value": 7, "price": 9}), value(7)),
    offline("F123", track("Product Viewed", {"value": 7, "price": 9}), value(9), settings={"value_field": "price"}),
    offline("F124", track("Product List Viewed", {"value": 7, "price": 9}), value(7)),
    offline("F124", track("Product List Viewed", {"value": 7, "price": 9}), value(9),
        settings={"value_field": "price"}),
    *(
        offline("F125", purchase({"revenue": 39.95, "value": 1, "price": 2}), value(39.95),
            settings={"value_field": field})
        for field in ("value", "price")
    ),
    offline("F126", track("Product List Viewed", {"category": "Games", "products": [GAME]}),
        {"custom_data.content_type": "product_group", "custom_data.content_ids": ["Games"],
        "custom_data.contents": ABSENT}),
    offline("F126", track("Product List Viewed", {"category": "Games", "products": []}),
        {"custom_data.content_type": "product_group", "custom_data.content_ids": ["Games"],
        "custom_data.num_items": ABSENT}, silent="products_not_array"),
    offline("F127", purchase({"products": [{"product_id": "p1"}, {"product_id": "p2"}]}),
        {"custom_data.content_type": "product", "custom_data.content_ids": ["p1", "p2"]}),
    offline("F128", track("Product Added", {"product_id": "product12356"}),
        {"custom_data.content_ids": ["product12356"], "custom_data.content_type": "product"}),
    offline("F129", purchase({"shippingMethod": "2-day"}), {"custom_data.shippingMethod": "2-day"}),
    # Whom Offline knows
    offline("F130", track(), {"user_data": {"external_id": sha("u1")}}),
    offline("F131", track(userId=None, anonymousId="a1"), reason="insufficient_match_keys"),
    offline("F132", with_traits(email="Ham@Solo.com"), hashed(em="ham@solo.com")),
    offline("F133", with_traits(phone="+1 401 234 5678"), hashed(ph="14012345678")),
    offline("F134", with_traits(gender="m"), hashed(ge="m")),
    offline("F135", with_address(city="East Greenwich"), hashed(ct="eastgreenwich")),
    offline("F136", with_address(state="RI"), hashed(st="ri")),
    offline("F137", with_address(postalCode="02818"), hashed(zp="02818")),
    offline("F138", with_address(country="USA"), hashed(country="us")),
    offline("F139", with_traits(firstName="Ham", lastName="Solo"), hashed(fn="ham", ln="solo")),
    offline("F140", with_traits(name="ham solo"), hashed(fn="ham", ln="solo")),
    offline("F141", with_traits(name="ben solo", firstName="Han", lastName="Ford"), hashed(fn="han", ln="ford")),
    offline("F142", track(context={OFFLINE_NAME: {"leadId": "123456789012345"}}),
        {"user_data.lead_id": "123456789012345"}),
    offline("F143", with_options(OFFLINE_NAME, leadId="123456789012345"), {"user_data.lead_id": "123456789012345"}),
    offline("F145", track(), {**NO_LDU, "data_processing_options": []}, settings=LDU_ON),
    offline("F146", with_options(OFFLINE_NAME, **CALIFORNIA_OPTIONS), CALIFORNIA, settings=LDU_ON),
    offline("F147", with_options(OFFLINE_NAME, **CALIFORNIA_OPTIONS), NO_LDU),
    offline("F148", track(context={"ip": "192.0.2.7"}), {"user_data.client_ip_address": ABSENT}),
    offline("F150", aged(timedelta(days=62, seconds=1)), reason="event_too_old"),
    offline("F151", track(context={"library": {"name": "analytics.js"}, "userAgent": BROWSER}), {"event_id": "m-1"}),
    offline("F152", {"type": "identify", "userId": "u1", "traits": {"audience_high_value": True}},
        reason="unsupported_type", settings={"event_sets": {}}),
    # Names of version 1, tables without case
    Row("F155", track("Completed Order", {"revenue": 5}), {"event_name": "Purchase", **value(5)}),
    Row("F156", track("Added Product", {"price": 3}), {"event_name": "AddToCart", **value(3)}),
    Row("F156", track("Viewed Product", {"price": 3}), {"event_name": "ViewContent", **value(3)}),
    Row("F157", track("Viewed Product Category", {"category": "Games", "revenue": 9}),
        {"event_name": "ViewContent", "custom_data.content_ids": ["Games"], **value(9)}),
    Row("F158", track("Searched Products"), {"event_name": "Search"}),
    Row("F158", track("Started Order"), {"event_name": "InitiateCheckout"}),
    offline("F159", track("Completed Order", {"revenue": 5}), {"event_name": "Purchase"},
        settings={"event_sets": {"Order Completed": SET_1}}),
    *(
        Row("F160", track(event, {"revenue": 5}), {"event_name": "Purchase"})
        for event in ("order completed", "ORDER COMPLETED")
    ),
    *(
        Row("F161", track(event), {"event_name": name},
            settings={"standard_events": {"signup": "Lead", "SignUp": "Subscribe"}})
        for event, name in (("SignUp", "Subscribe"), ("SIGNUP", "Lead"))
    ),
    Row("F162", track("Product Added"), {"event_name": "AddToWishlist"},
        settings={"standard_events": {"Product Added": "AddToWishlist"}}),
    Row("F163", track("Purchase", {"revenue": 5}), {"event_name": "Purchase", **value(5)}),
    Row("F163", track("Purchase"), reason="missing_value"),
    Row("F163", track("Purchase", {"revenue": 5, "currency": "dollars"}), reason="invalid_currency"),
    Row("F165", track("\N{GRINNING FACE}" * 50), {"event_name": "\N{GRINNING FACE}" * 50}),
    Row("F165", track("\N{GRINNING FACE}" * 51), reason="event_name_too_long"),
    # The integrations object and consent
    Row("F166", track(integrations={"All": False}), reason="integration_disabled"),
    *(
        Row("F167", track(integrations={"All": False, CAPI_NAME: given}), {"event_id": "m-1"})
        for given in (True, {}, {"custom": 1})
    ),
    Row("F168", track(integrations={"facebook conversions api": False}), {"event_id": "m-1"}),
    *(
        Row("F169", track(integrations=given), reason="integration_disabled")
        for given in (
            {CAPI_NAME: True, "Facebook Conversions": False},
            {CAPI_NAME: False, "Facebook Conversions API (Actions)": True},
        )
    ),
    Row("F170", track(integrations={OFFLINE_NAME: False}), {"event_id": "m-1"}),
    offline("F170", track(integrations={OFFLINE_NAME: False}), reason="integration_disabled"),
    Row("F171", allowing(advertising=True), {"event_id": "m-1"}, settings=ADVERTISING),
    *(
        Row("F172", call, reason="consent_missing", settings=ADVERTISING)
        for call in (allowing(advertising=False), allowing(analytics=True), track())
    ),
    *(
        Row("F173", call, reason="consent_missing", settings={"consent_categories": ["advertising", "sale"]})
        for call in (allowing(advertising=True), allowing(advertising=False, sale=True))
    ),
    Row("F174", allowing(advertising=False), {"event_id": "m-1"}),
    offline("F172", track(), reason="consent_missing", settings=ADVERTISING),
    Row("F175", {"type": "page", "userId": "u1", "name": "Home", "properties": {"title": "Hello", "revenue": 3}},
        {"event_name": "PageView", "custom_data": {"value": 3, "currency": "USD", "title": "Hello"}},
        settings=PAGE_VIEWS),
    Row("F175",
        {"type": "page", "userId": "u1", "name": "Product Viewed", "properties": {"price": 3, "product_id": "p"}},
        {"custom_data": {"currency": "USD", "price": 3, "product_id": "p"}}, silent="value_field_missing",
        settings=PAGE_VIEWS),
    Row("F175", {"type": "page", "userId": "u1", "properties": {"url": "https://shop.example/?mail=jo@ex.com"}},
        {"event_source_url": f"https://shop.example/?mail={sha('jo@ex.com')}",
        "custom_data.url": f"https://shop.example/?mail={sha('jo@ex.com')}"}, "pii_in_properties",
        "missing_event_source_url", settings=PAGE_VIEWS),
    Row("F175",
        {"type": "page", "userId": "u1", "properties": {"url": "https://a.example/"},
        "context": {"page": {"url": "https://b.example/"}}},
        {"event_source_url": "https://b.example/", "custom_data.url": "https://a.example/"}, settings=PAGE_VIEWS),
    Row("F175", {"type": "screen", "userId": "u1"}, reason="unsupported_type", settings=PAGE_VIEWS),
    Row("F176", {"type": "identify", "userId": "u1", "integrations": {"All": False}}, reason="unsupported_type"),
    # Traits: names, spellings, lists, hashes, faults
    Row("F177", with_traits(name="Mary Jane Watson"), hashed(fn="mary", ln="watson")),
    Row("F177", with_traits(name="Cher"), {**hashed(fn="cher"), "user_data.ln": ABSENT}),
    Row("F178", with_traits(name="Ham Solo", firstName="Han"), hashed(fn="han", ln="solo")),
    Row("F179", with_traits(first_name="Han", last_name="Solo", address={"postal_code": "02818"}),
        hashed(fn="han", ln="solo", zp="02818")),
    Row("F179", with_address(zip="02818"), hashed(zp="02818")),
    Row("F179", with_traits(firstName="A", first_name="B", lastName="C", last_name="D"), hashed(fn="a", ln="c")),
    Row("F180", with_traits(gender="Male"), hashed(ge="m")),
    Row("F180", with_address(country="USA"), hashed(country="us")),
    Row("F181", with_traits(email=["A@x.com", "a@x.com ", "b@x.com"]),
        {"user_data.em": [sha("a@x.com"), sha("b@x.com")]}),
    Row("F181", with_traits(email=["nobody", "b@x.com"]), hashed(em="b@x.com"), "invalid_email"),
    Row("F182", with_traits(email=sha("jo@ex.com").upper()), hashed(em="jo@ex.com")),
    *(
        Row("F183", with_traits(email="a1" * (digits // 2)), {"user_data.em": ABSENT}, "unsupported_hash")
        for digits in (32, 40, 128)
    ),
    *(Row("F184", with_traits(email=given), {"user_data.em": ABSENT}, "invalid_email") for given in ("", "foo@bar")),
    Row("F185", with_traits(phone="4011234567", address={"country": "USA"}), hashed(ph="14011234567")),
    Row("F186", with_traits(phone="020 7946 0958"), hashed(ph="442079460958"),
        settings={"default_phone_country": "GB"}),
    Row("F187", with_traits(phone="020 7946 0958"), hashed(ph="2079460958"), "phone_without_country_code"),
    *(
        Row("F188", with_traits(phone=phone), {"user_data.ph": ABSENT}, "invalid_phone")
        for phone in ("911", "1-800-FLOWERS")
    ),
    *(
        Row("F189", with_traits(birthday="05-03-1995"), hashed(db=text), settings={"day_first_dates": is_day_first})
        for is_day_first, text in ((False, "19950503"), (True, "19950305"))
    ),
    *(
        Row("F190", with_traits(birthday=birthday), {"user_data.db": ABSENT}, "invalid_birthday")
        for birthday in ("19971302", "02/16/97")
    ),
    Row("F191", with_traits(gender="non-binary"), {"user_data.ge": ABSENT}, "invalid_gender"),
    Row("F192", track(userId=" User 42 "), external_id("user42")),
    Row("F192", track(userId=42), external_id("42")),
    Row("F193", track(userId=" User 42 "), {"user_data.external_id": "user42"}, settings={"hash_external_id": False}),
    Row("F194", with_traits(email="jo@ex.com"), external_id("jo@ex.com"),
        settings={"hash_external_id": False, "external_id_field": "context.traits.email"}),
    *(
        Row("F195", track(properties=properties, context=context), {"user_data.fbp": f"fb.1.1.{n}"})
        for n, properties, context in (
            (1, {"fbp": "fb.1.1.1"}, {"clientIds": {"fbp": "fb.1.1.2"}, "fbp": "fb.1.1.3"}),
            (2, {}, {"clientIds": {"fbp": "fb.1.1.2"}, "fbp": "fb.1.1.3"}),
            (3, {}, {"fbp": "fb.1.1.3"}),
        )
    ),
    *(
        Row("F195", track(properties=properties, context=context), {"user_data.fbc": f"fb.1.1.{n}"})
        for n, properties, context in (
            ("a", {"fbc": "fb.1.1.a"}, {"clientIds": {"fbc": "fb.1.1.b"}, "fbc": "fb.1.1.c"}),
            ("b", {}, {"clientIds": {"fbc": "fb.1.1.b"}, "fbc": "fb.1.1.c"}),
            ("c", {}, {"fbc": "fb.1.1.c"}),
        )
    ),
    *(
        Row(row,
            track(properties=properties, context={"page": {"url": "https://s.example/?fbclid=AbC_9"}},
            timestamp="2026-11-21T11:59:58.250Z"), {"user_data.fbc": "fb.1.1795262398250.AbC_9"}, warns)
        for row, properties, warns in (("F196", {}, ""), ("F197", {"fbc": "abc"}, "invalid_fbc"))
    ),
    Row("F198", track(properties={"fbp": "fb.1.x.9"}), {"user_data.fbp": ABSENT}, "invalid_fbp"),
    *(
        Row("F199", track(context={"ip": ip}), {"user_data.client_ip_address": ABSENT}, "invalid_client_ip_address")
        for ip in ("10.0.0.5", "0.0.0.0", "127.0.0.1", "x")
    ),
    *(
        Row("F200", track(context={"userAgent": agent, "traits": traits}), reason="insufficient_match_keys",
            settings=BY_EXTERNAL_ID)
        for agent, traits in (
            (BROWSER,
                {"gender": "f", "address": {"city": "Bristol", "state": "RI", "postalCode": "02809", "country": "US"}}),
            (BROWSER, {"birthday": "1997-02-16"}),
            (None, {"firstName": "Jo", "gender": "f"}),
            (None, {"lastName": "Smith", "gender": "f"}),
            (None, {"address": {"city": "Bristol", "country": "US"}}),
            (BROWSER, {}),
            (None, {}),
        )
    ),
    Row("F201", with_traits(firstName="Jo", lastName="Smith"), {"user_data": {"fn": sha("jo"), "ln": sha("smith")}},
        settings=BY_EXTERNAL_ID),
    Row("F201", track(context={"ip": "192.0.2.7", "userAgent": BROWSER}),
        {"user_data": {"client_ip_address": "192.0.2.7", "client_user_agent": BROWSER}}, settings=BY_EXTERNAL_ID),
    # Value and currency, the fine print
    Row("F202", track("Order Completed", {"total": 12}), {**value(12), "custom_data.total": 12}, "value_from_total",
        "value_from_value"),
    Row("F203", track("Order Completed", {"value": 11}), value(11), "value_from_value", "value_from_total"),
    Row("F204", purchase({"revenue": 9, "total": 12, "value": 11}), {**value(9), "custom_data.total": 12},
        silent="value_from_total value_from_value property_overridden"),
    Row("F205", purchase({"revenue": "$1,234.50"}), value(1234.5), "value_coerced"),
    Row("F206", purchase({"revenue": "39.95"}), value(39.95), silent="value_coerced"),
    *(Row("F206", purchase({"revenue": revenue}), value(2**53)) for revenue in (2**53, str(2**53))),
    *(
        Row("F207", track("Checkout Started", {"revenue": given, "total": 3, "value": 4}), value(ABSENT),
            "invalid_value", "value_from_total value_from_value value_coerced")
        for given in ("12,50", True, [], "", "1,23", "12,5000", 2**53 + 1, str(2**53 + 1), "1e3")
    ),
    Row("F207", track("Checkout Started", {"total": "n/a"}), value(ABSENT), "invalid_value", "value_from_total"),
    *(
        Row("F208", track("Order Completed", properties), reason="missing_value")
        for properties in ({}, {"revenue": "abc"}, {"revenue": None}, {"revenue": "abc", "total": 5})
    ),
    Row("F209", purchase({"revenue": 0}), value(0)),
    Row("F210", track("Paid"), reason="missing_value", settings={"standard_events": {"Paid": "Purchase"}}),
    Row("F211", track("Product Added", {"revenue": 5, "value": 5}), value(ABSENT), "value_field_missing"),
    Row("F212", track(), value(ABSENT), silent="value_field_missing invalid_value"),
    Row("F213", track(properties={"currency": " eur "}), {"custom_data.currency": "EUR"}),
    *(
        Row("F214", purchase({"currency": currency}), reason="invalid_currency")
        for currency in ("dollars", 978, "XYZ", False, [])
    ),
    Row("F215", track(properties={"revenue": 5, "currency": "dollars"}), {**value(ABSENT), "custom_data": ABSENT},
        "invalid_currency"),
    *(
        Row("F216", purchase({"currency": currency}), {"custom_data.currency": "USD"}, silent="invalid_currency")
        for currency in (None, "", " ")
    ),
    # Products
    *(
        Row("F217", track(event, {"product_id": "p", "quantity": 2, "price": 3}),
            {"custom_data.contents": [{"id": "p", "quantity": 2, "item_price": 3}], "custom_data.content_ids": ["p"],
            "custom_data.content_type": "product", "custom_data.num_items": ABSENT, "custom_data.product_id": "p",
            "custom_data.quantity": 2, "custom_data.price": 3})
        for event in ("Product Viewed", "Product Added", "Product Added to Wishlist")
    ),
    *(
        Row("F218", call, {"custom_data.content_ids": [content_id]})
        for product, content_id in (
            ({"sku": "s", "id": "i"}, "s"),
            ({"id": "i"}, "i"),
            ({"product_id": "p", "sku": "s", "id": "i"}, "p"),
            ({"product_id": None, "sku": "", "id": 7}, "7"),
            ({"product_id": True, "sku": 7.0}, "7"),
            ({"product_id": 7.5}, "7.5"),
            ({"product_id": 10**19}, "10000000000000000000"),
        )
        for call in (track("Product Added", product), purchase({"products": [product]}))
    ),
    Row("F219", track("Product Viewed", {"price": 3, "name": "Monopoly"}), {**NO_CONTENTS, **NO_CONTENT_TYPE},
        silent="product_without_id"),
    Row("F220", track("Products Searched", {"query": "x", "product_id": "p"}),
        {"custom_data.contents": [{"id": "p"}], "custom_data.content_ids": ["p"]}),
    Row("F220", track("Products Searched", {"query": "x"}), {**NO_CONTENTS, **NO_CONTENT_TYPE}),
    Row("F220", track("Products Searched", {"query": ""}), {"custom_data.search_string": ABSENT}),
    Row("F221", track("Product Added", {"product_id": "p", "products": [{"product_id": "a"}]}),
        {"custom_data.content_ids": ["a"], "custom_data.contents": [{"id": "a"}], "custom_data.num_items": 1}),
    Row("F222", purchase({"products": [{"product_id": "a"}, {"price": 2}, "x"]}),
        {"custom_data.contents": [{"id": "a"}], "custom_data.content_ids": ["a"], "custom_data.num_items": 3},
        "product_without_id"),
    Row("F222", purchase({"products": [{"price": 2, "category": "cars"}]}),
        {"custom_data.content_ids": ABSENT, "custom_data.content_type": "vehicle", "custom_data.num_items": 1},
        "product_without_id", settings=VEHICLES),
    *(
        Row("F223", purchase({"products": [{"id": "a", **given}]}), {"custom_data.contents": [{"id": "a", **kept}]},
            *codes)
        for given, kept, codes in (
            ({"quantity": 0}, {"quantity": 0}, ("", "invalid_quantity")),
            ({"quantity": 2.0}, {"quantity": 2}, ("", "invalid_quantity")),
            ({"quantity": 1.5}, {}, ("invalid_quantity", )),
            ({"quantity": -1}, {}, ("invalid_quantity", )),
            ({"quantity": True}, {}, ("invalid_quantity", )),
            ({}, {}, ("", "invalid_quantity")),
            ({"quantity": None}, {}, ("", "invalid_quantity")),
        )
    ),
    *(
        Row("F224", purchase({"products": [{"id": "a", "price": given}]}), {"custom_data.contents": [kept]}, *codes)
        for given, kept, codes in (
            ("18.99", {"id": "a", "item_price": 18.99}, ("", "invalid_item_price")),
            ("abc", {"id": "a"}, ("invalid_item_price", )),
        )
    ),
    Row("F225", track("Product List Viewed", {"category": "Games", "products": [{"product_id": "a"}]}),
        {"custom_data.content_ids": ["a"], "custom_data.content_type": "product", "custom_data.contents": [{"id": "a"}],
        "custom_data.num_items": 1}),
    *(
        Row("F226", track("Product List Viewed", {"category": "Games", **properties}),
            {"custom_data.content_ids": ["Games"], "custom_data.content_type": "product_group",
            "custom_data.contents": ABSENT})
        for properties in ({}, {"products": [{"price": 2}]})
    ),
    *(
        Row("F227", track("Product List Viewed", properties), {"custom_data.content_ids": ABSENT, **NO_CONTENT_TYPE})
        for properties in ({}, {"products": [{"price": 2}]}, {"category": 7}, {"category": ""})
    ),
    *(
        Row("F228", purchase({"products": [{"product_id": "a", "category": category}]}),
            {"custom_data.content_type": content_type},
            settings={"content_types": {"CARS": "other", "cars": "vehicle"}})
        for category, content_type in (("cars", "vehicle"), ("CARS", "other"), ("Cars", "other"), ("boats", "product"))
    ),
    Row("F229", purchase({"content_type": "hotel", "category": "rooms", "products": [GAME]}),
        {"custom_data.content_type": "hotel"}, settings=VEHICLES),
    Row("F229", purchase({"content_type": "hotel", "category": "cars", "products": [GAME]}),
        {"custom_data.content_type": "vehicle"}, settings=VEHICLES),
    Row("F229", track("Product List Viewed", {"content_type": "hotel", "category": "rooms"}),
        {"custom_data.content_type": "hotel", "custom_data.content_ids": ["rooms"]}),
    Row("F229", purchase({"content_type": 7, "products": [GAME]}), {"custom_data.content_type": "product"},
        "property_overridden"),
    Row("F230", track(properties={"content_ids": ["x"], "contents": [{"id": "x"}]}),
        {"custom_data.content_ids": ["x"], "custom_data.contents": [{"id": "x"}]}, silent="property_overridden"),
    Row("F230", purchase({"content_ids": ["x"], "contents": [{"id": "x"}], "products": [{"id": "a"}]}),
        {"custom_data.content_ids": ["a"], "custom_data.contents": [{"id": "a"}]}, "property_overridden"),
    Row("F231", purchase({"category": "Games"}), NO_CONTENT_TYPE, settings=VEHICLES),
    Row("F232", track(properties={"a": None, "b": {"c": None, "d": 1}, "e": [1, None]}),
        {"custom_data": {"currency": "USD", "b": {"d": 1}, "e": [1]}}),
    Row("F232", purchase({"content_ids": None, "products": [GAME]}), {"custom_data.content_ids": ["g-32"]},
        silent="property_overridden"),
    Row("F233", track("Products Searched", {"query": {"brand": "Hasbro", "max": 5}}),
        {"custom_data.search_string": '{"brand":"Hasbro","max":5}'}),
    Row("F234", purchase({"order_id": "A-1001", "tax": 4.2, "shipping": 3, "subtotal": 22}),
        {"custom_data.order_id": "A-1001", "custom_data.tax": 4.2, "custom_data.shipping": 3,
        "custom_data.subtotal": 22}),
    Row("F235", track(properties={"event_id": "e-9"}), {"event_id": "e-9", "custom_data.event_id": ABSENT}),
    # Personal data among the properties
    *(
        Row("F236", track(properties={"kept": 1, **properties}),
            {"custom_data": {"currency": "USD", "kept": 1, **kept}}, "pii_in_properties")
        for properties, kept in (
            ({"EMAIL": "x"}, {}), ({"phone": 6505551212}, {}), ({"first_name": "Jo"}, {}), ({"firstName": "Jo"}, {}),
            ({"Last_Name": "Smith"}, {}), ({"birthday": "1997-02-16"}, {}),
            ({"buyer": {"lastName": "Smith", "tier": "gold"}}, {"buyer": {"tier": "gold"}}),
            ({"buyers": [{"phone": "1"}, {"tier": "gold"}]}, {"buyers": [{}, {"tier": "gold"}]}),
            ({"contact": "Jo@Ex.com"}, {}),
            ({"contacts": [" jo@ex.com ", "desk 3"]}, {"contacts": ["desk 3"]}),
            ({"query": "jo@ex.com"}, {}),
        )
    ),
    *(
        Row("F236", track(properties={name: given}), {f"custom_data.{name}": kept}, "pii_in_properties",
            settings={"custom_data_pii": rule})
        for name, given, rule, kept in (
            ("phone", "+1 (650) 555-1212", "hash", sha("16505551212")),
            ("phone", "+1 (650) 555-1212", "send", "+1 (650) 555-1212"),
            ("last_name", "O'Connor", "hash", sha("oconnor")),
            ("birthday", "2/16/1997", "hash", sha("19970216")),
            ("birthday", "soon", "hash", ABSENT),
            ("phone", {"home": 1}, "hash", ABSENT),
            ("contact", "Jo@Ex.com", "hash", sha("jo@ex.com")),
            ("page", "/?mail=jo@ex.com", "drop", f"/?mail={sha('jo@ex.com')}"),
            ("page", "/?mail=jo@ex.com", "send", "/?mail=jo@ex.com"),
            ("contact", "Jo@Ex.com", "send", "Jo@Ex.com"),
        )
    ),
    Row("F236",
        track(properties={"city": "Bristol", "state": "RI", "zip": "02809", "country": "US", "gender": "f",
        "name": "Go"}),
        {"custom_data": {"currency": "USD", "city": "Bristol", "state": "RI", "zip": "02809", "country": "US",
        "gender": "f", "name": "Go"}}, silent="pii_in_properties"),
    Row("F236", track(properties={"customer": {"email": None, "tier": "gold"}}),
        {"custom_data.customer": {"tier": "gold"}}, silent="pii_in_properties"),
    # Sources and times, the fine print
    *(
        Row("F237", track(properties={"action_source": source}), {"action_source": source},
            "action_source_needs_more_fields")
        for source in ("app", "business_messaging")
    ),
    Row("F238", track(properties={"action_source": "email", "actionSource": "chat"}), {"action_source": "email"}),
    Row("F238", track(properties={"action_source": "", "actionSource": None}), {"action_source": "website"}),
    Row("F238", track(properties={"action_source": "", "actionSource": "chat"}), {"action_source": "chat"}),
    Row("F239", aged(-timedelta(hours=1)), {"event_time": RECEIVED_SECONDS}, "event_time_in_future"),
    Row("F240", aged(timedelta(days=7)), {"event_time": RECEIVED_SECONDS - 7 * 86_400}),
    Row("F240", aged(timedelta(days=7, seconds=1)), reason="event_too_old"),
    Row("F241", aged(timedelta(days=30), {"action_source": "physical_store"}),
        {"event_time": RECEIVED_SECONDS - 30 * 86_400}),
    Row("F241", aged(timedelta(days=62), {"action_source": "physical_store"})),
    Row("F241", aged(timedelta(days=62, seconds=1), {"action_source": "physical_store"}), reason="event_too_old"),
    Row("F242", track(timestamp="2026-11-21T10:59:55.000Z", sentAt="2026-11-21T11:00:00.000Z"),
        {"event_time": RECEIVED_SECONDS - 5}),
    offline("F244", track(), {"action_source": "physical_store"}),
    offline("F244", track(properties={"action_source": "phone_call"}), {"action_source": "phone_call"}),
    offline("F244", aged(timedelta(days=8), {"action_source": "phone_call"}), reason="event_too_old"),
    offline("F245",
        track(properties={"fbp": FBP, "fbc": FBC},
        context={"ip": "192.0.2.7", "userAgent": BROWSER, "page": {"url": "https://s.example/?fbclid=AbC_9"},
        "traits": {"birthday": "1997-02-16"}}),
        {"user_data": {"db": sha("19970216"), "external_id": sha("u1")}, "event_source_url": ABSENT,
        "custom_data": {"currency": "USD"}}),
    offline("F247", track(userId=None, anonymousId="a1", context={"traits": {"email": "jo@ex.com"}}),
        {**hashed(em="jo@ex.com"), **external_id("a1")}),
    offline("F248",
        track(context={OFFLINE_NAME: {"leadId": "123456789012345"}},
        integrations={OFFLINE_NAME: {"leadId": 6543210987654321}}), {"user_data.lead_id": "6543210987654321"}),
    *(offline("F248", with_options(OFFLINE_NAME, leadId=given), {"user_data.lead_id": ABSENT}, warns="invalid_lead_id")
      for given in ("l-9", "1" * 14, "1" * 17, 1, "")),
    *(
        offline("F249", with_options(OFFLINE_NAME, dataProcessingOptions=given),
            {**NO_LDU, "data_processing_options": []}, warns="invalid_data_processing_options", settings=LDU_ON)
        for given in ("LDU", [[]], [[], "1", 1000])
    ),
    *(
        Row("F250", with_options(name, **CALIFORNIA_OPTIONS), CALIFORNIA, settings=LDU_ON)
        for name in conversions_api.INTEGRATION_NAMES
    ),
    *(
        Row("F250",
            track(integrations={"Facebook Conversions": {"dataProcessingOptions": [["LDU"], 1, 1001]},
            "Facebook Pixel Server-Side": CALIFORNIA_OPTIONS, **others}), CALIFORNIA, settings=LDU_ON)
        for others in ({}, {CAPI_NAME: True}, {CAPI_NAME: {"dataProcessingOptions": None}})
    ),
    Row("F257",
        with_traits(firstName="-", lastName="!",
        address={"city": "1", "state": "?", "postalCode": "1", "country": "xyz"}),
        {"user_data": {"external_id": sha("u1")}},
        "invalid_first_name invalid_last_name invalid_city invalid_state invalid_postal_code invalid_country"),
    *(
        Row("F258", track(properties={"externalId": given}, context={"traits": {"email": "jo@ex.com"}}),
            {"user_data.external_id": ABSENT}, "invalid_external_id", "external_id_missing", settings=BY_EXTERNAL_ID)
        for given in ({"a": 1}, "", True)
    ),
    offline("F259", purchase(), reason="missing_dataset_id", settings={"event_sets": {"Order Completed": ""}})
]
# fmt: on


def number_rows() -> list[Any]:
    """Each row under its id; the cases of one row are numbered."""
    counts = {id_: itertools.count(1) for id_ in {row.id for row in ROWS}}
    return [pytest.param(row, id=f"{row.id}-{next(counts[row.id])}") for row in ROWS]


@pytest.mark.parametrize("row", number_rows())
def test_row(row: Row) -> None:
    """A call maps as its feature row says."""
    (result,) = map_call(row.call, row.settings, row.to)
    if row.reason:
        assert isinstance(result, signalpost.Discarded)
        assert result.reason == row.reason
        return
    sent = read_sent(result)
    wrong = {path: find(sent, path) for path, expected in row.sent.items() if not is_same(find(sent, path), expected)}
    assert wrong == {}
    assert isinstance(result, signalpost.Mapped)
    assert set(row.warns.split()) <= set(result.warnings)
    assert set(row.silent.split()) & set(result.warnings) == set()


ROWS_WITH_A_TEST_OF_THEIR_OWN: set[str] = set()
Test = Callable[..., None]


def covers(*rows: str) -> Callable[[Test], Test]:
    """Name the rows that a test stands for."""

    def note(test: Test) -> Test:
        ROWS_WITH_A_TEST_OF_THEIR_OWN.update(rows)
        return test

    return note


@covers("F002")
def test_a_destination_without_any_settings_rejects_everything() -> None:
    """A missing pixel id is a reason to discard, not a fault in the settings."""
    (result,) = signalpost.map_event(parse(purchase()), signalpost.build_destination(CAPI, {}))
    assert isinstance(result, signalpost.Discarded)
    assert (result.code, result.reason) == ("INVALID_SETTINGS", "missing_pixel_id")


@covers("F001", "F106", "F107", "F108")
@pytest.mark.parametrize(
    ("to", "settings", "dataset_id"),
    [
        (CAPI, {}, PIXEL),
        (OFFLINE, {}, SET_1),
        (OFFLINE, {"event_sets": {}, "lead_event_sets": {"Signed Up": SET_2}}, SET_2),
        (OFFLINE, {"event_sets": {}, "complete_registration_event_sets": {"Signed Up": SET_2}}, SET_2),
    ],
)
def test_one_result_for_the_dataset_of_the_settings(to: str, settings: JsonObject, dataset_id: str) -> None:
    """A call becomes one server event for the pixel, or for the dataset that its table names."""
    (result,) = map_call(track("Signed Up"), settings, to)
    assert isinstance(result, signalpost.Mapped)
    assert result.dataset_id == dataset_id


@covers("F011")
def test_six_events_need_no_setting_but_the_pixel_id() -> None:
    """The built-in table has the six events, and each is a name that Meta knows."""
    names = {"Order Completed", "Product Added", "Product Viewed", "Product List Viewed", "Products Searched"}
    for event in (*names, "Checkout Started"):
        (result,) = map_call(track(event, {"revenue": 5}))
        assert read_sent(result)["event_name"] in STANDARD_EVENTS


@covers("F023")
def test_event_time_is_in_whole_seconds() -> None:
    """The time of the call is sent in seconds since 1970."""
    event = parse(track(timestamp="2021-01-01T00:00:00.000Z"), datetime(2021, 1, 1, 0, 0, 5, tzinfo=UTC))
    (result,) = signalpost.map_event(event, signalpost.build_destination(CAPI, {"pixel_id": PIXEL}))
    assert is_same(read_sent(result)["event_time"], 1609459200)


@covers("F043", "F101")
@pytest.mark.parametrize("to", [CAPI, OFFLINE])
@pytest.mark.parametrize("event", ["Order Completed", "n" * 51])
def test_no_trait_is_stored_or_sent_in_clear(to: str, event: str) -> None:
    """Neither a mapped event nor a rejected one holds a trait as it was typed or normalised."""
    traits = {
        "email": "Mary_Smith@Example.com", "phone": "+44 (0)20 7946 0958", "firstName": "Valéry", "lastName": "Kane",
        "gender": "Female", "birthday": "1997-02-16",
        "address": {"city": "Reykjavík", "state": "Somerset", "postalCode": "SW1A 1AA", "country": "Iceland"},
    }  # fmt: skip
    (result,) = map_call(track(event, {"revenue": 5}, context={"traits": traits}), to=to)
    assert result.server_event is not None
    text = result.server_event.to_json().decode().lower()
    plain = ["mary", "example", "7946", "2079460958", "valéry", "kane", "female", "1997", "0216", "reyk", "somerset"]
    assert [word for word in (*plain, "sw1a", "iceland") if word in re.sub("[0-9a-f]{64}", "", text)] == []
    assert len(re.findall('"[0-9a-f]{64}"', text)) == 11


@covers("F081", "F082", "F103")
@pytest.mark.parametrize(
    ("context", "agent", "sent"),
    [
        pytest.param({"library": {"name": "analytics-python"}}, "analytics-python/2.2", {}, id="F081"),
        pytest.param(
            {"library": {"name": "analytics.js"}, "userAgent": BROWSER, "page": {"url": "https://s.example/"}},
            "Mozilla/5.0 (another)",
            {"client_user_agent": BROWSER, "client_ip_address": "198.51.100.9"},
            id="F082",
        ),
        pytest.param(
            {"library": {"name": "analytics.js"}, "ip": "192.0.2.7"},
            None,
            {"client_ip_address": "192.0.2.7"},
            id="F103",
        ),
    ],
)
def test_what_the_connection_lends_to_a_call(context: JsonObject, agent: str | None, sent: JsonObject) -> None:
    """The connection fills in the address for a browser's call alone; what the call says wins; an SDK is no browser."""
    event = parse(track(context=context), client_ip="198.51.100.9", client_user_agent=agent)
    (result,) = signalpost.map_event(event, signalpost.build_destination(CAPI, {"pixel_id": PIXEL}))
    user_data = read_sent(result)["user_data"]
    assert {key: found for key, found in user_data.items() if key.startswith("client_")} == sent


@covers("F090", "F092")
def test_the_browser_and_the_server_name_a_person_alike() -> None:
    """Two calls that differ in their context and messageId have one name and external id, and two event ids."""
    (one,) = map_call(purchase(messageId="m-1", context={"userAgent": BROWSER, "ip": "192.0.2.7"}))
    (two,) = map_call(purchase(messageId="m-2", userId=" U1 "))
    first, second = read_sent(one), read_sent(two)
    assert first["event_name"] == second["event_name"]
    assert first["user_data"]["external_id"] == second["user_data"]["external_id"]
    assert (first["event_id"], second["event_id"]) == ("m-1", "m-2")


@covers("F091")
def test_destination_types_agree_on_the_names_of_events() -> None:
    """An event that several tables know has the same name in each, so that Meta can tell doubles."""
    online = conversions_api.DEFAULT_EVENTS
    for event in ("Order Completed", "Product Added", "Product Viewed", "Product List Viewed", "Products Searched"):
        assert online.find(event) == offline_conversions.DEFAULT_EVENTS.find(event) is not None


@covers("F095")
def test_no_setting_names_a_way_of_implementing() -> None:
    """Same events from both sides, different events, or the server alone: there is nothing to switch."""
    names = {*signalpost.ConversionsApiSettings.model_fields, *signalpost.OfflineConversionsSettings.model_fields}
    assert [name for name in names if re.search("mode|dedup|browser|server", name)] == []


@covers("F109", "F246")
def test_an_event_in_several_tables_is_sent_to_each() -> None:
    """One server event for each table, in the order event_sets, lead, complete registration, with one event_id."""
    settings = {
        "complete_registration_event_sets": {"Signed Up": SET_1},
        "lead_event_sets": {"Signed Up": SET_2},
        "event_sets": {"Signed Up": SET_1},
    }
    results = map_call(track("Signed Up"), settings, OFFLINE)
    found = [(result.dataset_id, read_sent(result)["event_name"], read_sent(result)["event_id"]) for result in results]
    assert found == [(SET_1, "Signed Up", "m-1"), (SET_2, "Lead", "m-1"), (SET_1, "CompleteRegistration", "m-1")]


@covers("F119", "F251", "F253")
def test_request_fields_travel_beside_the_events() -> None:
    """The upload tag and the test event code belong to the request; no event holds them."""
    defaults = signalpost.build_destination(OFFLINE, {"event_sets": {"Clicked Email": SET_1}})
    tagged = signalpost.build_destination(OFFLINE, {"event_sets": {"Clicked Email": SET_1}, "upload_tag": "B"})
    tested = signalpost.build_destination(CAPI, {"pixel_id": PIXEL, "test_event_code": "TEST1"})
    untested = signalpost.build_destination(CAPI, {"pixel_id": PIXEL})
    assert [destination.settings.request_fields for destination in (defaults, tagged, tested, untested)] == [
        {"upload_tag": "Segment"}, {"upload_tag": "B"}, {"test_event_code": "TEST1"}, {},
    ]  # fmt: skip
    for destination in (tagged, tested):
        (result,) = signalpost.map_event(parse(track()), destination)
        assert not {"upload_tag", "test_event_code"} & set(read_sent(result))


@covers("F153")
@pytest.mark.parametrize("to", [CAPI, OFFLINE])
def test_a_destination_that_is_switched_off(to: str) -> None:
    """Nothing is mapped for it, whatever else is wrong with the call."""
    destination = dataclasses.replace(signalpost.build_destination(to, {}), is_enabled=False)
    (result,) = signalpost.map_event(parse({"type": "identify", "userId": "u1"}), destination)
    assert result == signalpost.Discarded("destination_disabled")
    assert result.code == "DESTINATION_DISABLED"


@covers("F154", "F170")
def test_each_destination_maps_with_its_own_settings() -> None:
    """One call, two destinations of a type: each result follows its own settings."""
    (one,) = map_call(track("Signed Up"), {"standard_events": {"Signed Up": "Lead"}})
    (two,) = map_call(track("Signed Up"), {"pixel_id": "99887766", "limited_data_use": True})
    assert (read_sent(one)["event_name"], read_sent(two)["event_name"]) == ("Lead", "Signed Up")
    assert (one.dataset_id, two.dataset_id) == (PIXEL, "99887766")


@covers("F012", "F164")
def test_the_standard_names() -> None:
    """Meta has seventeen, and the settings take each of them."""
    names = [
        "ViewContent", "Search", "AddToCart", "AddToWishlist", "InitiateCheckout", "AddPaymentInfo", "Purchase", "Lead",
        "CompleteRegistration", "Contact", "CustomizeProduct", "Donate", "FindLocation", "Schedule", "StartTrial",
        "SubmitApplication", "Subscribe",
    ]  # fmt: skip
    assert sorted(STANDARD_EVENTS) == sorted(names)
    for name in names:
        (result,) = map_call(track("Done", {"revenue": 5}), {"standard_events": {"Done": name}})
        assert read_sent(result)["event_name"] == name


@pytest.mark.parametrize(
    "settings",
    [
        {"pixelId": PIXEL}, {"pixel_id": "P1"}, {"pixel_id": "1234"}, {"pixel_id": "1" * 21}, {"event_sets": {}},
        {"api_version": "26.0"}, {"api_version": "v26"}, {"default_phone_country": "USA"}, {"value_field": "total"},
        {"custom_data_pii": "keep"},
    ],
)  # fmt: skip
def test_settings_that_nobody_knows_are_refused(settings: JsonObject) -> None:
    """A key that is misspelt or another destination type's, or an id that Meta can't have made, does not pass."""
    with pytest.raises(ValidationError):
        signalpost.build_destination(CAPI, settings)
    fine = {"pixel_id": "12345", "api_version": "v26.0", "default_phone_country": "us", "custom_data_pii": "hash"}
    assert signalpost.build_destination(CAPI, fine).settings.api_version == "v26.0"


@covers("F164")
@pytest.mark.parametrize("name", ["PageView", "purchase", "", "AddToBasket"])
def test_only_standard_names_can_be_mapped_to(name: str) -> None:
    """A table that maps to any other name is refused when the settings are read."""
    with pytest.raises(ValidationError, match="must be one of Meta's standard events"):
        signalpost.build_destination(CAPI, {"standard_events": {"Signed Up": name}})


@covers("F184")
def test_the_hash_of_nothing_never_occurs() -> None:
    """An empty trait is left out; its hash would match everybody."""
    blank = dict.fromkeys(("email", "phone", "firstName", "lastName", "gender", "birthday"), "")
    address = dict.fromkeys(("city", "state", "postalCode", "country"), " ")
    (result,) = map_call(track(context={"traits": {**blank, "address": address}}))
    assert sha("") not in json.dumps(read_sent(result))
    assert read_sent(result)["user_data"] == {"external_id": sha("u1")}


@covers("F200")
def test_rejected_calls_keep_what_would_have_been_sent() -> None:
    """A rejection does not stop the mapping, and the first reason is the one reported."""
    (result,) = map_call(track("n" * 51, {"action_source": "bogus", "tier": 3}), {"pixel_id": ""})
    assert isinstance(result, signalpost.Discarded)
    assert result.reason == "missing_pixel_id"
    assert result.server_event is not None
    assert result.server_event.custom_data == {"currency": "USD", "tier": 3}


@covers("F254")
@pytest.mark.parametrize("to", [CAPI, OFFLINE])
def test_the_same_input_gives_the_same_bytes(to: str) -> None:
    """Mapping has no clock and no chance in it."""
    call = purchase({"products": [GAME], "coupon": "MAYDEALS"}, context={"traits": {"email": ["b@x.com", "a@x.com"]}})
    assert msgspec.json.encode(map_call(call, to=to)) == msgspec.json.encode(map_call(call, to=to))


@covers("F255", "F236")
def test_warnings_are_unique_and_in_the_order_of_the_table() -> None:
    """However many properties are at fault, each code stands once, and in the order of the list of warnings."""
    properties = {
        "action_source": "app", "total": "1 000 $", "content_ids": [], "email": "a@x.com", "firstName": "Jo",
        "products": [{"price": 1}, {"price": 2}, {"id": "a", "price": "x", "quantity": -1}],
    }  # fmt: skip
    context = {"ip": "x", "traits": {"email": "nobody", "phone": "?", "gender": "?"}}
    (result,) = map_call(aged(-timedelta(hours=1)) | {"properties": properties, "context": context})
    assert isinstance(result, signalpost.Mapped)
    assert result.warnings == (
        "action_source_needs_more_fields", "event_time_in_future", "invalid_email", "invalid_phone", "invalid_gender",
        "invalid_client_ip_address", "value_from_total", "value_coerced", "product_without_id", "invalid_quantity",
        "invalid_item_price", "property_overridden", "pii_in_properties",
    )  # fmt: skip


ELSEWHERE = {
    "F001": "tests/acceptance/test_one_event.py::test_the_monopoly_event_arrives_once_and_as_documented",
    "F093": "tests/acceptance/test_one_event.py::test_a_call_sent_twice_becomes_one_conversion",
    "F094": "tests/deliver/test_worker.py::test_what_arrives_later",
    "F104": "the delivery log shows Meta's answer, and the set-up guide names the wait",
    "F119": "tests/meta/test_client.py::test_request_fields",
    "F149": "tests/deliver/test_worker.py::test_pause_and_resume",
    "F151": "the notice about browser sources is the console's and that of `signalpost doctor`",
    "F164": "tests/test_map_lines.py::test_wrong_settings",
    "F243": "tests/deliver/test_worker.py::test_expired_event_is_never_sent",
    "F251": "tests/deliver/test_worker.py::test_datasets_never_share_a_request",
    "F252": "tests/meta/test_client.py::test_token_is_in_the_header_only",
    "F256": "tests/queue/contract.py::test_counts_add_up_after_every_kind_of_end",
    "F260": "tests/deliver/test_worker.py::test_one_bad_event_of_a_hundred",
}
"""Rows that mapping does not decide, or not alone: the test that does, or what will."""


def test_every_row_is_covered() -> None:
    """Each of the 260 rows has a golden case, an entry here, or a place elsewhere."""
    in_golden = {row for file in CASES for row in json.loads(file.read_text(encoding="utf-8"))["rows"]}
    covered = in_golden | {row.id for row in ROWS} | ROWS_WITH_A_TEST_OF_THEIR_OWN | set(ELSEWHERE)
    assert covered == {f"F{number:03}" for number in range(1, 261)}


@pytest.mark.parametrize(("row", "place"), [item for item in ELSEWHERE.items() if item[1].startswith("tests/")])
def test_tests_elsewhere_are_there(row: str, place: str) -> None:
    """A test that a row is left to exists."""
    file, _, name = place.partition("::")
    assert re.search(rf"^ *(async )?def {name}\(", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)
