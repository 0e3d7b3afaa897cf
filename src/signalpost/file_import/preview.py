"""What an import would do, counted without sending anything: through the same builders and the same mapping."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from signalpost.file_import.calls import Call
from signalpost.file_import.sending import Builder
from signalpost.file_import.tables import Refusal, Values
from signalpost.mapping.destinations import build_destination
from signalpost.mapping.destinations.destination_type import Destination
from signalpost.mapping.mapper import map_event
from signalpost.model.results import WARNINGS, Discarded, Mapped, MappingResult, WarningCode
from signalpost.model.segment_event import InvalidCall, RequestContext, parse_call
from signalpost.model.server_event import UserData

_FEW_ROWS = 3
_OFFLINE = "facebook-offline-conversions"
_ANY_DATASET = "00000"

MATCH_KEY_LABELS = {
    "em": "E-mail address",
    "ph": "Phone number",
    "external_id": "Your id of the customer",
    "lead_id": "Meta's lead id",
    "fn": "First name",
    "ln": "Last name",
    "ct": "City",
    "st": "State or region",
    "zp": "Postal code",
    "country": "Country",
    "db": "Birthday",
    "ge": "Gender",
}


@dataclass(slots=True)
class Occurrence:
    """How often something was found, and in which rows first."""

    sentence: str
    count: int = 0
    rows: list[int] = field(default_factory=list)

    def add(self, row: int) -> None:
        """Count one more."""
        self.count += 1
        if len(self.rows) < _FEW_ROWS:
            self.rows.append(row)


@dataclass(slots=True)
class Findings:
    """row_count: rows that are not blank. sendable: rows that Meta would take. refused, warned: by code."""

    row_count: int = 0
    sendable: int = 0
    match_keys: Counter[str] = field(default_factory=Counter)
    refused: dict[str, Occurrence] = field(default_factory=dict)
    warned: dict[str, Occurrence] = field(default_factory=dict)

    def refuse(self, code: str, sentence: str, row: int) -> None:
        """Count a refused row."""
        self.refused.setdefault(code, Occurrence(sentence)).add(row)

    def warn(self, code: WarningCode, row: int) -> None:
        """Count a row with a warning."""
        self.warned.setdefault(code, Occurrence(WARNINGS[code])).add(row)


@dataclass(frozen=True, slots=True)
class PreviewedRow:
    """One row: its number, its call and results, or why there is no call."""

    number: int
    call: Call | None
    results: tuple[MappingResult, ...] = ()
    refusal: Refusal | None = None


class Preview:
    """Goes through rows as the gateway would if they came at `now`.

    destination: None maps for Offline Conversions with a table that names every event of the file.
    """

    def __init__(self, builder: Builder, destination: Destination | None, now: datetime) -> None:
        self.findings = Findings()
        self._builder = builder
        self._destination = destination
        self._for_event: dict[str, Destination] = {}
        self._request = RequestContext(received_at=now, new_message_id=str)

    def go_through(self, rows: Iterable[Values | Refusal], first_row: int) -> Iterator[PreviewedRow]:
        """Each row that is not blank. first_row: the number of the first."""
        for number, values in enumerate(rows, start=first_row):
            if isinstance(values, Refusal):
                yield self._refuse(number, values)
            elif values:
                built = self._builder.build(number, values)
                yield self._refuse(number, built) if isinstance(built, Refusal) else self._map(number, built)

    def _refuse(self, number: int, refusal: Refusal) -> PreviewedRow:
        self.findings.row_count += 1
        self.findings.refuse(refusal.code, refusal.sentence, number)
        return PreviewedRow(number, None, refusal=refusal)

    def _map(self, number: int, call: Call) -> PreviewedRow:
        received = msgspec.json.decode(msgspec.json.encode(call, enc_hook=str), type=dict)
        event = parse_call(received, self._request)
        if isinstance(event, InvalidCall):
            return self._refuse(number, Refusal(event.code, event.message))
        results = map_event(event, self._destination or self._find_destination(event.event))
        findings = self.findings
        findings.row_count += 1
        mapped = [result for result in results if isinstance(result, Mapped)]
        findings.sendable += bool(mapped)
        for result in results:
            if isinstance(result, Discarded):
                findings.refuse(result.reason, result.message, number)
        for code in {code for result in results for code in result.warnings}:
            findings.warn(code, number)
        if mapped:
            user_data = mapped[0].server_event.user_data
            findings.match_keys.update(
                key
                for key in UserData.__struct_fields__
                if getattr(user_data, key) and (key != "external_id" or event.user_id)
            )
        return PreviewedRow(number, received, results)

    def _find_destination(self, event: str) -> Destination:
        """Of an Offline Conversions destination whose table names this event."""
        if event not in self._for_event:
            self._for_event[event] = build_destination(_OFFLINE, {"event_sets": {event: _ANY_DATASET}})
        return self._for_event[event]
