"""Countries, states, cities and postal codes, against the ISO tables and for any text."""

from collections.abc import Callable

import pycountry
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalpost.mapping.places import (
    US_TERRITORIES,
    normalize_city,
    normalize_country,
    normalize_postal_code,
    normalize_state,
)

SOME_COUNTRIES = st.sampled_from([None, "us", "ca", "pr", "gb", "de", "au", "it", "sa"])
SUBDIVISIONS = sorted(subdivision.code for subdivision in pycountry.subdivisions)
ANY_TEXT = st.text() | st.text("abcAB -.'12\u0301\u200b\u02bcßİΣ", max_size=8) | st.sampled_from(SUBDIVISIONS)


def test_every_country_of_iso_3166() -> None:
    """A country is found by both codes and by each of its names, in any case."""
    fields = ("alpha_2", "alpha_3", "name", "common_name", "official_name")
    for country in pycountry.countries:
        names = [name for field in fields if (name := getattr(country, field, None))]
        found = {normalize_country(spelling) for name in names for spelling in (name, name.upper(), f" {name}. ")}
        assert found == {country.alpha_2.lower()}, names


@pytest.mark.parametrize("country", ["US", "CA"])
def test_every_state_and_province(country: str) -> None:
    """Each subdivision is found by name, by code and by its ISO code, with its country known or not."""
    inhabited = [each for each in pycountry.subdivisions if each.code.startswith(country) and each.code != "US-UM"]
    for subdivision in inhabited:
        code = subdivision.code[3:].lower()
        spellings = (
            subdivision.name,
            code,
            subdivision.code,
            f"{subdivision.name}, {'USA' if country == 'US' else 'Canada'}",
        )
        assert {normalize_state(text, within) for text in spellings for within in (country.lower(), None)} == {code}


@pytest.mark.parametrize(
    ("text", "country", "state"),
    [
        ("CA-ON", "us", "caon"),
        ("US-PR", "pr", "pr"),
        ("us-tx", None, "tx"),
        ("US-ZZ", None, "uszz"),
        ("TX, USA", None, "tx"),
        ("USA", "us", "usa"),
        ("Hawai\u02bbi", "us", "hi"),
        ("Que\u0301bec", None, "qc"),
        ("Bayern Canada", "de", "bayerncanada"),
    ],
)
def test_states_beyond_the_vectors(text: str, country: str | None, state: str) -> None:
    """An ISO code counts where it exists and fits the country; letter-like apostrophes are no letters."""
    assert normalize_state(text, country) == state


@pytest.mark.parametrize("country", sorted(US_TERRITORIES))
def test_territories_have_us_zips(country: str) -> None:
    """A US territory given as the country has US states and ZIP codes."""
    assert normalize_postal_code("00901-1234", country) == "00901"
    assert normalize_state("Puerto Rico", country) == "pr"


@pytest.mark.parametrize(
    ("text", "country", "code"),
    [
        ("37221 3312", None, "37221"),
        ("\u221212345", None, "12345"),
        ("\u201312345", None, None),
        ("12345678901", "gb", None),
        ("D-10115", None, "d10115"),
        ("AB", "gb", None),
        ("\u0661\u0662\u0663\u0664\u0665", None, "12345"),
    ],
)
def test_postal_codes_beyond_the_vectors(text: str, country: str | None, code: str | None) -> None:
    """Nine digits without a country are a ZIP+4; letters go only where the country is known to have none."""
    assert normalize_postal_code(text, country) == code


def test_a_city_has_a_letter() -> None:
    """Marks alone are no city; letter-like apostrophes are removed like all others."""
    assert normalize_city("\u0301") is None
    assert normalize_city("K\u0101ne\u02bbohe") == normalize_city("K\u0101ne\u2019ohe") == "k\u0101neohe"


@pytest.mark.parametrize(
    "normalizer",
    [
        lambda text, _: normalize_country(text),
        lambda text, _: normalize_city(text),
        normalize_state,
        normalize_postal_code,
    ],
    ids=["country", "city", "state", "postal_code"],
)
@given(text=ANY_TEXT, country=SOME_COUNTRIES)
def test_twice_is_once(normalizer: Callable[[str, str | None], str | None], text: str, country: str | None) -> None:
    """What has been normalised stays as it is for the same country, and is never empty."""
    once = normalizer(text, country)
    assert once is None or (once and normalizer(once, country) == once)


@given(padding=st.integers(60, 70))
def test_long_text_is_looked_up_too(padding: int) -> None:
    """What is too long to be remembered gives the same answer."""
    assert normalize_country("U.S." + " " * padding) == "us"
