"""What mutants of the mapping (`make mutate`) showed that no other test asked about: the edges of numbers and patterns,
and every word of the tables, written down a second time.
"""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pycountry
import pytest
from pydantic import ValidationError

import signalpost
from signalpost.mapping.amounts import read_number, read_quantity
from signalpost.mapping.click_ids import find_fbc, find_fbp
from signalpost.mapping.event_time import build_event_time
from signalpost.mapping.findings import Findings
from signalpost.mapping.normalize import (
    hash_value,
    is_unsupported_hash,
    keep_letters_and_marks,
    normalize_birthday,
    normalize_email,
    normalize_gender,
    normalize_name,
    remove_junk,
)
from signalpost.mapping.phone_numbers import find_bare_number, find_full_number
from signalpost.mapping.places import normalize_country, normalize_postal_code, normalize_state
from signalpost.mapping.user_data import MatchOptions, _is_public, build_offline_user_data, build_user_data
from signalpost.model.ids import DatasetId, MessageId
from signalpost.model.results import WarningCode
from signalpost.model.segment_event import SegmentEvent
from signalpost.model.server_event import ServerEvent
from tests.mapping.phone_library import ask_library
from tests.mapping.test_match_keys import VECTORS

CAPI, OFFLINE = "facebook-conversions-api", "facebook-offline-conversions"
RECEIVED_AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
TODAY = date(2026, 11, 21)


def make_event(**fields: Any) -> SegmentEvent:
    whole = {"type": "track", "event": "Seen", "timestamp": RECEIVED_AT, "received_at": RECEIVED_AT, **fields}
    return SegmentEvent(message_id=MessageId("m-1"), **whole)


def map_for(destination_type: str, settings: dict[str, Any], event: SegmentEvent) -> tuple[dict[str, Any], Any]:
    """What custom_data is sent, and the warnings."""
    (result,) = signalpost.map_event(event, signalpost.build_destination(destination_type, settings))
    assert isinstance(result, signalpost.Mapped)
    return dict(result.server_event.custom_data or {}), result.warnings


def warnings_of(findings: Findings) -> tuple[WarningCode, ...]:
    return findings.conclude(DatasetId("1"), ServerEvent("Seen", 0, "m-1", "website")).warnings


# --- Numbers and times ---


@pytest.mark.parametrize(
    ("given", "number"),
    [
        (2**53, 2**53), (2**53 + 1, None), (-(2**53), -(2**53)), (str(2**53), 2**53), (str(2**53 + 1), None),
        (float(2**53), float(2**53)), ("." + "0" * 38 + "1", 1e-39), ("." + "0" * 39 + "1", None),
        ("5.", 5.0), (".5", 0.5), (".", None), ("-", None), ("-5", -5), ("+5", 5), ("x5", None), ("x1,234", None),
        ("1,234", 1234), ("$1,234", 1234), ("1,234.", 1234.0), ("-1,234,567.8", -1234567.8), ("1234,567", None),
        ("12,34", None), ("\u0663", None), ("1,\u0662\u0663\u0664", None), (" 7 ", 7), ("9.99", 9.99),
    ],
)  # fmt: skip
def test_numbers(given: object, number: float | None) -> None:
    """A number is ASCII digits below 2^53, in at most 40 characters, with commas only between thousands."""
    found = read_number(given)
    assert (found, type(found)) == (number, type(number))


def test_nothing_is_a_quantity_too() -> None:
    """Zero of a product is a whole number of 0 or more."""
    assert (read_quantity(0), read_quantity("0"), read_quantity(-1)) == (0, 0, None)


@pytest.mark.parametrize("given", [" 19.5 ", "19.5"])
def test_blanks_around_a_number_are_no_formatting(given: str) -> None:
    """A value between blanks is not called coerced."""
    sent, warnings = map_for(CAPI, {"pixel_id": "1234567890"}, make_event(user_id="u1", properties={"revenue": given}))
    assert sent["value"] == 19.5
    assert "value_coerced" not in warnings


