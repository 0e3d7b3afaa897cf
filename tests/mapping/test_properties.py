"""What holds for any call at all: mapping never fails, never leaks, never changes its input, and always repeats."""

import ast
import copy
import hashlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import signalpost
from signalpost.mapping.match_keys import MATCH_KEYS
from signalpost.mapping.standard_events import STANDARD_EVENTS, VERSION_1_NAMES
from signalpost.model.results import WARNINGS
from signalpost.model.segment_event import CALL_TYPES

ROOT = Path(__file__).parents[2]
CAPI, OFFLINE = "facebook-conversions-api", "facebook-offline-conversions"
RECEIVED_AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
HASHED_KEYS = {*(row.key for row in MATCH_KEYS), "external_id"}
HASH_OF_NOTHING = hashlib.sha256(b"").hexdigest()

# --- Any JSON, but near enough to a Segment call to be read ---

TEXT = st.text(max_size=60)
NUMBERS = st.integers(-3, 100) | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.none() | st.booleans() | NUMBERS | TEXT
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4))
Strategy = st.SearchStrategy[Any]


def usually(*texts: str) -> Strategy:
    """One of these, or any other JSON value."""
    return st.sampled_from(texts) | st.sampled_from(texts) | JSON


def objects(**values: Strategy) -> Strategy:
    """An object with some of these keys, and now and then with more."""
    known = st.fixed_dictionaries({}, optional=values)
    return known | st.builds(lambda one, two: one | two, known, st.dictionaries(TEXT, JSON, max_size=3))


