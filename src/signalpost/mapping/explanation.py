"""Why a call becomes what it becomes: each field of the server event with its origin, each finding with its remedy.

Personal data is shown masked, never in clear: an explanation may be printed, kept and passed on like the hashed event.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

import msgspec

from signalpost.mapping.coverage import Coverage, build_coverage
from signalpost.mapping.destinations.destination_type import Destination, build_match_options
from signalpost.mapping.findings import Findings
from signalpost.mapping.fixes import REASON_FIXES, WARNING_FIXES
from signalpost.mapping.leaves import list_fields, list_leaves
from signalpost.mapping.mapper import map_event
from signalpost.mapping.match_keys import NORMALIZERS, Surroundings
from signalpost.mapping.normalize import clean_text, find_sha256, hash_value, read_text
from signalpost.mapping.origins import Origins, find_origins
from signalpost.mapping.phone_numbers import find_full_number
from signalpost.mapping.places import normalize_country
from signalpost.model.results import WARNINGS, Discarded, MappingResult
from signalpost.model.segment_event import JsonObject, SegmentEvent
from signalpost.model.server_event import ServerEvent, UserData

ALREADY_HASHED = "already hashed"


@dataclass(frozen=True, slots=True)
class FieldExplanation:
    """One field of the server event.

    field: its path, such as "user_data.em" or "custom_data.contents[0].id".
    origins: where the value is from: paths of the call, "setting x", "default" or "time of receipt"; at least one.
    depends_on: what else had a say, such as the country by which a phone number is read.
    normalized: for a hash, the text that was hashed, masked; one for each hash. Empty for what is sent in clear.
    value: as it goes on the wire.
    """

    field: str
    origins: tuple[str, ...]
    depends_on: tuple[str, ...]
    normalized: tuple[str, ...]
    value: object


@dataclass(frozen=True, slots=True)
class Finding:
    """A warning, or the reason for a discard. where: paths of the call that cause it; empty for what is missing."""

    code: str
    sentence: str
    fix: str
    where: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """One result, explained.

    fields: those of the server event, in wire order; of a rejected one too. Empty when there is none.
    discard: why it is not delivered; None when it is mapped. coverage: None without a server event.
    unused: what of the call makes no difference to anything. is_complete: False when the call is too big to try it all.
    """

    result: MappingResult
    fields: tuple[FieldExplanation, ...]
    warnings: tuple[Finding, ...]
    discard: Finding | None
    coverage: Coverage | None
    unused: tuple[str, ...]
    is_complete: bool


def explain_event(event: SegmentEvent, destination: Destination) -> tuple[Explanation, ...]:
    """Explain each result of `map_event`, in its order. Pure, and the event is not changed.

    It maps some hundred times to find the origins: for a person who asks, not for every event.
    """
    results = map_event(event, destination)
    unmasking = _Unmasking(event, destination)
    return tuple(
        _explain(result, origins, unmasking, destination, event)
        for result, origins in zip(results, find_origins(event, destination), strict=True)
    )


def _explain(
    result: MappingResult, origins: Origins, unmasking: "_Unmasking", destination: Destination, event: SegmentEvent
) -> Explanation:
    server_event = result.server_event
    discard = None
    if isinstance(result, Discarded):
        discard = Finding(result.reason, result.message, REASON_FIXES[result.reason], origins.reason)
    return Explanation(
        result=result,
        fields=() if server_event is None else tuple(_explain_fields(server_event, origins, unmasking)),
        warnings=tuple(
            Finding(code, WARNINGS[code], WARNING_FIXES[code], origins.warnings.get(code, ()))
            for code in result.warnings
        ),
        discard=discard,
        coverage=None if server_event is None else _cover(server_event.user_data, result, event, destination),
        unused=origins.unused,
        is_complete=origins.is_complete,
    )


def _explain_fields(server_event: ServerEvent, origins: Origins, unmasking: "_Unmasking") -> Iterator[FieldExplanation]:
    for field, value in list_fields(server_event).items():
        found = origins.fields[field]
        normalized = unmasking.find_normalized(field, value, found.origins)
        yield FieldExplanation(field, found.origins, found.depends_on, normalized, value)


def _cover(user_data: UserData, result: MappingResult, event: SegmentEvent, destination: Destination) -> Coverage:
    coverage = build_coverage(user_data, _list_sendable_keys(event, destination))
    is_refused = isinstance(result, Discarded) and result.reason == "insufficient_match_keys"
    return replace(coverage, is_accepted=False) if is_refused else coverage


_EVERY_TRAIT: JsonObject = {
    "email": "jo@example.com", "phone": "+442079460958", "firstName": "Jo", "lastName": "Bloggs", "gender": "f",
    "birthday": "1990-01-31",
    "address": {"city": "London", "state": "London", "postalCode": "SW1A 1AA", "country": "GB"},
}  # fmt: skip
_BROWSER: JsonObject = {
    "ip": "192.0.2.7", "userAgent": "Mozilla/5.0", "clientIds": {"fbc": "fb.1.1.a", "fbp": "fb.1.1.1"}
}  # fmt: skip


def _list_sendable_keys(event: SegmentEvent, destination: Destination) -> frozenset[str]:
    """The match keys the destination would send of a call that has them all, by trying one."""
    lead = {name: {"leadId": "123456789012345"} for name in destination.type.integration_names}
    everything = msgspec.structs.replace(
        event,
        user_id=event.user_id or "u1",
        context={**event.context, **_BROWSER, "traits": _EVERY_TRAIT},
        integrations={**(event.integrations or {}), **lead},
    )
    return frozenset(
        key
        for result in map_event(everything, destination)
        if result.server_event is not None
        for key in UserData.__struct_fields__
        if getattr(result.server_event.user_data, key)
    )


class _Unmasking:
    """Finds the text behind a hash among the texts of the call, and gives it masked.

    A text counts only when its normalised form has that very hash, so what is shown is what was sent.
    """

    def __init__(self, event: SegmentEvent, destination: Destination) -> None:
        self._texts: dict[str, list[str]] = {}
        for leaf in list_leaves(event):
            self._texts.setdefault(leaf.path, []).extend(_list_texts(leaf.value))
        options = build_match_options(destination.settings)
        countries = map(normalize_country, self._texts.get("context.traits.address.country", ()))
        country = next((found for found in countries if found is not None), None)
        default_country = options.default_phone_country and normalize_country(options.default_phone_country)
        today = event.received_at.date()
        traits = Surroundings(country, country or default_country, options.day_first_dates, today, Findings())
        properties = Surroundings(None, None, day_first_dates=False, today=date.max, findings=Findings())
        self._surroundings = {"user_data": traits, "custom_data": properties}

    def find_normalized(self, field: str, value: object, origins: Sequence[str]) -> tuple[str, ...]:
        """The masked text of each hash; empty for a field that is none."""
        place, _, key = field.partition(".")
        surroundings = self._surroundings.get(place)
        if surroundings is None:
            return ()
        hashes = [item for item in (value if isinstance(value, list) else [value]) if _is_hash(item)]
        if not hashes:
            return ()
        texts = [text for path in origins for text in self._texts.get(path, ())]
        if place == "user_data":
            masked = {hashed: ALREADY_HASHED for text in texts if (hashed := find_sha256(text)) is not None}
            masked.update(_mask_by_hash(texts, (key,), surroundings))
        else:
            masked = _mask_by_hash(texts, _KINDS_IN_PROPERTIES, surroundings)
        return tuple(masked[hashed] for hashed in hashes if hashed in masked)


_KINDS_IN_PROPERTIES = ("em", "ph", "fn", "db")


def _list_texts(value: object) -> list[str]:
    if isinstance(value, list):
        return [text for below in value if (text := read_text(below)) is not None]
    text = read_text(value)
    return [] if text is None else [text]


def _is_hash(value: object) -> bool:
    return isinstance(value, str) and find_sha256(value) == value


def _mask_by_hash(texts: Iterable[str], keys: Sequence[str], surroundings: Surroundings) -> dict[str, str]:
    masked: dict[str, str] = {}
    for text in texts:
        for part in (text, *clean_text(text).split()):  # a full name holds two match keys
            for key in keys:
                normalized = NORMALIZERS[key](part, surroundings)
                if normalized is not None:
                    is_full = key == "ph" and find_full_number(part, surroundings.phone_country) == normalized
                    masked.setdefault(hash_value(normalized), mask(key, normalized, has_country_code=is_full))
    return masked


# --- Masking ---

_MASK = "***"
_FEWEST_CHARACTERS = 2


def mask(key: str, normalized: str, *, has_country_code: bool = True) -> str:
    """Show enough of a normalised text to recognise one's own, and too little to learn another's.

    "jo@example.com" becomes "j***@e***.com", "442079460958" "+44 *** 958", "london" "l***". Of a single letter
    nothing is shown.
    """
    if key == "ph":
        code = _find_country_code(normalized) if has_country_code else None
        return f"+{code} {_MASK} {normalized[-3:]}" if code else f"{_MASK} {normalized[-3:]}"
    local, at, domain = normalized.rpartition("@")
    if at and local and domain:
        return f"{local[0]}{_MASK}@{domain[0]}{_MASK}.{domain.rpartition('.')[2]}"
    return f"{normalized[0]}{_MASK}" if len(normalized) >= _FEWEST_CHARACTERS else _MASK


def _find_country_code(digits: str) -> str | None:
    from phonenumbers import COUNTRY_CODE_TO_REGION_CODE  # noqa: PLC0415 - slow to import, not always needed

    codes: Mapping[int, object] = COUNTRY_CODE_TO_REGION_CODE
    return next((digits[:length] for length in (1, 2, 3) if int(digits[:length]) in codes), None)
