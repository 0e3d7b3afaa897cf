"""user_data as a whole: external id, what the browser told, which keys are enough, and what holds for any input."""

import copy
import itertools
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalpost.mapping.findings import Findings
from signalpost.mapping.match_keys import MATCH_KEYS
from signalpost.mapping.normalize import hash_value
from signalpost.mapping.user_data import (
    MatchOptions,
    build_offline_user_data,
    build_user_data,
    check_enough_match_keys,
    check_enough_offline_match_keys,
)
from signalpost.model.ids import DatasetId, MessageId
from signalpost.model.results import WarningCode
from signalpost.model.segment_event import SegmentEvent
from signalpost.model.server_event import HashedValues, ServerEvent, UserData

RECEIVED_AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
HASH_OF_NOTHING = hash_value("")
BROWSER = "Mozilla/5.0 (Macintosh; Intel Mac OS X 11_1_0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/88.0.4324.96"


def track(**overrides: Any) -> SegmentEvent:
    """A valid call; what a test is about comes as an override."""
    fields: dict[str, Any] = {"message_id": MessageId("m-1"), "timestamp": RECEIVED_AT, "received_at": RECEIVED_AT}
    return SegmentEvent(type="track", event="Seen", **(fields | overrides))


def with_traits(**traits: Any) -> SegmentEvent:
    return track(context={"traits": traits})


def build(event: SegmentEvent, **options: Any) -> tuple[UserData, tuple[WarningCode, ...]]:
    """The user_data and the warnings, as a result reports them."""
    findings = Findings()
    user_data = build_user_data(event, MatchOptions(**options), findings)
    return user_data, warnings_of(findings)


def build_offline(event: SegmentEvent, lead_id: object = None) -> tuple[UserData, tuple[WarningCode, ...]]:
    findings = Findings()
    user_data = build_offline_user_data(event, MatchOptions(), lead_id, findings)
    return user_data, warnings_of(findings)


def warnings_of(findings: Findings) -> tuple[WarningCode, ...]:
    return findings.conclude(DatasetId("1"), ServerEvent("Seen", 0, "m-1", "website")).warnings


def list_fields(user_data: UserData) -> dict[str, HashedValues]:
    values = {key: getattr(user_data, key) for key in UserData.__struct_fields__}
    return {key: value for key, value in values.items() if value is not None}


def test_f044_properties_are_no_match_keys() -> None:
    """F044: an e-mail address among the properties doesn't become em."""
    assert build(track(properties={"email": "jo@ex.com"})) == (UserData(), ())


@pytest.mark.parametrize(
    ("call", "options", "sent"),
    [
        pytest.param({"user_id": "u1", "anonymous_id": "a1"}, {}, hash_value("u1"), id="F024"),
        pytest.param({"anonymous_id": "a1"}, {}, hash_value("a1"), id="F025"),
        pytest.param(
            {"user_id": "u1", "properties": {"externalId": "X9"}},
            {"external_id_field": "properties.externalId"},
            hash_value("x9"),
            id="F026",
        ),
        pytest.param(
            {"context": {"traits": {"email": " Jo@Ex.com "}}},
            {"external_id_field": "context.traits.email"},
            hash_value("jo@ex.com"),
            id="F027",
        ),
        pytest.param(
            {"properties": {"externalId": "A", "externalid": "b"}},
            {"external_id_field": "properties.externalid"},
            hash_value("b"),
            id="F028",
        ),
        pytest.param({"user_id": " User 42 "}, {}, hash_value("user42"), id="F192-text"),
        pytest.param(
            {"properties": {"id": 42}}, {"external_id_field": "properties.id"}, hash_value("42"), id="F192-number"
        ),
        pytest.param({"user_id": " User 42 "}, {"hash_external_id": False}, "user42", id="F193"),
        pytest.param(
            {"user_id": " Jo@Example.com "}, {"hash_external_id": False}, hash_value("jo@example.com"), id="email"
        ),
        pytest.param(
            {"context": {"traits": {"id": "User 42"}}},
            {"external_id_field": "context.traits.id", "hash_external_id": False},
            hash_value("user42"),
            id="F194",
        ),
        pytest.param(
            {"properties": {"ids": ["A", "b", "a"]}},
            {"external_id_field": "properties.ids"},
            [hash_value("a"), hash_value("b")],
            id="list",
        ),
        pytest.param({"user_id": hash_value("u1").upper()}, {"hash_external_id": False}, hash_value("u1"), id="hash"),
    ],
)
def test_external_id(call: Any, options: Any, sent: HashedValues) -> None:
    """The id of the call, or the field the settings name: lower case, no white space, hashed unless told otherwise."""
    user_data, warnings = build(track(**call), **options)
    assert user_data.external_id == sent
    assert warnings == ()