@pytest.mark.parametrize(
    ("happened_at", "received_at", "seconds", "finding"),
    [
        ("2026-11-14T12:00:00.000", "2026-11-21T12:00:00.000", 1794657600, None),
        ("2026-11-14T12:00:00.100", "2026-11-21T12:00:00.900", 1794657600, None),
        ("2026-11-14T11:59:59.900", "2026-11-21T12:00:00.100", 1794657599, "event_too_old"),
        ("2026-11-21T12:00:00.900", "2026-11-21T12:00:00.100", 1795262400, None),
        ("2026-11-21T12:00:01.000", "2026-11-21T12:00:00.900", 1795262400, "event_time_in_future"),
    ],
)
def test_ages_are_compared_in_whole_seconds(
    happened_at: str, received_at: str, seconds: int, finding: str | None
) -> None:
    """Less than a second makes nothing too old, nor puts it in the future."""
    timestamp, received = (datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (happened_at, received_at))
    findings = Findings()
    event = make_event(timestamp=timestamp, received_at=received)
    assert build_event_time(event, timedelta(days=7), findings) == seconds
    result = findings.conclude(DatasetId("1"), ServerEvent("Seen", 0, "m-1", "website"))
    found = (result.reason,) if isinstance(result, signalpost.Discarded) else result.warnings
    assert found == (() if finding is None else (finding,))


@pytest.mark.parametrize("properties", [{"action_source": "", "actionSource": ""}, {"actionSource": ""}])
def test_an_empty_action_source_is_none(properties: dict[str, Any]) -> None:
    """In either spelling."""
    event = make_event(user_id="u1", properties=properties)
    (result,) = signalpost.map_event(event, signalpost.build_destination(CAPI, {"pixel_id": "1234567890"}))
    assert isinstance(result, signalpost.Mapped)
    assert result.server_event.action_source == "website"


def test_a_caret_is_part_of_an_address() -> None:
    """An e-mail address in a query is hashed as a whole."""
    link = "https://shop.example/?mail=a^b@ex.com"
    sent, warnings = map_for(CAPI, {"pixel_id": "1234567890"}, make_event(user_id="u1", properties={"link": link}))
    assert sent["link"] == link.replace("a^b@ex.com", hash_value("a^b@ex.com"))
    assert "pii_in_properties" in warnings


# --- Click ids ---


@pytest.mark.parametrize(
    ("fbc", "is_well_formed"),
    [("fb.9.9.x", True), ("fb..9.x", False), ("fb.9..x", False), ("fb.9.9.", False)],
)
def test_every_part_of_a_click_id_has_something_in_it(fbc: str, is_well_formed: bool) -> None:
    """Neither the index nor the time nor the id may be empty."""
    assert (find_fbc(make_event(properties={"fbc": fbc}), Findings()) is not None) == is_well_formed
    fbp = fbc.replace("x", "9")
    assert (find_fbp(make_event(properties={"fbp": fbp}), Findings()) is not None) == is_well_formed


def test_the_click_id_of_the_properties_comes_first() -> None:
    """A click id between blanks in the properties still beats the one of the context."""
    event = make_event(properties={"fbc": " fb.1.2.A "}, context={"clientIds": {"fbc": "fb.1.2.B"}})
    assert find_fbc(event, Findings()) == "fb.1.2.A"


