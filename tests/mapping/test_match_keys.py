"""The table of match keys: complete, found under every name, and remembered within bounds."""

import inspect
from datetime import date
from typing import Any

import pytest

from signalpost.mapping import match_keys
from signalpost.mapping.findings import Findings
from signalpost.mapping.match_keys import MATCH_KEYS, MatchKey, Surroundings, find_substitute, hash_given
from signalpost.mapping.normalize import hash_value
from signalpost.model.results import WARNINGS
from signalpost.model.server_event import UserData

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
    remember = inspect.getclosurevars(row.hash_text).nonlocals["remember"]
    assert remember.cache_info().maxsize <= 4096
    text = {"zp": "12345", "ge": "female", "country": "Germany"}.get(key, "texas")
    row.hash_text(text, make_surroundings())
    before = remember.cache_info().currsize
    padded = text + " " * match_keys._REMEMBERED_CHARACTERS
    assert row.hash_text(padded, make_surroundings()) == row.hash_text(text, make_surroundings()) is not None
    assert remember.cache_info().currsize == before
