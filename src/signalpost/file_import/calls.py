"""A row becomes a Segment track call, or a refusal that says why.

A call's messageId is made of the file's digest and the row's number, so the same row has the same id however often the
file is sent. What Meta could never use is refused here, where the row can still be mended.
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

import msgspec

from signalpost.file_import.amounts import Decimal, read_amount
from signalpost.file_import.dates import DateReading
from signalpost.file_import.fields import FIELDS
from signalpost.file_import.plan import Plan
from signalpost.file_import.tables import Refusal, Values
from signalpost.mapping.action_source import PHYSICAL_STORE, find_max_age
from signalpost.mapping.destinations.offline_conversions import DEFAULT_EVENTS, VALUE_FIELD_EVENTS

Call = dict[str, object]

OFFLINE_OPTIONS = "Facebook Offline Conversions"
_EMPTY = {None, "", "NULL", "null", "N/A", "n/a", "#N/A", "NaN", "nan", "\\N"}
_SHORTENED = re.compile(r"\d(?:[.,]\d+)?[eE]\+?\d+", re.ASCII)
_DAY = timedelta(days=1)
_DIGEST_CHARACTERS = 24


class _Unreadable(Exception):
    def __init__(self, refusal: Refusal) -> None:
        self.refusal = refusal


def build_message_id(digest: str, number: int) -> str:
    """The id of a row's call, the same for the same file and row."""
    return f"import-{digest[:_DIGEST_CHARACTERS]}-{number}"


def check_age(happened_at: datetime, action_source: object, now: datetime) -> Refusal | None:
    """Object to a time that Meta would not take."""
    oldest = find_max_age(str(action_source))
    if now - happened_at > oldest:
        return Refusal(
            "too_old",
            f"The event is more than {oldest.days} days old; Meta takes no older ones from this action source.",
        )
    if happened_at - now > _DAY:
        return Refusal("in_future", "The event's time lies in the future; are day and month swapped? See --dates.")
    return None


def check_purchase(event: object, value: object) -> Refusal | None:
    """Object to a purchase without a value."""
    if value is None and isinstance(event, str) and DEFAULT_EVENTS.find(event) == "Purchase":
        return Refusal("missing_value", "A purchase needs a value, and this row has none.")
    return None


class CallBuilder:
    """Builds the calls of one file by its plan. now: before which time events must lie."""

    def __init__(self, plan: Plan, columns: Sequence[str], digest: str, now: datetime) -> None:
        self._digest = digest
        self._now = now
        places = {"call": 0, "traits": 1, "address": 2, "properties": 3, "product": 4}
        dates = DateReading(plan.zone, plan.dates or "day-first")
        readers = _list_readers(dates, plan.decimal or "point")
        self._steps = [
            (
                columns.index(column),
                places[FIELDS[name].place],
                FIELDS[name].name,
                partial(readers[FIELDS[name].kind], column),
            )
            for name, column in plan.columns.items()
        ]
        self._steps += [
            (columns.index(column), 3, name, partial(_read_property, column))
            for column, name in plan.properties.items()
        ]
        self._constants = [
            (places[FIELDS[name].place], FIELDS[name].name, readers[FIELDS[name].kind](name, text))
            for name, text in plan.constants.items()
        ]

    def build(self, number: int, values: Values) -> Call | Refusal:
        """number: the row's, as a spreadsheet counts."""
        parts: tuple[dict[str, object], ...] = ({}, {}, {}, {}, {})
        for place, name, value in self._constants:
            parts[place][name] = value
        try:
            for index, place, name, read in self._steps:
                raw = values[index]
                if raw.__class__ is str:
                    raw = raw.strip()
                elif isinstance(raw, (list, dict)):
                    parts[place][name] = read(raw)
                    continue
                if raw not in _EMPTY:
                    parts[place][name] = read(raw)
        except _Unreadable as unreadable:
            return unreadable.refusal
        return self._assemble(number, *parts)

    def _assemble(
        self,
        number: int,
        found: dict[str, object],
        traits: dict[str, object],
        address: dict[str, object],
        properties: dict[str, object],
        product: dict[str, object],
    ) -> Call | Refusal:
        event, happened_at = found.get("event"), found.get("timestamp")
        if not event:
            return Refusal("missing_event", "This row does not say what happened: its event is empty.")
        if not isinstance(happened_at, datetime):
            return Refusal("missing_time", "This row has no time, and Meta must know when it happened.")
        refusal = check_age(happened_at, properties.get("action_source", PHYSICAL_STORE), self._now)
        refusal = refusal or check_purchase(event, properties.get("value"))
        if refusal is not None:
            return refusal
        if address:
            traits["address"] = address
        user_id, lead_id = found.get("userId"), found.get("leadId")
        if not traits and user_id is None and lead_id is None:
            return Refusal("no_match_key", "This row says nothing about who the customer is.")
        if product:
            properties.setdefault("products", [product])
        name_value(str(event), properties)
        call: Call = {"type": "track", "messageId": build_message_id(self._digest, number), "event": event}
        call["timestamp"] = happened_at
        if user_id is None:
            call["anonymousId"] = build_person_id(traits, number, self._digest)
        else:
            call["userId"] = user_id
        call["properties"] = properties
        call["context"] = build_context(traits, lead_id)
        return call


