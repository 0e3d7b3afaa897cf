"""Which of the remembered calls somebody wants to see, and whether that is any different from what is shown already.

A search looks at what is shown: names, ids, codes and the masked call. So nobody can find out by searching what is
masked.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

import msgspec

from signalpost.history.calls import History
from signalpost.history.entries import CallEntry, CallFilter
from signalpost.history.masking import mask_call
from signalpost.history.refused_requests import RefusedRequest
from signalpost.model.ids import SourceId
from signalpost.redaction import mask_text

SHOWN_CALLS: Final = 500


@dataclass(frozen=True, slots=True)
class CallSearch:
    """What was asked for; "" does not matter. outcome: a verdict, or the state of one of the call's events."""

    source: str = ""
    type: str = ""
    outcome: str = ""
    text: str = ""

    @property
    def query(self) -> str:
        """The same as the query of an address."""
        named = {"source": self.source, "type": self.type, "outcome": self.outcome, "search": self.text}
        return urlencode({name: value for name, value in named.items() if value})

    @property
    def is_narrow(self) -> bool:
        """Whether more than the source was chosen."""
        return bool(self.type or self.outcome or self.text)

    def find(self, history: History) -> Iterator[CallEntry]:
        """Everything that is wanted, newest first."""
        source_id = SourceId(self.source) if self.source else None
        wanted = CallFilter(call_type=self.type or None)
        sought = self.text.strip().casefold()
        for entry in reversed(history.recent(source_id, wanted)):
            if self._has_outcome(entry) and (not sought or _mentions(entry, sought)):
                yield entry

    def _has_outcome(self, entry: CallEntry) -> bool:
        outcome = self.outcome
        return not outcome or entry.verdict == outcome or any(event.state == outcome for event in entry.events)


def _mentions(entry: CallEntry, sought: str) -> bool:
    named = (entry.event_name, entry.call_type, entry.message_id, entry.code, entry.library, entry.source_id)
    if any(sought in mask_text(text).casefold() for text in named if text):
        return True
    for event in entry.events:
        if any(sought in mask_text(text).casefold() for text in (event.event_name, event.detail) if text):
            return True
        if event.destination_id is not None and sought in event.destination_id.casefold():
            return True
    if entry.text is None or sought not in entry.text.decode().casefold():
        return False  # what is masked holds nothing that the call does not, but for the mask
    return sought in msgspec.json.encode(mask_call(msgspec.json.decode(entry.text))).decode().casefold()


def fingerprint(search: CallSearch, calls: Sequence[CallEntry], refused: Iterable[RefusedRequest]) -> str:
    """Changes whenever what is shown does."""
    digest = hashlib.blake2b(search.query.encode(), digest_size=12)
    for call in calls:
        digest.update(b"%d" % call.number)
        for event in call.events:
            digest.update(f"{event.state} {event.detail}".encode())
    for row in refused:
        digest.update(f"{row.kind.code} {row.count} {row.last_at}".encode())
    return digest.hexdigest()
