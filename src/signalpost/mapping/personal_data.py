"""Personal data where it does not belong: among the properties, and in the address of a page.

Meta's terms forbid it unhashed in custom_data, and nothing in clear may reach the disk. Identifiers belong in
context.traits, where they are hashed and help matching.
"""

import re
from collections.abc import Callable, Mapping
from datetime import date
from functools import lru_cache, partial
from typing import Literal
from urllib.parse import quote, unquote

from signalpost.mapping.findings import Findings
from signalpost.mapping.normalize import (
    hash_text,
    hash_value,
    normalize_birthday,
    normalize_email,
    normalize_name,
    read_text,
)
from signalpost.mapping.phone_numbers import normalize_phone

Rule = Literal["drop", "hash", "send"]

_NORMALISERS: Mapping[str, Callable[[str], str | None]] = {
    "email": normalize_email,
    "phone": partial(normalize_phone, country=None),
    "firstname": normalize_name,
    "lastname": normalize_name,
    "birthday": partial(normalize_birthday, day_first=False, today=date.max),
}
_SAY_NOTHING = frozenset((int, float, bool))
"""Types of values that can't be an e-mail address."""
_SEPARATORS = str.maketrans("", "", "_- ")
_REMEMBERED_CHARACTERS = 64  # no name of personal data is longer, and what is remembered stays small


def clean_property(name: str, value: object, rule: Rule, findings: Findings) -> object:
    """Return the value that may be sent under this name; None when nothing may. Nulls are dropped at every depth."""
    kind = _find_kind(name) if len(name) <= _REMEMBERED_CHARACTERS else None
    if kind is not None and value is not None:
        return _apply(rule, kind, value, findings)
    if type(value) in _SAY_NOTHING or (type(value) is str and "@" not in value and "%40" not in value):
        return value
    return clean_value(value, rule, findings)


def clean_value(value: object, rule: Rule, findings: Findings) -> object:
    """The same for a value whose name tells nothing: a text that is an e-mail address, and what lies inside it."""
    if isinstance(value, str):
        return _clean_text(value, rule, findings) if "@" in value or "%40" in value else value
    if isinstance(value, dict):
        cleaned = {name: clean_property(name, below, rule, findings) for name, below in value.items()}
        return {name: below for name, below in cleaned.items() if below is not None}
    if isinstance(value, list):
        return [kept for below in value if (kept := clean_value(below, rule, findings)) is not None]
    return value


def _clean_text(text: str, rule: Rule, findings: Findings) -> object:
    if "?" in text:  # the address of a page, such as analytics.js adds to page calls, or of a mail to write
        address, mark, query = text.partition("?")
        cleaned = _hash_emails_in_words(address, findings) + mark + _hash_emails_in_query(query, findings)
        return text if rule == "send" else cleaned
    return text if normalize_email(text) is None else _apply(rule, "email", text, findings)


@lru_cache(maxsize=4096)
def _find_kind(name: str) -> str | None:
    kind = name.translate(_SEPARATORS).lower()
    return kind if kind in _NORMALISERS else None


def _apply(rule: Rule, kind: str, value: object, findings: Findings) -> object:
    findings.warn("pii_in_properties")
    if rule == "send":
        return value
    text = read_text(value)
    return None if rule == "drop" or text is None else hash_text(text, _NORMALISERS[kind])


def build_event_source_url(url: object, findings: Findings) -> str | None:
    """The address of the page; an e-mail address in its query is replaced by its SHA-256."""
    if not isinstance(url, str) or not url:
        return None
    if "@" not in url and "%40" not in url:
        return url
    address, mark, query = url.partition("?")
    return address + mark + _hash_emails_in_query(query, findings)


_QUERY_PART = re.compile("[^?&#;=]+")
_WORD = re.compile(r"""[^\s"'(),:;<>\[\]\\/?&#=|]+""")  # looks for no @, so that its time grows with the text alone


def _hash_emails_in_query(query: str, findings: Findings) -> str:
    return _QUERY_PART.sub(lambda part: _hash_emails_in_part(part.group(), findings), query)


def _hash_emails_in_part(part: str, findings: Findings) -> str:
    """A name or a value of a query, which may hold a whole address of its own, written as it was if it holds none."""
    decoded = unquote(part)
    cleaned = _hash_emails_in_words(decoded, findings)
    return part if cleaned == decoded else quote(cleaned, safe="")


def _hash_emails_in_words(text: str, findings: Findings) -> str:
    return _WORD.sub(lambda word: _hash_if_email(word.group(), findings), text)


def _hash_if_email(text: str, findings: Findings) -> str:
    email = normalize_email(text.strip("+.")) if "@" in text else None  # a plus at either end is a blank
    if email is None:
        return text
    findings.warn("pii_in_properties")
    return hash_value(email)