AMOUNT = usually("19.99", "$1,234.50", "12,50", "-0.0", "0") | NUMBERS
ID = usually("p-1", "", " ") | st.integers(0, 99)
CATEGORY = usually("cars", "CARS", "Games")
EMAIL = usually(" Jo@Ex.com ", "nobody", "a" * 64, "a" * 32) | st.lists(usually("a@b.co", "A@b.co"), max_size=3)
PHONE = usually("+1 650 555 1212", "020 7946 0958", "911")
NAME = usually("Jo", "O'Connor", "Mary Jane Watson", "-")
BIRTHDAY = usually("1997-02-16", "05-03-1995", "soon")
FBC, FBP = usually("fb.1.1795262390000.AbC", "fb.x"), usually("fb.1.1795262390000.12", "fb.x")
URL = usually("https://s.example/?fbclid=A%20b&mail=a%40b.co&a@b.co", "https://s.example/", "?mail=a@b.co;b=%%40")
ADDRESS = objects(
    city=usually("Bristol", "1"),
    state=usually("RI", "?"),
    postalCode=usually("02809", "1"),
    zip=usually("1"),
    country=usually("US", "UK", "xyz"),
)
TRAITS = objects(
    email=EMAIL,
    phone=PHONE,
    name=NAME,
    firstName=NAME,
    last_name=NAME,
    gender=usually("f", "x"),
    birthday=BIRTHDAY,
    address=ADDRESS | JSON,
)
PRODUCT = objects(product_id=ID, sku=ID, id=ID, price=AMOUNT, quantity=AMOUNT, category=CATEGORY)
PROPERTIES = objects(
    revenue=AMOUNT,
    total=AMOUNT,
    value=AMOUNT,
    currency=usually("eur", "XYZ"),
    products=st.lists(PRODUCT | JSON, max_size=3) | JSON,
    product_id=ID,
    price=AMOUNT,
    quantity=AMOUNT,
    category=CATEGORY,
    content_type=usually("hotel"),
    content_ids=JSON,
    num_items=JSON,
    query=usually("monopoly", "a@b.co"),
    search_string=TEXT,
    event_id=ID,
    action_source=usually("website", "email", "app", "physical_store", ""),
    fbp=FBP,
    fbc=FBC,
    customer=objects(email=EMAIL, first_name=NAME, id=ID) | JSON,
    Phone=PHONE,
    birthday=BIRTHDAY,
    externalId=ID,
    url=URL,
)
CONTEXT = objects(
    ip=usually("198.51.100.7", "10.0.0.1"),
    userAgent=usually("Mozilla/5.0", "analytics-python/2.2"),
    page=objects(url=URL) | JSON,
    traits=TRAITS | JSON,
    clientIds=objects(fbp=FBP, fbc=FBC) | JSON,
    consent=st.fixed_dictionaries({"categoryPreferences": st.dictionaries(st.just("ads") | TEXT, st.booleans())}),
    **{"Facebook Offline Conversions": objects(leadId=ID) | JSON},
)
TRIPLE = st.tuples(st.sampled_from([[], ["LDU"]]), st.integers(0, 1), st.integers(0, 1013)).map(list)
OPTIONS = objects(dataProcessingOptions=TRIPLE | JSON, leadId=ID)
INTEGRATIONS = objects(
    All=st.booleans(),
    **{
        name: st.just(True) | OPTIONS
        for name in ("Facebook Conversions API", "Facebook Conversions", "Facebook Offline Conversions")
    },
)
EVENTS = st.sampled_from([
    "Order Completed", "Product Added", "Product Viewed", "Product List Viewed", "Products Searched",
    "Checkout Started", "Payment Info Entered", "Product Added to Wishlist", "Purchase", "n" * 51, *VERSION_1_NAMES,
])  # fmt: skip
DAYS = st.sampled_from([0, 0, 6, 30, 70])
TIMES = st.builds(lambda days, hours: RECEIVED_AT - timedelta(days=days, hours=hours), DAYS, st.integers(-1, 23))
CALLS = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["track"] * 10 + sorted(CALL_TYPES)),
        "event": EVENTS | EVENTS | st.text(min_size=1).filter(lambda name: not name.isspace()),
        "groupId": st.just("g"),
        "userId": st.sampled_from(["u-1", " User 42 ", "jo@ex.com", 42, None]),
        "anonymousId": st.just("a-77"),
    },
    optional={
        "messageId": st.just("m-1"),
        "timestamp": TIMES.map(datetime.isoformat),
        "name": TEXT,
        "properties": PROPERTIES,
        "traits": TRAITS,
        "context": CONTEXT,
        "integrations": INTEGRATIONS,
    },
)
COUNTRIES = st.sampled_from([None, "US", "gb", "XX"])
SHARED_SETTINGS: dict[str, st.SearchStrategy[Any]] = {
    "limited_data_use": st.booleans(),
    "hash_external_id": st.booleans(),
    "consent_categories": st.sampled_from([[], [], ["ads"]]),
    "default_phone_country": COUNTRIES,
    "day_first_dates": st.booleans(),
    "value_field": st.sampled_from(["price", "value"]),
    "custom_data_pii": st.sampled_from(["drop", "hash", "send"]),
}
FIELDS = st.sampled_from([
    None, "", "properties.externalId", "properties.customer.id", "properties", "context.traits.email", "traits.email",
    "userId", "integrations.All", "no.such.field",
])  # fmt: skip
PATHS = FIELDS | st.text("properties.customer", max_size=30)
TABLES = st.dictionaries(EVENTS | TEXT, st.sampled_from(["1234567890", "2233445566778899", ""]), min_size=3)
DESTINATIONS = st.one_of(
    st.builds(
        signalpost.build_destination,
        st.just(CAPI),
        st.fixed_dictionaries(
            {"pixel_id": st.sampled_from(["1234567890", "9876543210", ""])},
            optional={
                **SHARED_SETTINGS,
                "standard_events": st.dictionaries(EVENTS | TEXT, st.sampled_from(STANDARD_EVENTS), max_size=3),
                "content_types": st.dictionaries(CATEGORY.filter(lambda name: isinstance(name, str)), TEXT, max_size=3),
                "external_id_field": PATHS,
                "page_view_events": st.booleans(),
            },
        ),
    ),
    st.builds(
        signalpost.build_destination,
        st.just(OFFLINE),
        st.fixed_dictionaries(
            {"event_sets": TABLES},
            optional={
                **SHARED_SETTINGS,
                "lead_event_sets": TABLES,
                "complete_registration_event_sets": TABLES,
                "upload_tag": TEXT,
            },
        ),
    ),
)


