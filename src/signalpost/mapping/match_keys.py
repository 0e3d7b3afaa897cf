"""The match keys that are hashed from traits: where each is found, which rule normalises it, what a bad one is called.

A new match key is a row of MATCH_KEYS. Values of which there are few (names, places, genders) are hashed once and
remembered: so many of them, none of them long, that the memory they take is bounded.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import msgspec

from signalpost.mapping.findings import Findings
from signalpost.mapping.normalize import (
    clean_text,
    find_sha256,
    hash_text,
    hash_value,
    is_unsupported_hash,
    match_plain_email,
    normalize_birthday,
    normalize_email,
    normalize_external_id,
    normalize_gender,
    normalize_name,
    read_text,
)
from signalpost.mapping.phone_numbers import find_bare_number, find_unrecognized_number, recognize_number
from signalpost.mapping.places import (
    is_plain_zip,
    normalize_city,
    normalize_country,
    normalize_postal_code,
    normalize_state,
)
from signalpost.model.results import WarningCode
from signalpost.model.segment_event import JsonObject
from signalpost.model.server_event import HashedValues

_REMEMBERED_VALUES = 4096
_REMEMBERED_CHARACTERS = 64


class Surroundings(msgspec.Struct, frozen=True):
    """What the rule for one value may have to know besides the value.

    country, phone_country: ISO alpha-2, lower case, of the address and for phone numbers; None when unknown.
    today: the UTC day on which the call was received.
    findings: takes the warning about a value that is sent all the same.
    """

    country: str | None
    phone_country: str | None
    day_first_dates: bool
    today: date
    findings: Findings


Hasher = Callable[[str, Surroundings], str | None]
"""From a trait's text to the hash on the wire; None when the text is of no use."""


@dataclass(frozen=True, slots=True)
class MatchKey:
    """One row. key: the name in user_data.

    name, other_names: tried in this order in the traits, or in their object `address`.
    word_of_name: which word of the trait `name` (0 the first, -1 the last of several) stands in for a missing trait.
    """

    key: str
    name: str
    hash_text: Hasher
    warning: WarningCode
    other_names: tuple[str, ...] = ()
    is_in_address: bool = False
    word_of_name: int | None = None


def _remembering(normalize: Callable[[str], str | None]) -> Hasher:
    @lru_cache(_REMEMBERED_VALUES)
    def remember(text: str) -> str | None:
        return hash_text(text, normalize)

    def hash_remembered(text: str, _: Surroundings) -> str | None:
        return remember(text) if len(text) <= _REMEMBERED_CHARACTERS else hash_text(text, normalize)

    return hash_remembered


def _remembering_with_country(normalize: Callable[[str, str | None], str | None]) -> Hasher:
    @lru_cache(_REMEMBERED_VALUES)
    def remember(text: str, country: str | None) -> str | None:
        return hash_text(text, normalize, country)

    def hash_remembered(text: str, surroundings: Surroundings) -> str | None:
        country = surroundings.country
        return remember(text, country) if len(text) <= _REMEMBERED_CHARACTERS else hash_text(text, normalize, country)

    return hash_remembered


def _hash_email(text: str, _: Surroundings) -> str | None:
    return hash_value(text) if match_plain_email(text) else hash_text(text, normalize_email)


def _hash_phone(text: str, surroundings: Surroundings) -> str | None:
    number = recognize_number(text, surroundings.phone_country)
    if number is not None:
        return hash_value(number)
    return hash_text(text, _normalize_unrecognized_phone, surroundings)


def _normalize_phone(text: str, surroundings: Surroundings) -> str | None:
    number = recognize_number(text, surroundings.phone_country)
    return number or _normalize_unrecognized_phone(text, surroundings)


def _normalize_unrecognized_phone(text: str, surroundings: Surroundings) -> str | None:
    full_number = find_unrecognized_number(text, surroundings.phone_country)
    if full_number is not None:
        return full_number
    bare_number = find_bare_number(text)
    if bare_number is not None:
        surroundings.findings.warn("phone_without_country_code")
    return bare_number


def _hash_external_id(text: str, _: Surroundings) -> str | None:
    """MD5 is an ordinary id here: a UUID without dashes looks the same."""
    already_hashed = find_sha256(text)
    if already_hashed is not None:
        return already_hashed
    kept = normalize_external_id(text)
    return None if kept is None else hash_value(kept)


def _keep_external_id(text: str, surroundings: Surroundings) -> str | None:
    """An e-mail address is hashed all the same: nothing personal goes out in clear because of a setting about ids."""
    if normalize_email(clean_text(text)) is not None:
        return _hash_external_id(text, surroundings)
    return find_sha256(text) or normalize_external_id(text)


_remember_postal_code = _remembering_with_country(normalize_postal_code)


