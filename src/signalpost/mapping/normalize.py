"""From a trait as typed to the text that Meta hashes, and `hash_value()`, where personal data in clear ends.

Here are the rules every match key shares and those that need no look-up; phone numbers and places have their own files.
Every `normalize_x` gives None instead of "", so that the hash of nothing never leaves.
Text in ASCII takes a short way with the same result: it has nothing to compose and no categories to look up.
Source: Meta, "Customer Information Parameters"; where that is silent, the rule says what was chosen.
"""

import re
from collections.abc import Callable
from datetime import date
from hashlib import sha256
from typing import TypeVarTuple
from unicodedata import category, decimal, normalize

_Context = TypeVarTuple("_Context")

_INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2060\ufeff]")
_LETTERLIKE_APOSTROPHES = "\u02bb\u02bc"
_ASCII_JUNK = re.compile("[^a-zA-Z0-9]+")
_NO_ASCII_LETTER = re.compile("[^a-zA-Z]+")

_SHORTEST_HASH = 32
_HASH = re.compile(
    r"([0-9a-fA-F]{64})(?:\.(?:\S{2}|\S{8}))?"  # SHA-256, perhaps with the appendix of Meta's parameter builder
    r"|[0-9a-fA-F]{32}|[0-9a-fA-F]{40}|[0-9a-fA-F]{128}"  # MD5, SHA-1, SHA-512
)

_MAX_DIGITS_OF_INTEGER = 100


def hash_value(text: str) -> str:
    """Return the SHA-256 of the UTF-8 bytes as 64 lower-case hex digits. Half a surrogate pair counts as "?"."""
    try:
        return sha256(text.encode()).hexdigest()
    except UnicodeEncodeError:
        return sha256(text.encode(errors="replace")).hexdigest()


def read_text(value: object) -> str | None:
    """Return a JSON value as the text it stands for: text itself, an integer's digits; None for any other type."""
    if isinstance(value, str):
        return value
    # Python refuses to print integers of thousands of digits, and nobody has such an id.
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**_MAX_DIGITS_OF_INTEGER:
        return str(value)
    return None


def find_sha256(text: str) -> str | None:
    """Return the hash, lower-cased, when the text is one already: 64 hex digits; an appendix of Meta's is dropped."""
    found = _match_hash(text) if len(text) >= _SHORTEST_HASH else None
    return found[1].lower() if found and found[1] else None


def is_unsupported_hash(text: str) -> bool:
    """Tell whether the text looks like MD5, SHA-1 or SHA-512: Meta documents SHA-256 alone."""
    found = _match_hash(text)
    return found is not None and found[1] is None


def _match_hash(text: str) -> re.Match[str] | None:
    return _HASH.fullmatch(clean_text(text))


def hash_text(text: str, normalize_text: Callable[[str, *_Context], str | None], *context: *_Context) -> str | None:
    """Return the hash of the normalised text, or the text itself when it is a SHA-256 already.

    context: what `normalize_text` takes besides the text.
    None when nothing is left, when the rule is not met, and for hashes that Meta does not take.
    """
    found = _match_hash(text) if len(text) >= _SHORTEST_HASH else None
    if found is not None:
        return found[1].lower() if found[1] else None
    normalized = normalize_text(text, *context)
    return None if normalized is None else hash_value(normalized)


def clean_text(text: str) -> str:
    """Compose (NFC), remove invisible formatting characters, trim."""
    if text.isascii():
        return text.strip()
    return _INVISIBLE.sub("", normalize("NFC", text)).strip()


def lower_text(text: str) -> str:
    """Clean, then lower-case by the default Unicode mapping, never a locale's.

    Lower-casing comes before anything inside is removed: the Greek final sigma depends on its neighbours.
    """
    if text.isascii():
        return text.strip().lower()
    return normalize("NFC", clean_text(text).lower())


def write_digits_in_ascii(text: str) -> str:
    """Clean, fold compatibility forms (NFKC), and write every decimal digit of any script as 0 to 9."""
    if text.isascii():
        return text.strip()
    folded = normalize("NFKC", clean_text(text))
    return "".join(str(decimal(character, character)) for character in folded).strip()


def remove_junk(text: str) -> str:
    """Remove punctuation, symbols, separators and control characters; letters, marks and digits stay."""
    if text.isascii():
        return text if text.isalnum() else _ASCII_JUNK.sub("", text)
    return normalize("NFC", "".join(character for character in text if not _is_junk(character)))


def keep_letters_and_marks(text: str) -> str:
    """Remove all but letters and the marks that belong to them. An apostrophe is none, whatever its category says."""
    if text.isascii():
        return text if text.isalpha() else _NO_ASCII_LETTER.sub("", text)
    return normalize("NFC", "".join(character for character in text if _is_letter_or_mark(character)))


def _is_junk(character: str) -> bool:
    kind = category(character)
    return kind[0] in "PSZ" or kind in {"Cc", "Cf"} or character in _LETTERLIKE_APOSTROPHES


def _is_letter_or_mark(character: str) -> bool:
    return (character.isalpha() or category(character)[0] == "M") and character not in _LETTERLIKE_APOSTROPHES


_EMAIL_CHARACTERS = 254
_LOCAL_PART = r'[^\s@"(),:;<>\[\]\\]+'
_LABEL = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_ASCII_EMAIL = re.compile(rf"{_LOCAL_PART}@(?:{_LABEL}\.)+(?!\d+\Z)[a-z0-9][a-z0-9-]*[a-z0-9]")
_ANY_EMAIL = re.compile(rf"{_LOCAL_PART}@([^\s@]+)")