def parse(call: Any) -> signalpost.SegmentEvent | signalpost.InvalidCall:
    return signalpost.parse_call(call, signalpost.RequestContext(RECEIVED_AT, lambda: "made-here"))


def map_any(call: Any, destination: signalpost.Destination) -> tuple[signalpost.MappingResult, ...]:
    """The results, none for a call that is not valid; the call must come out as it went in."""
    before = copy.deepcopy(call)
    event = parse(call)
    results = () if isinstance(event, signalpost.InvalidCall) else signalpost.map_event(event, destination)
    assert call == before
    assert json.dumps(call) == json.dumps(before)
    return results


def walk(value: object) -> Iterator[object]:
    """A JSON value and all that lies inside it."""
    yield value
    if isinstance(value, dict | list):
        for below in value.values() if isinstance(value, dict) else value:
            yield from walk(below)


def is_in_order(keys: list[str], order: tuple[str, ...]) -> bool:
    return [key for key in order if key in keys] == keys


def check_server_event(sent: bytes, destination: signalpost.Destination) -> None:
    """Wire order, no nulls, and nothing but SHA-256 under the keys that Meta wants hashed."""
    server_event = json.loads(sent)
    assert is_in_order(list(server_event), signalpost.ServerEvent.__struct_fields__)
    assert is_in_order(list(server_event["user_data"]), signalpost.UserData.__struct_fields__)
    custom_data = list(server_event.get("custom_data", {}))
    first = [key for key in ("value", "currency") if key in custom_data]
    assert custom_data[: len(first)] == first
    if destination.settings.custom_data_pii != "send":
        assert None not in list(walk(server_event))
    assert HASH_OF_NOTHING not in sent.decode()
    for key in HASHED_KEYS & set(server_event["user_data"]):
        if key == "external_id" and not destination.settings.hash_external_id:
            continue
        given_values = server_event["user_data"][key]
        values = given_values if isinstance(given_values, list) else [given_values]
        assert values
        assert all(re.fullmatch("[0-9a-f]{64}", value) for value in values)


@given(call=CALLS, destination=DESTINATIONS)
def test_any_call_for_any_destination(call: Any, destination: signalpost.Destination) -> None:
    """Mapping ends with results and no exception, leaves its input alone, and keeps the order of keys and warnings.

    Again it gives the same: nothing that is remembered shows.
    """
    results = map_any(call, destination)
    assert map_any(call, destination) == results
    for result in results:
        assert set(result.warnings) <= set(WARNINGS)
        assert is_in_order(list(result.warnings), tuple(WARNINGS))
        if isinstance(result, signalpost.Discarded):
            assert (result.server_event is not None) == result.is_rejected
            assert result.message
        if result.server_event is not None:
            check_server_event(result.server_event.to_json(), destination)


@given(call=JSON, destination=DESTINATIONS)
def test_any_json_at_all(call: Any, destination: signalpost.Destination) -> None:
    """What is not even like a call is refused with a code; nothing raises."""
    assert map_any(call, destination) == ()


@pytest.mark.parametrize("to", [CAPI, OFFLINE])
@pytest.mark.parametrize("number", ["1e999", "-1e999", "9" * 4000])
@pytest.mark.parametrize("name", ["product_id", "price", "quantity", "event_id", "revenue", "currency", "phone"])
def test_numbers_beyond_every_bound(to: str, number: str, name: str) -> None:
    """Python reads numbers that no computer needs; mapping does not stumble over them."""
    properties = f'{{"{name}": {number}, "products": [{{"{name}": {number}}}]}}'
    event = parse({"type": "track", "userId": "u", "event": "Product Added", "properties": json.loads(properties)})
    assert isinstance(event, signalpost.SegmentEvent)
    own = {"pixel_id": "1234567890"} if to == CAPI else {"event_sets": {"Product Added": "1234567890"}}
    for rule in ("drop", "hash"):
        destination = signalpost.build_destination(to, {**own, "custom_data_pii": rule})
        (result,) = signalpost.map_event(event, destination)
        assert isinstance(result, signalpost.Mapped)