@pytest.mark.parametrize(
    ("properties", "warning"),
    [
        pytest.param({}, "external_id_missing", id="F029"),
        pytest.param({"id": None}, "external_id_missing", id="F029-null"),
        pytest.param({"id": {"a": 1}}, "invalid_external_id", id="F258-object"),
        pytest.param({"id": ""}, "invalid_external_id", id="F258-empty"),
        pytest.param({"id": True}, "invalid_external_id", id="F258-boolean"),
    ],
)
def test_a_chosen_external_id_that_is_absent_or_bad(properties: Any, warning: str) -> None:
    """Nothing stands in for the field the settings chose, not even userId."""
    event = track(user_id="u1", properties=properties)
    assert build(event, external_id_field="properties.id") == (UserData(), (warning,))


@pytest.mark.parametrize(
    "address",
    [
        pytest.param("192.0.2.7", id="F031"),
        pytest.param("2001:db8::1", id="F102"),
        pytest.param("2001:DB8:0:0::1", id="F102-as-given"),
        pytest.param("8.8.8.8", id="F103-public"),
        "198.51.100.1", "203.0.113.9", "172.15.0.1", "192.0.3.1", "169.253.1.1", "223.255.255.255", "2a00:1450::1",
        "::ffff:8.8.8.8",
    ],
)  # fmt: skip
def test_public_and_documentation_addresses_are_sent_as_given(address: str) -> None:
    """An IP address is never hashed or rewritten."""
    assert build(track(context={"ip": address})) == (UserData(client_ip_address=address), ())


@pytest.mark.parametrize(
    "address",
    [
        *(pytest.param(text, id=f"F199-{text}") for text in ("10.0.0.5", "0.0.0.0", "127.0.0.1", "x")),
        "", " 8.8.8.8", "8.8.8.08", "8.8.8", "8.8.8.256", "172.16.0.1", "192.168.1.1", "169.254.1.1", "100.64.0.1",
        "224.0.0.1", "255.255.255.255", "::", "::1", "fe80::1", "fe80::1%eth0", "2a00:1450::1%eth0", "fc00::1",
        "ff02::1", "::ffff:10.0.0.1", "1" * 1000, 8, True, ["8.8.8.8"],
    ],
)  # fmt: skip
def test_other_addresses_are_left_out(address: object) -> None:
    """A private, special or unreadable address says nothing about the person."""
    assert build(track(context={"ip": address})) == (UserData(), ("invalid_client_ip_address",))


@given(octets=st.lists(st.integers(0, 255), min_size=4, max_size=4))
def test_the_short_way_for_ipv4_agrees_with_the_long_one(octets: list[int]) -> None:
    """What the pattern lets through is public by the standard library's tables."""
    from signalpost.mapping.user_data import _PLAIN_PUBLIC_IPV4, _is_public  # noqa: PLC0415 - only here, and private

    address = ".".join(map(str, octets))
    assert _PLAIN_PUBLIC_IPV4.fullmatch(address) is None or _is_public(address)


@pytest.mark.parametrize(
    ("agent", "sent"),
    [
        pytest.param(BROWSER, BROWSER, id="F032"),
        ("MyShop/3.1 (iPhone; iOS 17.4)", "MyShop/3.1 (iPhone; iOS 17.4)"),
        pytest.param("analytics-python/2.2", None, id="F081"),
        ("python-requests/2.31", None),
        ("Go-http-client/2.0", None),
        (" ", None),
        ("", None),
        (None, None),
        (7, None),
    ],
)
def test_user_agent(agent: object, sent: str | None) -> None:
    """The browser's agent is sent as given; that of a server's HTTP library is not."""
    assert build(track(context={"userAgent": agent})) == (UserData(client_user_agent=sent), ())


def test_f046_click_ids_are_found() -> None:
    """F046: fbp and fbc of the properties are sent unhashed."""
    properties = {"fbp": "fb.1.1795262000000.1098115397", "fbc": "fb.1.1795262390000.AbC_9"}
    assert build(track(properties=properties)) == (UserData(**properties), ())


