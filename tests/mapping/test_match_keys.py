"""The match keys: the normalisation vectors, the feature rows about traits, and the table itself."""

import inspect
import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from signalpost.mapping import match_keys
from signalpost.mapping.findings import Findings
from signalpost.mapping.match_keys import (
    HASHED_EXTERNAL_ID,
    MATCH_KEYS,
    MatchKey,
    Surroundings,
    find_substitute,
    hash_given,
)
from signalpost.mapping.normalize import hash_value
from signalpost.mapping.user_data import MatchOptions, build_user_data
from signalpost.model.ids import DatasetId, MessageId
from signalpost.model.results import WARNINGS, WarningCode
from signalpost.model.segment_event import SegmentEvent
from signalpost.model.server_event import HashedValues, ServerEvent, UserData

RECEIVED_AT = datetime(2026, 11, 21, 12, tzinfo=UTC)


def make_event(traits: dict[str, Any], user_id: str | None = None) -> SegmentEvent:
    return SegmentEvent(
        type="track",
        message_id=MessageId("m-1"),
        timestamp=RECEIVED_AT,
        received_at=RECEIVED_AT,
        user_id=user_id,
        context={"traits": traits},
    )


def place(match_key: MatchKey, value: object) -> dict[str, Any]:
    """Traits that hold one value where the match key looks first."""
    return {"address": {match_key.name: value}} if match_key.is_in_address else {match_key.name: value}


def build(event: SegmentEvent, **options: Any) -> tuple[UserData, tuple[WarningCode, ...]]:
    """The user_data and the warnings, as a result reports them."""
    findings = Findings()
    user_data = build_user_data(event, MatchOptions(**options), findings)
    return user_data, findings.conclude(DatasetId("1"), ServerEvent("Seen", 0, "m-1", "website")).warnings


def list_fields(user_data: UserData) -> dict[str, HashedValues]:
    values = {key: getattr(user_data, key) for key in UserData.__struct_fields__}
    return {key: value for key, value in values.items() if value is not None}


VECTORS = json.loads((Path(__file__).parent / "vectors" / "normalization.json").read_text(encoding="ascii"))
ROWS = {row.key: row for row in (*MATCH_KEYS, HASHED_EXTERNAL_ID)}


def name_vector(vector: dict[str, Any]) -> str:
    return f"{vector['field']}-{vector['input']!a}-{vector['why']}"


def event_of_vector(vector: dict[str, Any]) -> SegmentEvent:
    if vector["field"] == "external_id":
        return make_event({}, user_id=str(vector["input"]))  # the parser has turned integers into text
    traits = place(ROWS[vector["field"]], vector["input"])
    if "country" in vector["options"]:
        traits["address"] = {**traits.get("address", {}), "country": vector["options"]["country"]}
    return make_event(traits)


@pytest.mark.parametrize("vector", VECTORS, ids=name_vector)
def test_vector(vector: dict[str, Any]) -> None:
    """A trait goes on the wire as the vector says; one that is left out is warned about."""
    options = vector["options"]
    user_data, warnings = build(
        event_of_vector(vector),
        default_phone_country=options.get("default_phone_country"),
        day_first_dates=options.get("day_first", False),
    )
    assert getattr(user_data, vector["field"]) == vector["sha256"]
    is_absent = vector["field"] == "external_id" and vector["input"] == ""  # an empty userId is none
    is_bad = vector["sha256"] is None and not is_absent
    assert is_bad == any(code in {ROWS[vector["field"]].warning, "unsupported_hash"} for code in warnings)


def test_there_are_460_vectors() -> None:
    """No vector has been lost on the way."""
    assert len(VECTORS) == 460