# --- Text ---


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("a@9.aa", "a@9.aa"), ("a@99.99aa", "a@99.99aa"), ("a@a9a.9a9", "a@a9a.9a9"), ("a@x9.a9-9a", "a@x9.a9-9a"),
        ("a@a.9za", "a@a.9za"), ("a@b.a9", "a@b.a9"), ("a@b.az", "a@b.az"), ("a@a-9-a.co", "a@a-9-a.co"),
        ("a@b.99", None), ("a@b.9", None), ("a@-b.co", None), ("a@b-.co", None), ("a@.co", None), ("a@b..co", None),
        ("[a@b.co", None), ("a]@b.co", None), ("a\\@b.co", None), ("a@", None), ("ä@", None), ("ä@b.co", "ä@b.co"),
        ("a^b@c.co", "a^b@c.co"),
        ("ä@b-.co", None), ("ä@-b.co", None), ("ä@b-c.co", "ä@b-c.co"), ("ä@-.co", None), ("ä@b.a9", "ä@b.a9"),
        ("ä@9.co", "ä@9.co"), ("ä@ab-a.co", "ä@ab-a.co"), ("ä@a-a.co", "ä@a-a.co"), ("ä@b.9a", "ä@b.9a"),
        ("ä@b.co-", None),
    ],
)  # fmt: skip
def test_addresses(text: str, address: str | None) -> None:
    """Labels may hold digits and, inside, dashes; the last one has two characters or more and not digits alone."""
    assert normalize_email(text) == address


@pytest.mark.parametrize(
    ("text", "kept"),
    [("A-Z", "AZ"), ("a.9", "a9"), ("B 2", "B2"), ("\u00e9\u0007\u00ad.9", "\u00e99"), ("Zoe!", "Zoe")],
)
def test_what_is_no_junk(text: str, kept: str) -> None:
    """Every letter and digit stays; control characters and soft hyphens go, beside accents too."""
    assert remove_junk(text) == kept


@pytest.mark.parametrize(("text", "kept"), [("A-Z9", "AZ"), ("a.z", "az"), ("\u00e9-A'9", "\u00e9A")])
def test_what_letters_are(text: str, kept: str) -> None:
    """Every letter stays, and nothing else."""
    assert keep_letters_and_marks(text) == kept


@pytest.mark.parametrize("digits", [32, 40, 128])
def test_hashes_with_every_digit(digits: int) -> None:
    """Another hash is recognised whichever hex digits it has."""
    text = ("0123456789abcdefABCDEF" * 6)[:digits]
    assert is_unsupported_hash(text)
    assert not is_unsupported_hash(text[1:])
    assert normalize_name(text[1:]) is not None


GENDERS = {
    "f": "f female woman girl lady madam ma'am miss ms. mrs. she her hers",
    "m": "m male man boy gentleman guy sir mister mr. he him his",
}


@pytest.mark.parametrize(("letter", "word"), [(letter, word) for letter in GENDERS for word in GENDERS[letter].split()])
def test_every_word_for_a_gender(letter: str, word: str) -> None:
    """Each word that Meta's parameter builder knows is read, in any case."""
    assert (normalize_gender(word), normalize_gender(word.upper())) == (letter, letter)


@pytest.mark.parametrize(
    ("text", "day_first", "read"),
    [
        ("1900-01-01", False, "19000101"), ("1899-12-31", False, None), ("19991019", False, "19991019"),
        ("1999-10-19", False, "19991019"), ("1999/9/9", False, "19990909"), ("9/9/1999", False, "19990909"),
        ("19.9.1999", False, "19990919"), ("9/19/1999", True, "19990919"), ("12/1/1999", False, "19991201"),
        ("13/1/1999", False, "19990113"), ("1/12/1999", True, "19991201"), ("1/13/1999", True, "19990113"),
        ("1999-09-09T9:59", False, "19990909"), ("1999-09-09T19:59:09Z", False, "19990909"),
        ("1999-09-09 100:00", False, None),
        ("1999-09-09Tx9:59", False, None), ("1999-09-09T09:59\nZ", False, "19990909"),
        ("1999x-09-09", False, None), ("1999-9x-9", False, None), ("1999-009-09", False, None),
        ("1999-09-009", False, None), ("009/09/1999", False, None), ("09/009/1999", False, None),
        ("9 9 1999", False, "19990909"), ("9/x/9/1999", False, None), ("991999", False, None),
        ("3/4/1999 ( dd/mm )", False, "19990403"), ("3/4/1999 (mm/dd)", True, "19990304"),
        ("3/4/1999 (MM/DD)", True, "19990304"), ("3/4/1999 ()", True, "19990403"), ("3/4/1999 (us)", True, "19990403"),
        ("(3/4/1999)", False, None),
        ("1900/01/01", False, "19000101"),
        ("2026/11/21", False, "20261121"),
        ("2026/11/22", False, None),
        ("199999", False, None),
        ("1999109", False, None),
        ("19990909", False, "19990909"),
        (" 1999-09-09\n", False, "19990909"),
    ],
)  # fmt: skip
def test_birthdays(text: str, day_first: bool, read: str | None) -> None:
    """The first day, the edges of months and days, notes about the order, and separators that are none."""
    assert normalize_birthday(text, day_first=day_first, today=TODAY) == read


