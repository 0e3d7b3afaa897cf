"""What is imperfect about an accepted call, in words: as it came in, and as it was mapped for each destination."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from signalpost.history.entries import CallEntry
from signalpost.mapping.fixes import WARNING_FIXES
from signalpost.model.results import WARNINGS

CALL_WARNINGS: Final[Mapping[str, tuple[str, str]]] = {
    "id_coerced": ("A user id is a number; it was taken as text.", "Send userId and anonymousId as texts."),
    "type_mismatch": (
        "The call's type is not that of the path it was sent to; the path counts.",
        "Send the type that belongs to the path, or leave it out.",
    ),
    "previous_id_missing": ("An alias call has no previousId.", "Send the id that the person had before."),
    "invalid_sent_at": (
        "sentAt is no time, so the sender's clock could not be corrected.",
        "Send sentAt as ISO 8601, such as 2026-01-31T12:00:00Z.",
    ),
    "lone_surrogate_replaced": (
        "Half a character (a lone surrogate) was replaced by \N{REPLACEMENT CHARACTER}.",
        "Cut texts between characters, not within one.",
    ),
}
_WORDS: Final[Mapping[str, tuple[str, str]]] = {
    **CALL_WARNINGS,
    **{str(code): (sentence, WARNING_FIXES[code]) for code, sentence in WARNINGS.items()},
}


@dataclass(frozen=True, slots=True)
class ExplainedWarning:
    """A warning with what to do. destinations: those whose event has it; none when it is about the call itself."""

    code: str
    sentence: str
    fix: str
    destinations: Sequence[str]


def list_call_warnings(entry: CallEntry) -> list[ExplainedWarning]:
    """Each code once, those of the call itself first."""
    found: dict[str, list[str]] = {code: [] for code in entry.warnings}
    for event in entry.events:
        for code in event.warnings:
            found.setdefault(code, []).append(event.destination_id or "")
    return [ExplainedWarning(code, *_WORDS.get(code, (code, "")), names) for code, names in found.items()]
