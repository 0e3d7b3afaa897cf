"""How long Meta's headers ask us to wait."""

from collections.abc import Mapping

import msgspec

_MINUTE = 60


def find_wait_seconds(headers: Mapping[str, str]) -> float | None:
    """The longest wait that any header names, in seconds; None when none does. What can't be read is ignored.

    Source: Marketing API, "Rate Limiting": `estimated_time_to_regain_access` is in minutes, `reset_time_duration` in
    seconds. `Retry-After` is not documented by Meta; proxies send it.
    """
    by_name = {name.lower(): value for name, value in headers.items()}
    business_use_cases = _read_json(by_name.get("x-business-use-case-usage"))
    ad_account = _read_json(by_name.get("x-ad-account-usage"))
    waits = [
        *(minutes * _MINUTE for minutes in _find_numbers(business_use_cases, "estimated_time_to_regain_access")),
        *_find_numbers(ad_account, "reset_time_duration"),
        *_find_numbers({"seconds": _read_json(by_name.get("retry-after"))}, "seconds"),
    ]
    return max((wait for wait in waits if wait > 0), default=None)


def _read_json(text: str | None) -> object:
    try:
        return msgspec.json.decode(text) if text else None
    except (msgspec.DecodeError, RecursionError):
        return None


def _find_numbers(value: object, name: str) -> list[float]:
    """Every number that stands under this name, at any depth: one entry for each business and use case."""
    if isinstance(value, list):
        return [number for item in value for number in _find_numbers(item, name)]
    if not isinstance(value, dict):
        return []
    own = value.get(name)
    found = [float(own)] if isinstance(own, int | float) and not isinstance(own, bool) else []
    return found + [number for item in value.values() for number in _find_numbers(item, name)]