TRAIT_ROWS = [
    ("F034", {"email": " Jo@Ex.com "}, {"em": "jo@ex.com"}, ()),
    ("F035", {"phone": "+1 (650) 555-1212"}, {"ph": "16505551212"}, ()),
    ("F036", {"firstName": "Mary"}, {"fn": "mary"}, ()),
    ("F037", {"lastName": "O'Connor"}, {"ln": "oconnor"}, ()),
    ("F038", {"address": {"city": "New York"}}, {"ct": "newyork"}, ()),
    ("F039", {"address": {"state": "California"}}, {"st": "ca"}, ()),
    ("F040", {"address": {"postalCode": "SW1A 1AA"}}, {"zp": "sw1a1aa"}, ()),
    ("F041", {"birthday": "1997-02-16"}, {"db": "19970216"}, ()),
    ("F042-absent", {}, {}, ()),
    ("F042-null", {"email": None, "name": None, "address": None}, {}, ()),
    ("F042-null-inside", {"firstName": None, "address": {"city": None}}, {}, ()),
    ("F045", {"name": "John Doe"}, {"fn": "john", "ln": "doe"}, ()),
    ("F177-three-words", {"name": "Mary Jane Watson"}, {"fn": "mary", "ln": "watson"}, ()),
    ("F177-one-word", {"name": "Cher"}, {"fn": "cher"}, ()),
    ("F178", {"name": "Ham Solo", "firstName": "Han"}, {"fn": "han", "ln": "solo"}, ()),
    ("F179-names", {"first_name": "A", "last_name": "B"}, {"fn": "a", "ln": "b"}, ()),
    ("F179-postal_code", {"address": {"postal_code": "1234"}}, {"zp": "1234"}, ()),
    ("F179-zip", {"address": {"zip": "1234"}}, {"zp": "1234"}, ()),
    ("F179-camelCase-wins", {"firstName": "A", "first_name": "B", "lastName": None, "last_name": "C"},
     {"fn": "a", "ln": "c"}, ()),
    ("F179-postalCode-wins", {"address": {"zip": "1", "postal_code": "2222", "postalCode": "3333"}},
     {"zp": "3333"}, ()),
    ("F180-gender", {"gender": "Male"}, {"ge": "m"}, ()),
    ("F180-country", {"address": {"country": "USA"}}, {"country": "us"}, ()),
    ("F181-list", {"email": ["A@x.com", "a@x.com ", "b@x.com"]}, {"em": ["a@x.com", "b@x.com"]}, ()),
    ("F181-one-valid", {"email": ["nothing", "b@x.com", None]}, {"em": "b@x.com"}, ("invalid_email",)),
    ("F181-none-valid", {"email": ["nothing", {}]}, {}, ("invalid_email",)),
    ("F181-empty", {"email": []}, {}, ()),
    ("F184-empty", {"email": ""}, {}, ("invalid_email",)),
    ("F184-no-address", {"email": "foo@bar"}, {}, ("invalid_email",)),
    ("F185", {"phone": "4011234567", "address": {"country": "USA"}}, {"ph": "14011234567", "country": "us"}, ()),
    ("F187", {"phone": "020 7946 0958"}, {"ph": "2079460958"}, ("phone_without_country_code",)),
    ("F188-short", {"phone": "911"}, {}, ("invalid_phone",)),
    ("F188-vanity", {"phone": "1-800-FLOWERS"}, {}, ("invalid_phone",)),
    ("F189-month-first", {"birthday": "05-03-1995"}, {"db": "19950503"}, ()),
    ("F190-no-month-13", {"birthday": "19971302"}, {}, ("invalid_birthday",)),
    ("F190-two-digit-year", {"birthday": "02/16/97"}, {}, ("invalid_birthday",)),
    ("F191", {"gender": "non-binary"}, {}, ("invalid_gender",)),
    ("F257-names", {"firstName": "-", "lastName": "!"}, {}, ("invalid_first_name", "invalid_last_name")),
    ("F257-address", {"address": {"city": "1", "state": "?", "postalCode": "1", "country": "xyz"}},
     {}, ("invalid_city", "invalid_state", "invalid_postal_code", "invalid_country")),
    ("integer", {"address": {"postalCode": 2134, "country": "US"}}, {"zp": "02134", "country": "us"}, ()),
    ("other-types", {"email": True, "phone": 1.5, "gender": {}, "birthday": False},
     {}, ("invalid_email", "invalid_phone", "invalid_gender", "invalid_birthday")),
    ("address-is-text", {"address": "1 Main St"}, {}, ()),
    ("empty-name", {"name": " "}, {}, ("invalid_first_name",)),
    ("name-is-a-list", {"name": ["John Doe"]}, {}, ("invalid_first_name",)),
    ("hashed-name-is-no-first-name", {"name": hash_value("john doe")}, {}, ("invalid_first_name",)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("traits", "texts", "warnings"), [row[1:] for row in TRAIT_ROWS], ids=[row[0] for row in TRAIT_ROWS]
)
def test_traits_become_hashes(
    traits: dict[str, Any], texts: dict[str, str | list[str]], warnings: tuple[WarningCode, ...]
) -> None:
    """Each trait is normalised and hashed under Meta's key; what is bad is left out and named."""
    hashes = {
        key: [hash_value(each) for each in text] if isinstance(text, list) else hash_value(text)
        for key, text in texts.items()
    }
    user_data, found = build(make_event(traits))
    assert list_fields(user_data) == hashes
    assert found == warnings


@pytest.mark.parametrize(
    ("options", "traits", "key", "text"),
    [
        pytest.param({"default_phone_country": "GB"}, {"phone": "020 7946 0958"}, "ph", "442079460958", id="F186"),
        pytest.param({"day_first_dates": True}, {"birthday": "05-03-1995"}, "db", "19950305", id="F189-day-first"),
    ],
)
def test_settings_decide_how_a_trait_is_read(options: Any, traits: Any, key: str, text: str) -> None:
    """A phone number's country and the order of day and month come from the settings where the call is silent."""
    user_data, warnings = build(make_event(traits), **options)
    assert list_fields(user_data) == {key: hash_value(text)}
    assert warnings == ()


@pytest.mark.parametrize("digits", [32, 40, 128], ids=["F183-md5", "F183-sha1", "F183-sha512"])
@pytest.mark.parametrize("match_key", MATCH_KEYS, ids=lambda row: row.key)
def test_other_hashes_are_refused(match_key: MatchKey, digits: int) -> None:
    """What looks like another hash than SHA-256 is left out under its own warning, whatever the key."""
    event = make_event(place(match_key, "0a" * (digits // 2)))
    assert build(event) == (UserData(), ("unsupported_hash",))


@pytest.mark.parametrize("match_key", MATCH_KEYS, ids=lambda row: f"F182-{row.key}")
def test_a_hash_is_passed_on_in_lower_case(match_key: MatchKey) -> None:
    """64 hex digits are not hashed again; the appendix of Meta's library is dropped."""
    digits = "0123456789ABCDEF" * 4
    for text in (digits, f" {digits}\n", f"{digits}.AQ", f"{digits}.AQQAAQIB"):
        assert build(make_event(place(match_key, text))) == (UserData(**{match_key.key: digits.lower()}), ())


def test_f043_no_plain_value_leaves() -> None:
    """F043: none of a person's traits can be read in the bytes that are stored."""
    traits = {"email": "ham@solo.com", "phone": "+14012345678", "firstName": "Hamilton", "birthday": "1997-02-16"}
    address = {"city": "Greenwich", "state": "Rhode Island", "postalCode": "02818"}
    user_data, warnings = build(make_event({**traits, "lastName": "Solomon", "address": address}))
    stored = ServerEvent("Seen", 0, "m-1", "website", user_data=user_data).to_json().decode().lower()
    plain = ("ham", "4012345678", "solo", "1997", "greenwich", "rhode", "02818")
    assert len(list_fields(user_data)) == 8
    assert warnings == ()
    assert [text for text in plain if f'"{text}' in stored] == []


EMAIL, FIRST_NAME, LAST_NAME = (next(row for row in MATCH_KEYS if row.key == key) for key in ("em", "fn", "ln"))
NOT_HASHED = {"client_ip_address", "client_user_agent", "fbc", "fbp", "lead_id"}


def make_surroundings() -> Surroundings:
    return Surroundings(None, None, day_first_dates=False, today=date(2026, 11, 21), findings=Findings())


def test_every_hashed_key_of_meta_has_a_row() -> None:
    """The table and UserData name the same keys, in the same order; the external id comes from the call itself."""
    hashed = [key for key in UserData.__struct_fields__ if key not in NOT_HASHED]
    assert [*(row.key for row in MATCH_KEYS), "external_id"] == hashed


@pytest.mark.parametrize("row", MATCH_KEYS, ids=lambda row: row.key)
def test_every_row_has_a_warning_of_its_own(row: MatchKey) -> None:
    """A bad value is named by its key."""
    assert row.warning in WARNINGS
    assert [other.key for other in MATCH_KEYS if other.warning == row.warning] == [row.key]


@pytest.mark.parametrize(
    ("row", "traits", "found"),
    [
        (FIRST_NAME, {"first_name": "A", "name": "B C"}, "A"),
        (FIRST_NAME, {"name": " Mary Jane  Watson\u200b "}, "Mary"),
        (LAST_NAME, {"name": " Mary Jane  Watson\u200b "}, "Watson"),
        (LAST_NAME, {"name": "Cher \u200b"}, None),
        (FIRST_NAME, {"name": 7}, "7"),
        (LAST_NAME, {"name": {}}, None),
        (FIRST_NAME, {"name": {}}, ""),
        (FIRST_NAME, {}, None),
        (EMAIL, {"name": "a@b.com"}, None),
    ],
)
def test_what_stands_in_for_an_absent_trait(row: MatchKey, traits: dict[str, Any], found: object) -> None:
    """The other spelling first, then a word of the full name, for the two names alone."""
    assert find_substitute(row, traits) == found


def test_a_list_keeps_its_order_and_loses_its_doubles() -> None:
    """Several values of one key are hashed each for itself."""
    given = ["b@x.com", "A@x.com", None, "B@x.com ", 5]
    assert hash_given(given, EMAIL, make_surroundings()) == [hash_value("b@x.com"), hash_value("a@x.com")]
    assert hash_given(["a@x.com"], EMAIL, make_surroundings()) == hash_value("a@x.com")
    assert hash_given([["a@x.com"]], EMAIL, make_surroundings()) is None


@pytest.mark.parametrize("key", ["fn", "ln", "ge", "ct", "st", "zp", "country"])
def test_remembered_values_are_bounded(key: str) -> None:
    """At most a few thousand short values are remembered; a long one is hashed anew with the same result."""
    row = next(row for row in MATCH_KEYS if row.key == key)
    remembering = match_keys._remember_postal_code if key == "zp" else row.hash_text
    remember = inspect.getclosurevars(remembering).nonlocals["remember"]
    assert remember.cache_info().maxsize <= 4096
    text = {"zp": "SW1A 1AA", "ge": "female", "country": "Germany"}.get(key, "texas")
    row.hash_text(text, make_surroundings())
    before = remember.cache_info().currsize
    padded = text + " " * match_keys._REMEMBERED_CHARACTERS
    assert row.hash_text(padded, make_surroundings()) == row.hash_text(text, make_surroundings()) is not None
    assert remember.cache_info().currsize == before