def test_f245_offline_sends_nothing_of_the_browser() -> None:
    """F148, F245: no IP address, agent or cookie id goes to an offline event set; a birthday does."""
    event = track(
        user_id="u1",
        properties={"fbp": "fb.1.1.1", "fbc": "fb.1.1.a"},
        context={"ip": "8.8.8.8", "userAgent": BROWSER, "traits": {"birthday": "1997-02-16"}},
    )
    user_data, warnings = build_offline(event)
    assert list_fields(user_data) == {"db": hash_value("19970216"), "external_id": hash_value("u1")}
    assert warnings == ()


@pytest.mark.parametrize(
    ("traits", "texts"),
    [
        pytest.param({"email": "Ham@Solo.com"}, {"em": "ham@solo.com"}, id="F132"),
        pytest.param({"phone": "+14012345678"}, {"ph": "14012345678"}, id="F133"),
        pytest.param({"gender": "m"}, {"ge": "m"}, id="F134"),
        pytest.param({"address": {"city": "East Greenwich"}}, {"ct": "eastgreenwich"}, id="F135"),
        pytest.param({"address": {"state": "RI"}}, {"st": "ri"}, id="F136"),
        pytest.param({"address": {"postalCode": "02818"}}, {"zp": "02818"}, id="F137"),
        pytest.param({"address": {"country": "USA"}}, {"country": "us"}, id="F138"),
        pytest.param({"firstName": "Ham", "lastName": "Solo"}, {"fn": "ham", "ln": "solo"}, id="F139"),
        pytest.param({"name": "ham solo"}, {"fn": "ham", "ln": "solo"}, id="F140"),
        pytest.param({"name": "a b", "firstName": "Ham", "lastName": "Solo"}, {"fn": "ham", "ln": "solo"}, id="F141"),
    ],
)
def test_offline_traits(traits: dict[str, Any], texts: dict[str, str]) -> None:
    """Traits are hashed for an offline event set as for the Conversions API."""
    user_data, warnings = build_offline(with_traits(**traits))
    assert list_fields(user_data) == {key: hash_value(text) for key, text in texts.items()}
    assert user_data == build(with_traits(**traits))[0]
    assert warnings == ()


@pytest.mark.parametrize(
    ("given_id", "sent"),
    [
        pytest.param("123456789012345", "123456789012345", id="F142"),
        pytest.param(1234567890123456, "1234567890123456", id="F248-number"),
        (1234567890123456.0, "1234567890123456"),
        (None, None),
    ],
)
def test_lead_id(given_id: object, sent: str | None) -> None:
    """A lead id is sent as text, unhashed, all its digits kept."""
    assert build_offline(track(), given_id) == (UserData(lead_id=sent), ())


@pytest.mark.parametrize("given_id", ["l-12", "", "12.5", 1.5, -1, True, ["1"], {}, float("nan"), float("inf")])
def test_f248_a_bad_lead_id_is_left_out(given_id: object) -> None:
    """F248: a lead id that is not digits could fail a whole batch at Meta."""
    assert build_offline(track(), given_id) == (UserData(), ("invalid_lead_id",))


@pytest.mark.parametrize(
    ("call", "lead_id", "is_enough"),
    [
        pytest.param({"user_id": "u1"}, None, True, id="F130"),
        pytest.param({"anonymous_id": "a1"}, None, False, id="F131"),
        pytest.param({"anonymous_id": "a1"}, "1" * 15, True, id="lead-id"),
        pytest.param({"anonymous_id": "a1", "context": {"traits": {"email": "a@x.com"}}}, None, True, id="F247"),
        pytest.param({"anonymous_id": "a1", "context": {"traits": {"email": "nobody"}}}, None, False, id="bad-email"),
        pytest.param({"context": {"traits": {"gender": "f"}}}, None, False, id="too-weak"),
        pytest.param({}, None, False, id="nothing"),
    ],
)
def test_offline_needs_more_than_an_anonymous_id(call: Any, lead_id: object, is_enough: bool) -> None:
    """An anonymousId is sent beside other keys, but alone it identifies nobody in a shop."""
    event = track(**call)
    user_data, _ = build_offline(event, lead_id)
    objection = check_enough_offline_match_keys(event, user_data)
    assert objection == (None if is_enough else "insufficient_match_keys")
    assert (user_data.external_id is not None) == ("user_id" in call or "anonymous_id" in call)


