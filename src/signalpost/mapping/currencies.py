"""Currencies by ISO 4217."""

from functools import cache

DEFAULT_CURRENCY = "USD"


def read_currency(value: object) -> str | None:
    """Return the upper-case ISO 4217 code that a property names; "USD" when it is absent or blank, None when unknown.

    Source: Segment, "Spec: V2 Ecommerce Events": a missing currency means US dollars.
    """
    if value is None:
        return DEFAULT_CURRENCY
    if not isinstance(value, str):
        return None
    code = value.strip().upper() or DEFAULT_CURRENCY
    return code if code == DEFAULT_CURRENCY or code in _known_codes() else None


@cache
def _known_codes() -> frozenset[str]:
    import pycountry  # noqa: PLC0415 - reading its tables takes longer than importing the rest of the package

    return frozenset(currency.alpha_3 for currency in pycountry.currencies)