def _hash_postal_code(text: str, surroundings: Surroundings) -> str | None:
    if is_plain_zip(text, surroundings.country):  # too many to be worth remembering
        return hash_value(text)
    return _remember_postal_code(text, surroundings)


def _hash_birthday(text: str, surroundings: Surroundings) -> str | None:
    birthday = normalize_birthday(text, day_first=surroundings.day_first_dates, today=surroundings.today)
    return find_sha256(text) if birthday is None else hash_value(birthday)


def _normalize_birthday(text: str, surroundings: Surroundings) -> str | None:
    return normalize_birthday(text, day_first=surroundings.day_first_dates, today=surroundings.today)


MATCH_KEYS = (
    MatchKey("em", "email", _hash_email, "invalid_email"),
    MatchKey("ph", "phone", _hash_phone, "invalid_phone"),
    MatchKey("fn", "firstName", _remembering(normalize_name), "invalid_first_name", ("first_name",), word_of_name=0),
    MatchKey("ln", "lastName", _remembering(normalize_name), "invalid_last_name", ("last_name",), word_of_name=-1),
    MatchKey("ge", "gender", _remembering(normalize_gender), "invalid_gender"),
    MatchKey("db", "birthday", _hash_birthday, "invalid_birthday"),
    MatchKey("ct", "city", _remembering(normalize_city), "invalid_city", is_in_address=True),
    MatchKey("st", "state", _remembering_with_country(normalize_state), "invalid_state", is_in_address=True),
    MatchKey(
        "zp",
        "postalCode",
        _hash_postal_code,
        "invalid_postal_code",
        ("postal_code", "zip"),
        is_in_address=True,
    ),
    MatchKey("country", "country", _remembering(normalize_country), "invalid_country", is_in_address=True),
)


# The id of the call itself; `external_id_field` may name any field, so there is no fixed trait to look for.
HASHED_EXTERNAL_ID = MatchKey("external_id", "", _hash_external_id, "invalid_external_id")
CLEAR_EXTERNAL_ID = MatchKey("external_id", "", _keep_external_id, "invalid_external_id")

Normalizer = Callable[[str, Surroundings], str | None]


def _alone(normalize: Callable[[str], str | None]) -> Normalizer:
    return lambda text, _: normalize(text)


def _with_country(normalize: Callable[[str, str | None], str | None]) -> Normalizer:
    return lambda text, surroundings: normalize(text, surroundings.country)


NORMALIZERS: Mapping[str, Normalizer] = {
    "em": _alone(normalize_email),
    "ph": _normalize_phone,
    "fn": _alone(normalize_name),
    "ln": _alone(normalize_name),
    "ge": _alone(normalize_gender),
    "db": _normalize_birthday,
    "ct": _alone(normalize_city),
    "st": _with_country(normalize_state),
    "zp": _with_country(normalize_postal_code),
    "country": _alone(normalize_country),
    "external_id": _alone(normalize_external_id),
}
"""The rule of each row by itself, for whoever explains a hash: the row's `hash_text` is the quick way to the same."""


def find_substitute(match_key: MatchKey, place: JsonObject) -> object:
    """Return what stands in for a trait that is absent or null: its other names, a part of the full name; or None."""
    for name in match_key.other_names:
        given = place.get(name)
        if given is not None:
            return given
    return None if match_key.word_of_name is None else _find_word(place.get("name"), match_key.word_of_name)


def _find_word(name: object, position: int) -> str | None:
    """Return a word of a full name. When it has none the first is "", which is warned about like any bad first name."""
    if name is None:
        return None
    text = read_text(name)
    words = [] if text is None or find_sha256(text) else clean_text(text).split()
    if position == 0:
        return words[0] if words else ""
    return words[position] if len(words) > 1 else None


def hash_given(given: object, match_key: MatchKey, surroundings: Surroundings) -> HashedValues | None:
    """Return the hash of a text or an integer, or those of a list: the good ones, each once, in their order.

    Every other type counts as a bad value. Bad values are left out and warned about; None when nothing is left.
    """
    if not isinstance(given, list):
        return _hash_single(given, match_key, surroundings)
    hashes = [_hash_single(value, match_key, surroundings) for value in given if value is not None]
    distinct = list(dict.fromkeys(value for value in hashes if value is not None))
    return distinct[0] if len(distinct) == 1 else distinct or None


def _hash_single(given: object, match_key: MatchKey, surroundings: Surroundings) -> str | None:
    text = read_text(given)
    hashed = None if text is None else match_key.hash_text(text, surroundings)
    if hashed is None:
        is_other_hash = text is not None and is_unsupported_hash(text)
        surroundings.findings.warn("unsupported_hash" if is_other_hash else match_key.warning)
    return hashed
