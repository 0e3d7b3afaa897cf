"""The rules that need no look-up: twice is once, and the short way for ASCII agrees with the rule as it is written."""

from collections.abc import Callable
from datetime import date
from functools import partial
from unicodedata import category, normalize

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from signalpost.mapping import normalize as rules
from signalpost.mapping.normalize import (
    clean_text,
    find_sha256,
    hash_text,
    hash_value,
    is_unsupported_hash,
    keep_letters_and_marks,
    lower_text,
    normalize_birthday,
    normalize_email,
    normalize_external_id,
    normalize_gender,
    normalize_name,
    read_text,
    remove_junk,
    write_digits_in_ascii,
)

TODAY = date(2026, 11, 21)
read_birthday = partial(normalize_birthday, day_first=False, today=TODAY)
NORMALIZERS = [normalize_email, normalize_name, normalize_gender, read_birthday, normalize_external_id]
NAMES = ["email", "name", "gender", "birthday", "external_id"]

ASCII = st.text(st.characters(max_codepoint=127))
ANY_TEXT = (
    st.text()
    | ASCII
    | st.emails()
    | st.dates().map(str)
    | st.text("a\u03c3\u03a3\u03c2\u0130I\u0301\u200b\u02bc\u2019 -.'", max_size=8)
)


@pytest.mark.parametrize("normalizer", NORMALIZERS, ids=NAMES)
@given(text=ANY_TEXT)
@example("e\u200b\u0301")
@example("e-\u0301")
@example("ΑΣ-")
def test_twice_is_once(normalizer: Callable[[str], str | None], text: str) -> None:
    """What has been normalised stays as it is, and is never empty."""
    once = normalizer(text)
    assert once is None or (once and normalizer(once) == once)


@given(text=ASCII)
def test_ascii_takes_a_short_way_with_the_same_result(text: str) -> None:
    """Each shared step gives what the rule gives character by character."""
    assert clean_text(text) == normalize("NFC", text).strip()
    assert lower_text(text) == text.lower().strip()
    assert write_digits_in_ascii(text) == text.strip()
    assert remove_junk(text) == "".join(one for one in text if category(one)[0] not in "PSZ" and category(one) != "Cc")
    assert keep_letters_and_marks(text) == "".join(one for one in text if category(one)[0] in "LM")
    assert normalize_external_id(text) == ("".join(one for one in text.lower() if not one.isspace()) or None)


@given(text=st.from_regex(r"[a-z0-9.'+\"@ ]{0,5}@[a-z0-9.@-]{1,12}", fullmatch=True) | ASCII)
def test_ascii_addresses_are_judged_as_any_other(text: str) -> None:
    """The pattern for ASCII accepts just what the check for every script accepts."""
    lowered = lower_text(text)
    assert (rules._ASCII_EMAIL.fullmatch(lowered) is not None) == rules._is_address(lowered)


@given(
    text=st.dates(date(1890, 1, 1), date(2030, 1, 1)).map(str)
    | st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", fullmatch=True)
)
def test_iso_dates_are_read_as_any_other(text: str) -> None:
    """A plain ISO date gives what the same date gives with another separator."""
    assert read_birthday(text) == read_birthday(text.replace("-", "/"))


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("16. 2. 1997", "19970216"),
        ("16 2 1997", "19970216"),
        ("1997\u201102\u201116", "19970216"),
        ("3/4/1997 (DD/MM/YYYY)", "19970403"),
        ("2/16/1997 (dd/mm/yyyy)", "19970216"),
        ("1997-02-16T23:30", "19970216"),
        ("2026-11-21", "20261121"),
        ("2026-11-22", None),
        ("1997-02-16x", None),
        ("1997-W07-1", None),
        ("16/1997/2", None),
        ("1997-02-16 (", None),
    ],
)
def test_birthdays_beyond_the_vectors(text: str, read: str | None) -> None:
    """A birthday is read from numbers in an order that can be told, up to the day of the call."""
    assert read_birthday(text) == read


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("a" * 243 + "@example.com", None),
        ("a" * 242 + "@example.com", "a" * 242 + "@example.com"),
        ("a;b@example.com", None),
        ("jürgen@exam_ple.de", None),
        ("jürgen@-example.de", None),
        ("jürgen@example.12", None),
        ("jürgen@example.\u0664\u0662", None),
        ("jürgen@example.d", None),
        ("jürgen@@example.de", None),
        ("jürgen schmidt@example.de", None),
        ("उदाहरण@उदाहरण.भारत", "उदाहरण@उदाहरण.भारत"),
    ],
)
def test_addresses_beyond_the_vectors(text: str, read: str | None) -> None:
    """An address has a local part without separators and a domain of two labels or more, in any script."""
    assert normalize_email(text) == read


@pytest.mark.parametrize("digits", [32, 40, 128])
def test_other_hashes_are_recognised(digits: int) -> None:
    """MD5, SHA-1 and SHA-512 are told apart from SHA-256 and from ordinary text."""
    text = "Ab" * (digits // 2)
    assert is_unsupported_hash(f" {text} ")
    assert find_sha256(text) is None
    assert not is_unsupported_hash(text[1:])
    assert hash_text(text, normalize_name) is None


@pytest.mark.parametrize("tail", ["", ".AQ", ".AQQAAQIB", "\n"])
def test_sha256_is_recognised(tail: str) -> None:
    """A SHA-256 is found in any case, with or without the appendix of Meta's library, and is not hashed again."""
    digits = "0123456789abcdef" * 4
    assert find_sha256(digits.upper() + tail) == digits
    assert hash_text(digits.upper() + tail, normalize_name) == digits
    assert not is_unsupported_hash(digits + tail)


@pytest.mark.parametrize("tail", [".", ".A", ".AQQ", ".AQQAAQI", ". Q", "0"])
def test_almost_a_sha256_is_ordinary_text(tail: str) -> None:
    """A tail of another length is no appendix."""
    assert find_sha256("ab" * 32 + tail) is None


def test_hash_of_text() -> None:
    """Text is hashed as UTF-8; half a surrogate pair, which has no UTF-8, doesn't raise."""
    assert hash_value("john") == "96d9632f363564cc3032521409cf22a852f2032eec099ed5967c0d000cec607a"
    assert hash_text(" JOHN ", normalize_name) == hash_value("john")
    assert hash_text("-", normalize_name) is None
    assert hash_value("\ud800") == hash_value("?")


@pytest.mark.parametrize(
    ("value", "text"),
    [("a", "a"), (42, "42"), (0, "0"), (10**99, "1" + "0" * 99), (10**100, None), (10**5000, None), (True, None),
     (1.0, None), (None, None), ([], None), ({}, None)],
    ids=["text", "integer", "zero", "100-digits", "101-digits", "5001-digits", "true", "float", "null", "list", "{}"],
)  # fmt: skip
def test_what_stands_for_text(value: object, text: str | None) -> None:
    """Text and integers of a sane length have a text; no other JSON type has."""
    assert read_text(value) == text


@given(st.from_regex(r"[a-z0-9._+-]{1,20}@[a-z0-9.-]{1,30}", fullmatch=True) | st.emails())
def test_a_plain_email_is_its_own_normal_form(text: str) -> None:
    """The short way for addresses takes only what the long way would leave as it is."""
    if rules.match_plain_email(text):
        assert rules.normalize_email(text) == text