# --- Phone numbers ---


@pytest.mark.parametrize(
    "vector",
    [vector for vector in VECTORS if vector["field"] == "ph" and isinstance(vector["input"], str)],
    ids=lambda vector: f"{vector['input']!a}-{vector['why']}",
)
def test_phone_numbers_the_long_way(vector: dict[str, Any]) -> None:
    """The library alone, without what is recognised before it is asked, gives what the vectors say."""
    options = vector["options"]
    countries = [normalize_country(options.get(name, "")) for name in ("country", "default_phone_country")]
    code = next(filter(None, countries), None)
    digits = ask_library(vector["input"], code) or find_bare_number(vector["input"])
    if not is_unsupported_hash(vector["input"]) and len(vector["input"]) < 64:
        assert (None if digits is None else hash_value(digits)) == vector["sha256"]


@pytest.mark.parametrize(
    ("text", "country", "digits"),
    [
        ("0044 20 7946 0958", "us", "442079460958"),
        ("00 44 20 7946 0958", None, "442079460958"),
        ("0044 1", None, None),
        ("0020 7946 0958", "gb", "2079460958"),
        ("44 20 7946 0958", "us", "442079460958"),
        ("20 7946 0958", "gb", "442079460958"),
        ("020 7946 0958", "gb", "442079460958"),
        ("00 1 650 555 1212", "de", "16505551212"),
        ("0 (650) 555-1212", "us", "16505551212"),
        ("+44 20 7946 0958 x12-34", None, None),
        ("+44 20 7946 0958 x12 34", None, None),
        ("+44 20 7946 x12 0958", None, None),
        ("0044 718 542 611", "us", "44718542611"),
        ("+44 20 7946 0958 EXT 12", None, "442079460958"),
        ("+44 20 7946 0958 x12345678", None, None),
        ("+44 20 7946 0958 x", None, "442079460958"),
        ("+44 20 7946 0958 tel:", None, None),
        ("1-800-FLOWERS 5551234", "us", None),
        ("555-1212 or so", "us", None),
        ("+44 20 7946 0958 A", None, None),
        ("+44 20 7946 0958 a", None, None),
        ("+44 20 7946 0958 доб", None, None),
        ("tel:+44 20 7946 0958" + " " * 230, None, "442079460958"),
        ("tel:+44 20 7946 0958" + " " * 231, None, None),
    ],
)
def test_full_numbers(text: str, country: str | None, digits: str | None) -> None:
    """Zeros in front, readings by country or by the world, extensions, and texts of up to 250 characters."""
    assert find_full_number(text, country) == digits


@pytest.mark.parametrize(("text", "digits"), [("6011234567", "16011234567"), ("4011234567", "14011234567")])
def test_what_is_only_possible_belongs_to_the_country(text: str, digits: str) -> None:
    """Digits that are no valid number anywhere are read as the country's own, if they are possible there."""
    assert ask_library(text, "us") == digits


@pytest.mark.parametrize(
    ("text", "digits"),
    [
        ("1212121", "1212121"), ("121212", None), ("1" * 14 + "2", "1" * 14 + "2"), ("1" * 15 + "2", None),
        ("0001111111", None), ("99+1234567", "991234567"), ("00555 123 4567", "5551234567"), ("", None),
        ("5551234x", "5551234"),
    ],
)  # fmt: skip
def test_bare_numbers(text: str, digits: str | None) -> None:
    """7 to 15 digits that are not all the same, after the zeros; a plus counts only before them."""
    assert find_bare_number(text) == digits