def build_context(traits: Mapping[str, object], lead_id: object) -> dict[str, object]:
    """Who it was, where a call says so."""
    context: dict[str, object] = {"traits": traits} if traits else {}
    if lead_id is not None:
        context[OFFLINE_OPTIONS] = {"leadId": lead_id}
    return context


def name_value(event: str, properties: dict[str, object]) -> None:
    """Put the value where the mapping looks for it: `revenue`, but for the events before a purchase."""
    if "value" in properties and VALUE_FIELD_EVENTS.find(event) is None:
        properties["revenue"] = properties.pop("value")


def build_person_id(traits: Mapping[str, object], number: int, digest: str) -> str:
    """An anonymousId for a customer without an id: every call needs one. The same person gets the same."""
    for name in ("email", "phone"):
        known = traits.get(name)
        if isinstance(known, str):
            text = f"{name}\0{known.strip().lower()}"
            return f"import-{hashlib.sha256(text.encode()).hexdigest()[:32]}"
    return build_message_id(digest, number)


Reader = Callable[[str, object], object]


def _list_readers(dates: DateReading, decimal: Decimal) -> Mapping[str, Reader]:
    return {
        "text": _read_text,
        "time": partial(_read_time, dates),
        "amount": partial(_read_amount, decimal),
        "count": partial(_read_amount, decimal),
        "products": _read_products,
    }


def _read_text(_column: str, raw: object) -> object:
    if isinstance(raw, str):
        if raw[:1].isdigit() and _SHORTENED.fullmatch(raw):
            sentence = f"Column “{_column}” holds a long number that a spreadsheet has shortened; export it as text."
            raise _Unreadable(Refusal("shortened_number", sentence))
        return raw
    if isinstance(raw, float) and raw.is_integer():
        return str(int(raw))
    return raw if isinstance(raw, list) else str(raw)


def _read_time(dates: DateReading, column: str, raw: object) -> datetime:
    read = dates.read(raw)
    if read is None:
        sentence = f"The time in column “{column}” can't be read; write it like 2026-01-31 14:05."
        raise _Unreadable(Refusal("unreadable_time", sentence))
    return read


def _read_amount(decimal: Decimal, column: str, raw: object) -> int | float:
    read = read_amount(raw, decimal)
    if read is None:
        example = "1234.50" if decimal == "point" else "1234,50"
        sentence = f"The number in column “{column}” can't be read; write it like {example}, or see --decimal."
        raise _Unreadable(Refusal("unreadable_number", sentence))
    return read


def _read_products(column: str, raw: object) -> object:
    if isinstance(raw, list):
        return raw
    try:
        return msgspec.json.decode(str(raw), type=list[dict[str, object]])
    except msgspec.DecodeError:
        sentence = (
            f'The products in column “{column}” are no JSON list such as [{{"product_id": "A1", "quantity": 2}}].'
        )
        raise _Unreadable(Refusal("unreadable_products", sentence)) from None


def _read_property(_column: str, raw: object) -> object:
    if isinstance(raw, datetime):
        return (raw if raw.tzinfo else raw.replace(tzinfo=UTC)).isoformat()
    return raw if isinstance(raw, (str, int, float, bool, list)) else str(raw)