match_plain_email = re.compile(
    r"[a-z0-9._+-]{1,64}+@[a-z0-9]{1,30}+(?:-[a-z0-9]{1,30}+)?\.[a-z]{2,24}+(?:\.[a-z]{2,24}+)?"
).fullmatch
"""Matches an address that `normalize_email` would leave as it is, as nearly all are."""


def normalize_email(text: str) -> str | None:
    """Return the address in lower case: "John_Smith@gmail.com" becomes "john_smith@gmail.com".

    Dots, plus tags and internationalised parts stay as typed; a display name or a quoted local part is no address.
    Source: Meta, "Customer Information Parameters", em; what counts as an address is this project's choice.
    """
    lowered = lower_text(text)
    if len(lowered) > _EMAIL_CHARACTERS:
        return None
    is_address = _ASCII_EMAIL.fullmatch(lowered) if lowered.isascii() else _is_address(lowered)
    return lowered if is_address else None


def _is_address(text: str) -> bool:
    found = _ANY_EMAIL.fullmatch(text)
    if found is None:
        return False
    *labels, last = found[1].split(".")
    is_last_label = len(last) > 1 and not all(category(character) == "Nd" for character in last)
    return bool(labels) and is_last_label and all(_is_label(label) for label in (*labels, last))


def _is_label(label: str) -> bool:
    is_domain_text = all(character == "-" or _is_domain_character(character) for character in label)
    return bool(label) and label[0] != "-" and label[-1] != "-" and is_domain_text


def _is_domain_character(character: str) -> bool:
    kind = category(character)
    return kind[0] in "LM" or kind == "Nd"


def normalize_name(text: str) -> str | None:
    """Return a first or last name in lower case without spaces and punctuation: "O'Connor" becomes "oconnor".

    Source: Meta, "Customer Information Parameters", fn and ln: lower case, no punctuation, UTF-8 for other scripts.
    """
    kept = remove_junk(lower_text(text))
    return kept if kept.isalnum() or any(character.isalnum() for character in kept) else None


_GENDER_WORDS = {
    "f": ("f", "female", "woman", "girl", "lady", "madam", "maam", "miss", "ms", "mrs", "she", "her", "hers"),
    "m": ("m", "male", "man", "boy", "gentleman", "guy", "sir", "mister", "mr", "he", "him", "his"),
}
_GENDERS = {word: letter for letter, words in _GENDER_WORDS.items() for word in words}


def normalize_gender(text: str) -> str | None:
    """Return "f" or "m"; None for every other word, since Meta knows these two and nothing is guessed.

    Source: Meta, "Customer Information Parameters", ge; the words are those of Meta's parameter builder.
    """
    folded = text if text.isascii() else normalize("NFKC", clean_text(text))
    return _GENDERS.get(remove_junk(lower_text(folded)))


_FIRST_BIRTHDAY = date(1900, 1, 1)
_BETWEEN = "(?:\\s*[-/.\u2010-\u2015\u2212]\\s*|\\s+)"
_ISO_DATE = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")
_NOTE = re.compile(r"([^()]*)\(([^()]*)\)")
_YEAR_LAST = re.compile(f"([0-9]{{1,2}}){_BETWEEN}([0-9]{{1,2}}){_BETWEEN}([0-9]{{4}})")
_YEAR_FIRST = (
    re.compile("([0-9]{4})([0-9]{2})([0-9]{2})"),
    re.compile(f"([0-9]{{4}}){_BETWEEN}([0-9]{{1,2}}){_BETWEEN}([0-9]{{1,2}})"),
    re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt\s]\s*[0-9]{1,2}:[0-9]{2}.*", re.DOTALL),
)


def normalize_birthday(text: str, *, day_first: bool, today: date) -> str | None:
    """Return a date of birth as Meta hashes it: eight digits, YYYYMMDD.

    text: numbers only, e.g. "1990-01-31", "1990-01-31T00:00:00Z" (the date as written), "31/01/1990" or "19900131".
    day_first: how to read "03/04/1990", unless a note such as "(dd/mm/yyyy)" or a number over 12 decides.
    today: the last day that counts; the first is 1900-01-01.
    None when no real day can be read, and for two-digit years, names of months and seconds since 1970.
    Source: Meta, "Customer Information Parameters", db.
    """
    try:
        if _ISO_DATE.fullmatch(text):
            return text.replace("-", "") if _FIRST_BIRTHDAY <= date.fromisoformat(text) <= today else None
        birthday = _read_date(text, day_first=day_first)
    except ValueError:  # such as 30 February
        return None
    if birthday is None or not _FIRST_BIRTHDAY <= birthday <= today:
        return None
    return birthday.isoformat().replace("-", "")


def _read_date(text: str, *, day_first: bool) -> date | None:
    written = write_digits_in_ascii(text)
    noted = _NOTE.fullmatch(written)
    if noted is not None:
        written = noted[1].strip()
        day_first = {"d": True, "m": False}.get(noted[2].strip()[:1].lower(), day_first)
    for form in _YEAR_FIRST:
        found = form.fullmatch(written)
        if found is not None:
            year, month, day = map(int, found.groups())
            return date(year, month, day)
    found = _YEAR_LAST.fullmatch(written)
    if found is None:
        return None
    first, second, year = map(int, found.groups())
    is_day_first = first > 12 or (day_first and second <= 12)
    return date(year, second, first) if is_day_first else date(year, first, second)


def normalize_external_id(text: str) -> str | None:
    """Return the customer's own id in lower case without any white space: " User 42 " becomes "user42".

    Source: Meta, "Customer Information Parameters", external_id, which asks only that both sides send the same text.
    """
    if text.isascii():
        return "".join(text.split()).lower() or None
    return normalize("NFC", "".join(lower_text(text).split())) or None