# --- Places ---

COUNTRIES = {
    "ae": "UAE", "at": "Österreich", "be": "België, Belgique", "bn": "Brunei", "br": "Brasil", "cd": "D.R.C.",
    "ch": "Schweiz, Suisse, Svizzera", "ci": "Ivory Coast", "cn": "P.R.C., 中国", "cv": "Cape Verde",
    "de": "Deutschland", "dk": "Danmark", "es": "España", "fi": "Suomi",
    "gb": "UK, Great Britain, Britain, England, Scotland, Wales, Northern Ireland", "gr": "EL", "ie": "Éire",
    "it": "Italia", "jp": "日本", "kr": "Korea, Republic of Korea, R.O.K., 한국, 대한민국", "mk": "Macedonia",
    "mm": "Burma", "mo": "Macau, Macao", "nl": "Holland, Nederland", "no": "Norge", "pl": "Polska", "ps": "Palestine",
    "ru": "Russia, Россия", "sa": "KSA", "se": "Sverige", "sz": "Swaziland", "tl": "East Timor", "tr": "Turkey",
    "us": "United States", "va": "Vatican",
}  # fmt: skip


@pytest.mark.parametrize("code", COUNTRIES)
def test_names_that_iso_does_not_have(code: str) -> None:
    """Usual names of countries, in their own languages too."""
    names = COUNTRIES[code].split(", ")
    assert {normalize_country(spelling) for name in names for spelling in (name, f"The {name}")} == {code}


SUBDIVISIONS = [each for each in pycountry.subdivisions if each.country_code in {"US", "CA"} and each.code != "US-UM"]
BEHIND_A_STATE = {
    "US": ("USA", "US", "U.S.A.", "United States", "United States of America"),
    "CA": ("Canada",),
}


def test_a_country_behind_the_code_of_a_state() -> None:
    """`TX, USA` is Texas, with its country known or not."""
    for each in SUBDIVISIONS:
        code = each.code[3:].lower()
        for after in BEHIND_A_STATE[each.country_code]:
            for country in (each.country_code.lower(), None):
                assert normalize_state(f"{each.code[3:]}, {after}", country) == code, (each.code, after)


@pytest.mark.parametrize(
    ("name", "country", "code"),
    [
        ("Washington, D.C.", "us", "dc"), ("Virgin Islands", "us", "vi"), ("U.S. Virgin Islands", "us", "vi"),
        ("United States Virgin Islands", None, "vi"), ("Virgin Islands (U.S.)", "vi", "vi"),
        ("Armed Forces Americas", "us", "aa"), ("Armed Forces Europe", None, "ae"),
        ("Armed Forces Pacific", None, "ap"), ("AA, USA", "us", "aa"), ("AE, USA", "us", "ae"),
        ("AP, USA", "us", "ap"), ("Newfoundland", "ca", "nl"), ("P.E.I.", "ca", "pe"), ("Quebec", None, "qc"),
        ("Québec", None, "qc"), ("Yukon Territory", "ca", "yt"), ("Guam", "gu", "gu"), ("GU, USA", "gu", "gu"),
        ("American Samoa", "as", "as"), ("Northern Mariana Islands", "mp", "mp"), ("Texas", "mp", "tx"),
        ("Texas", "as", "tx"), ("Texas", "gu", "tx"), ("Texas", "vi", "tx"), ("Texas", "pr", "tx"),
        ("Texas", "ca", "texas"), ("Alberta", "us", "alberta"), ("DE-9", None, "de"), ("AT-9", None, None),
        ("US-CALI", "us", "uscali"), ("FR-A", "fr", "fra"), ("gb-abcd", None, "gbabcd"),
    ],
)  # fmt: skip
def test_states(name: str, country: str | None, code: str | None) -> None:
    """Other names of states, provinces and territories; ISO codes that are none stay as they are."""
    assert normalize_state(name, country) == code


