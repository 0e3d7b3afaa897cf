"""What the gateway makes of a phone number when it asks the phonenumbers library each time: the tests' yardstick."""

from signalpost.mapping.phone_numbers import _find_with_library, _write_plainly


def ask_library(text: str, country: str | None) -> str | None:
    """The digits with their country code, without any short way."""
    written = _write_plainly(text)
    return None if written is None else _find_with_library(written, country)