@pytest.mark.parametrize(
    "text",
    [
        "a@",
        "@",
        "a,",
        "1",
        "1,",
        "$",
        "%40",
        "a@b.",
        "a@b-",
        "?a=@&",
        "é",
        "É ",
        "+1 ",
        "fb.1.",
        "1/",
        "ext 1",
        "usa",
        "(",
    ],
)
def test_long_texts_take_no_longer_than_their_length(text: str) -> None:
    """No text, however odd, holds up the gateway: the largest call that is accepted maps in a moment."""
    long = (text * 30_000)[:30_000] + "@"
    names = ("revenue", "currency", "query", "product_id", "action_source", "fbc", "phone", "birthday", "url")
    traits = {**dict.fromkeys(("email", "phone", "name", "gender", "birthday"), long), "address": {"state": long}}
    event = parse({
        "type": "track",
        "userId": "u-1",
        "event": "Product Added",
        "properties": dict.fromkeys(names, long),
        "context": {"page": {"url": f"https://shop.example/?fbclid={long}"}, "traits": traits, "ip": long},
    })  # fmt: skip
    assert isinstance(event, signalpost.SegmentEvent)
    destination = signalpost.build_destination(CAPI, {"pixel_id": "1234567890", "custom_data_pii": "hash"})
    began = time.process_time()
    signalpost.map_event(event, destination)
    assert time.process_time() - began < 1  # in truth a tenth of it; a search that goes back and forth takes seconds


# --- Personal data ---

WORDS = st.text("ghijklmnopqrstuvwxyz", min_size=8, max_size=16)
DIGITS = st.text("0123456789", min_size=9, max_size=9)


@st.composite
def persons(draw: st.DrawFn) -> dict[str, Any]:
    """Traits whose every part can be told from anything else in the output."""
    first, last, local, city, street = (draw(WORDS) for _ in range(5))
    birthday = draw(st.dates(date(1930, 1, 1), date(2006, 1, 1)))
    return {
        "email": f"{local.title()}@{draw(WORDS)}.example",
        "phone": "+49 30 " + draw(DIGITS),
        "firstName": first.title(),
        "lastName": f"O'{last}",
        "name": f"{first} {last}",
        "birthday": birthday.strftime(draw(st.sampled_from(["%Y-%m-%d", "%m/%d/%Y", "%Y%m%d"]))),
        "address": {"city": city, "state": draw(WORDS), "street": street, "postalCode": draw(DIGITS)},
    }


def list_plain(person: dict[str, Any]) -> set[str]:
    """Every text by which the person could be known."""
    local, _, domain = person["email"].lower().partition("@")
    digits = person["phone"].replace(" ", "")
    parts = {local, domain, digits[1:], digits[-9:], person["birthday"], *person["address"].values()}
    return parts | {name.lower().removeprefix("o'") for name in (person["firstName"], person["lastName"])}


def plant(person: dict[str, Any], event: str, action_source: str) -> dict[str, Any]:
    """A call that tells all about a person, in every place that is known to be personal."""
    email, named = person["email"], {"First_Name": person["firstName"], "lastName": person["lastName"]}
    return {
        "type": "track",
        "userId": "u-1",
        "event": event,
        "properties": {
            "email": email,
            "contact": f" {email} ",
            "contacts": [email, {"PHONE": person["phone"], "e-mail": [email]}],
            "customer": {**named, "birthday": person["birthday"]},
            "query": email,
            "referrer": f"https://shop.example/?q=1&mail={email}#top",
            "externalId": email,
            "action_source": action_source,
        },
        "traits": person,
        "context": {
            "traits": {**person, "email": [email, "nobody"]},
            "page": {"url": f"https://shop.example/?next=%2F%3Fmail%3D{email.replace('@', '%40')}&{email}"},
        },
    }