DIGITS_ONLY = """
    at au be bg br ch cn cz de dk es fi fr gr hr hu id il in is it jp kr li lu mx my no nz ph pl ro ru sa se sg si sk
    th tr ua vn za
"""


def test_countries_whose_postal_codes_have_no_letters() -> None:
    """The letters of `X-1234` fall away where codes are digits only, and nowhere else."""
    codes = sorted(country.alpha_2.lower() for country in pycountry.countries)
    assert [code for code in codes if normalize_postal_code("X-1234", code) == "1234"] == DIGITS_ONLY.split()


@pytest.mark.parametrize(
    ("text", "country", "code"),
    [
        ("1234567890", "gb", "1234567890"), ("12", "fo", "12"), ("1", "fo", None), ("12345", "us", "12345"),
        ("1234", "gu", "01234"), ("1234", "vi", "01234"), ("1234", "as", "01234"), ("1234", "mp", "01234"),
        ("1234", "pr", "01234"), ("1234", "gb", "1234"), ("1234567890", "us", None),
    ],
)  # fmt: skip
def test_postal_codes(text: str, country: str, code: str | None) -> None:
    """2 to 10 characters; territories of the US have ZIP codes."""
    assert normalize_postal_code(text, country) == code


def test_the_first_known_country_of_several_decides() -> None:
    """A list of countries: the first that is known says how the postal code and the phone number are read."""
    address = {"country": [7, "Nowhere", "US", "DE"], "postalCode": "2134"}
    event = make_event(context={"traits": {"phone": "(650) 555-1212", "address": address}})
    user_data = build_user_data(event, MatchOptions(), Findings())
    assert (user_data.zp, user_data.ph) == (hash_value("02134"), hash_value("16505551212"))


def test_postal_code_comes_before_zip() -> None:
    """Of the other names of a postal code the one that is nearer to Segment's own."""
    event = make_event(context={"traits": {"address": {"zip": "1111", "postal_code": "2222"}}})
    assert build_user_data(event, MatchOptions(), Findings()).zp == hash_value("2222")


# --- Ids, addresses, agents ---


@pytest.mark.parametrize(
    ("field", "sent"),
    [
        ("properties.id", "user42"),
        ("context.traits.id", hash_value("user42")),
        ("traits.id", hash_value("user42")),
        (None, "u-7"),
    ],
)
def test_an_id_in_clear(field: str | None, sent: str) -> None:
    """Only an id that lies below the traits is hashed in spite of the setting."""
    given = {"id": "User 42"}
    event = make_event(user_id="U-7", properties=given, traits=given, context={"traits": given})
    options = MatchOptions(external_id_field=field, hash_external_id=False)
    assert build_user_data(event, options, Findings()).external_id == sent


def test_a_bad_id_in_clear() -> None:
    """It is warned about as a hashed one is."""
    findings = Findings()
    options = MatchOptions(external_id_field="properties.id", hash_external_id=False)
    assert build_user_data(make_event(properties={"id": {}}), options, findings).external_id is None
    assert warnings_of(findings) == ("invalid_external_id",)


@pytest.mark.parametrize("given", [" 1234567890123456 ", "1234567890123456\n"])
def test_a_lead_id_between_blanks(given: str) -> None:
    """Blanks around a lead id are no part of it."""
    assert build_offline_user_data(make_event(), MatchOptions(), given, Findings()).lead_id == "1234567890123456"


@pytest.mark.parametrize("address", ["8.8.8.8", "1.99.199.249", "192.0.2.1", "198.51.100.1", "203.0.113.1"])
def test_addresses_the_long_way(address: str) -> None:
    """The library alone agrees with the pattern; documentation ranges pass."""
    assert _is_public(address)


