"""Keeps secrets and personal data out of what people and machines read: the last guard, behind code that logs none.

And keeps the terminals of those who read it whole: strangers choose event names, user agents and write keys.
"""

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


# What a terminal acts on: control characters, and what turns the direction of writing.
_CONTROLS = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0), *range(0x2028, 0x202F), *range(0x2066, 0x206A)], "\ufffd")
_CONTROLS_BUT_BREAKS = {code: shown for code, shown in _CONTROLS.items() if chr(code) not in "\t\n"}


def disarm_text(text: str) -> str:
    """Return the text with U+FFFD for whatever a terminal would obey instead of showing it; lines stay lines."""
    return text if text.isprintable() else text.translate(_CONTROLS_BUT_BREAKS)


def show_line(text: str) -> str:
    """The same as one line, so that no text can look like another line of a report or a log."""
    return text if text.isprintable() else text.translate(_CONTROLS)


def mask_text(text: str) -> str:
    """Return the text with tokens, keys, e-mail addresses and phone numbers replaced by ***."""
    return _SECRETS.sub(lambda found: (found["named"] or found["scheme"] or "") + MASK, text)


def mask_log_entry(_logger: Any, _method: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Both for every text of a log entry, as structlog's processors are called."""
    for key, value in entry.items():
        if isinstance(value, str) and key not in {"timestamp", "level", "event", "at"}:
            entry[key] = show_line(mask_text(value))
    return entry