@given(
    person=persons(),
    event=st.sampled_from(["Order Completed", "Clicked Email", "n" * 51]),
    action_source=st.sampled_from(["website", "email", "bogus"]),
    path=st.sampled_from([None, "properties.externalId", "context.traits.email", "traits.email"]),
    rule=st.sampled_from(["drop", "hash"]),
    hash_external_id=st.booleans(),
)
def test_personal_data_never_leaves_in_clear(
    person: dict[str, Any], event: str, action_source: str, path: str | None, rule: str, hash_external_id: bool
) -> None:
    """No trait occurs in what is queued or kept, mapped or rejected, however it is written and wherever it stood."""
    call = plant(person, event, action_source)
    shared = {"custom_data_pii": rule}
    own: dict[str, Any] = {"pixel_id": "1234567890", "external_id_field": path}
    if path != "properties.externalId":  # by choice, an id outside of the traits may be sent in clear
        own["hash_external_id"] = hash_external_id
    for destination in (
        signalpost.build_destination(CAPI, {**shared, **own}),
        signalpost.build_destination(OFFLINE, {**shared, "event_sets": {event: "1234567890"}}),
    ):
        for result in map_any(call, destination):
            assert result.server_event is not None
            text = re.sub("[0-9a-f]{64}", "", msgspec.json.encode(result).decode().lower())
            assert [plain for plain in list_plain(person) if plain in text] == []


# --- The same again, elsewhere ---

NOT_PURE = {"time", "random", "secrets", "uuid", "locale", "os", "socket", "now", "today", "utcnow", "fromtimestamp"}
PURE = sorted([*(ROOT / "src/signalpost/mapping").rglob("*.py"), ROOT / "src/signalpost/model/segment_event.py"])


@pytest.mark.parametrize("file", PURE, ids=lambda file: file.stem)
def test_nothing_asks_for_the_time_or_for_chance(file: Path) -> None:
    """Mapping has no way to know the time, the machine or the locale: it neither imports nor calls what would tell."""
    used: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        match node:
            case ast.Import(names=names):
                used |= {alias.name for alias in names}
            case ast.ImportFrom(module=module):
                used.add(module or "")
            case ast.Call(func=ast.Attribute(attr=name)):
                used.add(name)
    assert used & NOT_PURE == set()


MAP_ALL_GOLDEN = """
import hashlib, json
from scripts.rewrite_golden import GOLDEN, build_results, find_cases
digest = hashlib.sha256()
for file in find_cases([GOLDEN]):
    case = json.loads(file.read_text(encoding="utf-8"))
    digest.update(json.dumps(build_results(case, file.relative_to(GOLDEN).parts[0])).encode())
print(digest.hexdigest())
"""


def test_the_same_bytes_on_every_machine() -> None:
    """The golden cases map to the same bytes whatever the time zone, the locale and the seed of hashes."""
    worlds = [
        {"PYTHONHASHSEED": "0", "TZ": "UTC", "LC_ALL": "C"},
        {"PYTHONHASHSEED": "1", "TZ": "Asia/Kathmandu", "LC_ALL": "tr_TR.UTF-8"},
        {"PYTHONHASHSEED": "4294967295", "TZ": "America/St_Johns", "LC_ALL": "C.UTF-8", "PYTHONOPTIMIZE": "1"},
    ]
    path = os.pathsep.join((str(ROOT), str(ROOT / "src")))
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", MAP_ALL_GOLDEN],
            env={**os.environ, **world, "PYTHONPATH": path},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        for world in worlds
    ]
    printed = [run.communicate()[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0, 0]
    assert len(printed[0].strip()) == 64
    assert len(set(printed)) == 1