@pytest.mark.parametrize(
    "agent",
    [
        "aiohttp/3.9", "analytics-node/2.1", "analytics.net/3.8", "Apache-HttpClient/4.5", "axios/1.6", "curl/8.4",
        "Go-http-client/1.1", "GuzzleHttp/7", "Java/17", "node-fetch/1.0", "okhttp/4.12", "python-requests/2.31",
        "Python-urllib/3.11", "Ruby", "Segment-Bot/1", "undici", "Wget/1.21",
    ],
)  # fmt: skip
def test_agents_of_libraries(agent: str) -> None:
    """No library's agent is sent; the same behind a browser's Mozilla/ is."""
    for given, sent in (
        (agent, None),
        (f"My {agent}", f"My {agent}"),
        (f"Mozilla/5.0 {agent}", f"Mozilla/5.0 {agent}"),
    ):
        event = make_event(context={"userAgent": given})
        assert build_user_data(event, MatchOptions(), Findings()).client_user_agent == sent


# --- Settings ---


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("pixel_id", ["", "1" * 5, "9" * 20], ["1" * 4, "9" * 21, "12345x", "\u0661" * 5]),
        ("api_version", ["v9.0", "v19.9", "v26.0"], ["26.0", "v.0", "v126.0", "v26.10", "v26"]),
        ("default_phone_country", ["US", "za", "Az"], ["", "U", "USA", "1A", "\u212aA"]),
    ],
)
def test_the_form_of_a_setting(name: str, good: list[str], bad: list[str]) -> None:
    """Ids are 5 to 20 digits, versions as Meta writes them, countries two letters in any case."""
    for text in good:
        settings = signalpost.build_destination(CAPI, {name: text}).settings
        assert getattr(settings, name) == (text.upper() if name == "default_phone_country" else text)
    for text in bad:
        with pytest.raises(ValidationError, match="must"):
            signalpost.build_destination(CAPI, {name: text})


def test_what_settings_have_in_common() -> None:
    """Alone they ask for track calls and send nothing beside the events."""
    settings = signalpost.DestinationSettings()
    assert (settings.call_types, settings.request_fields) == ({"track"}, {})


def test_the_name_of_a_destination() -> None:
    """It is called by its type until it has a name of its own."""
    unnamed, named = (signalpost.build_destination(CAPI, {}, **name) for name in ({}, {"name": "Shop"}))
    assert [(each.id, each.name) for each in (unnamed, named)] == [(CAPI, CAPI), ("Shop", "Shop")]


NAMES = (
    "Facebook Conversions API", "Facebook Conversions API (Actions)", "Facebook Pixel Server-Side",
    "Facebook Pixel Server Side", "Facebook Conversions",
)  # fmt: skip


@pytest.mark.parametrize("first", range(len(NAMES)))
def test_the_order_of_the_names_of_a_destination(first: int) -> None:
    """Options are taken from the first of its names that has them."""
    given = {name: {"dataProcessingOptions": [[], 1, number]} for number, name in enumerate(NAMES) if number >= first}
    event = make_event(user_id="u1", integrations=dict(reversed(given.items())))
    destination = signalpost.build_destination(CAPI, {"pixel_id": "1234567890", "limited_data_use": True})
    (result,) = signalpost.map_event(event, destination)
    assert isinstance(result, signalpost.Mapped)
    assert result.server_event.data_processing_options_state == first


STANDARD_NAMES = """
    ViewContent Search AddToCart AddToWishlist InitiateCheckout AddPaymentInfo Purchase Lead CompleteRegistration
    Contact CustomizeProduct Donate FindLocation Schedule StartTrial SubmitApplication Subscribe
"""


@pytest.mark.parametrize("name", STANDARD_NAMES.split())
def test_every_standard_event_can_be_mapped_to(name: str) -> None:
    """Meta's 17 names."""
    settings = {"pixel_id": "1234567890", "standard_events": {"Seen": name}}
    (result,) = signalpost.map_event(make_event(user_id="u1"), signalpost.build_destination(CAPI, settings))
    assert result.server_event is not None
    assert result.server_event.event_name == name
