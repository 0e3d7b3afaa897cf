"""Keeps secrets and personal data out of what people and machines read: the last guard, behind code that logs none."""

import re
from collections.abc import MutableMapping
from typing import Any

MASK = "***"

_SECRETS = re.compile(
    r"(?P<named>(?:access_token|appsecret_proof|writeKey)[\"']?\s*[=:]\s*[\"']?)[^\s&\"',}]+"
    r"|(?P<scheme>\b(?:Bearer|Basic)\s+)[\w.~+/=-]+"
    r"|\bEAA[A-Za-z0-9]{8,}"  # how Meta's tokens begin
    r"|\bwk_[A-Za-z0-9_-]{8,}"
    r"|[\w.+%-]+(?:@|%40)[\w-]+(?:\.[\w-]+)+"  # e-mail addresses
    r"|(?<![\w.:/-])\+?\d[\d ().-]{7,17}\d(?![\w.:/-])",  # phone numbers, but no times, versions or ids
    re.IGNORECASE,
)


def mask_text(text: str) -> str:
    """Return the text with tokens, keys, e-mail addresses and phone numbers replaced by ***."""
    return _SECRETS.sub(lambda found: (found["named"] or found["scheme"] or "") + MASK, text)


def mask_log_entry(_logger: Any, _method: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The same for every text of a log entry, as structlog's processors are called."""
    for key, value in entry.items():
        if isinstance(value, str) and key not in {"timestamp", "level", "event", "at"}:
            entry[key] = mask_text(value)
    return entry