WEAK_KEYS = ("ct", "country", "st", "zp", "ge", "client_user_agent", "db", "fn", "ln")
REFUSED_SETS = (
    {"ct", "country", "st", "zp", "ge", "client_user_agent"},
    {"db", "client_user_agent"},
    {"fn", "ge"},
    {"ln", "ge"},
)


def test_f200_every_set_of_weak_keys() -> None:
    """F200: of all 512 sets of weak keys just the subsets of Meta's four are refused; with an address none is."""
    for size in range(len(WEAK_KEYS) + 1):
        for keys in itertools.combinations(WEAK_KEYS, size):
            user_data = UserData(**dict.fromkeys(keys, "x"))
            is_refused = any(set(keys) <= refused for refused in REFUSED_SETS)
            assert check_enough_match_keys(user_data) == ("insufficient_match_keys" if is_refused else None)
            assert check_enough_match_keys(UserData(em="x", **dict.fromkeys(keys, "x"))) is None


@pytest.mark.parametrize(
    "keys",
    [
        pytest.param(("fn", "ln"), id="F201-names"),
        pytest.param(("client_ip_address", "client_user_agent"), id="F201-browser"),
        *(("ph",), ("external_id",), ("fbp",), ("fbc",), ("lead_id",), ("db", "ge")),
    ],
)
def test_f201_strong_enough_sets(keys: tuple[str, ...]) -> None:
    """F201: one strong key, or two weak ones that Meta takes together, is enough."""
    assert check_enough_match_keys(UserData(**dict.fromkeys(keys, "x"))) is None


VECTORS = json.loads((Path(__file__).parent / "vectors" / "normalization.json").read_text(encoding="ascii"))
VECTOR_INPUTS = st.sampled_from([vector["input"] for vector in VECTORS])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.emails() | VECTOR_INPUTS
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
TRAIT_NAMES = [name for row in MATCH_KEYS if not row.is_in_address for name in (row.name, *row.other_names)] + ["name"]
ADDRESS_NAMES = [name for row in MATCH_KEYS if row.is_in_address for name in (row.name, *row.other_names)]
ADDRESSES = st.dictionaries(st.sampled_from(ADDRESS_NAMES), JSON)
TRAITS = st.builds(
    lambda traits, address: {**traits, "address": address},
    st.dictionaries(st.sampled_from(TRAIT_NAMES), JSON),
    ADDRESSES | JSON,
)
CONTEXTS = st.fixed_dictionaries(
    {"traits": TRAITS | JSON}, optional=dict.fromkeys(("ip", "userAgent", "page", "clientIds", "fbc", "fbp"), JSON)
)
OPTIONS = st.builds(
    MatchOptions,
    external_id_field=st.none() | st.just("properties.id"),
    default_phone_country=st.sampled_from([None, "GB", "Narnia"]),
    day_first_dates=st.booleans(),
)
HASHED_KEYS = [row.key for row in MATCH_KEYS] + ["external_id"]
DIGEST = re.compile("[0-9a-f]{64}")


@given(context=CONTEXTS, properties=st.dictionaries(st.sampled_from(["fbc", "fbp", "id"]), JSON), options=OPTIONS)
def test_any_json_gives_hashes_or_nothing(context: Any, properties: Any, options: MatchOptions) -> None:
    """Whatever a client sends: no exception, SHA-256 or nothing, never that of nothing, and the call unchanged."""
    before = copy.deepcopy((context, properties))
    user_data = build_user_data(track(context=context, properties=properties), options, Findings())
    for key in HASHED_KEYS:
        values = getattr(user_data, key)
        assert values != []
        for value in values if isinstance(values, list) else [values]:
            assert value is None or DIGEST.fullmatch(value)
            assert value != HASH_OF_NOTHING
    assert repr((context, properties)) == repr(before)  # not ==, because NaN is not equal to itself


@given(traits=TRAITS)
def test_wire_values_are_stable(traits: dict[str, Any]) -> None:
    """Hashes that come back as traits go out as they are."""
    user_data, _ = build(with_traits(**traits))
    again = {row.name: getattr(user_data, row.key) for row in MATCH_KEYS}
    assert build(with_traits(**again, address=again))[0] == user_data
