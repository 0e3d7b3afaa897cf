"""Where each field of a server event came from, found by experiment.

One leaf of the call at a time is left out, then changed in two ways, and the call is mapped again: what differs tells.
Nothing here knows how a field is built, so what it says is true of the mapper as it is. A big call has more leaves than
are tried; then the answer says so.
"""

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Final, NamedTuple

import msgspec

from signalpost.mapping.destinations.destination_type import Destination
from signalpost.mapping.mapper import map_event
from signalpost.model.results import REASONS, Discarded, MappingResult, Reason, WarningCode
from signalpost.model.segment_event import SegmentEvent
from signalpost.model.server_event import ServerEvent

DEFAULT: Final = "default"
TIME_OF_RECEIPT: Final = "time of receipt"
NOT_TRACED: Final = "not traced"

_MOST_MAPPINGS, _FEWEST_MAPPINGS = 400, 100
_MOST_COMPARISONS = 40_000
"""Mappings per explanation; fewer for a call of very many fields, each of which is compared after each mapping."""

Keys = tuple[str | int, ...]


class Leaf(NamedTuple):
    """One thing of the call that can be left out. path: as people write it. attribute, keys: the way to it.

    is_object: has leaves of its own; left out whole only to find what causes a warning.
    """

    path: str
    value: object
    attribute: str
    keys: Keys = ()
    is_object: bool = False

    @property
    def is_container(self) -> bool:
        """An object, or a list of objects."""
        return self.is_object or (isinstance(self.value, list) and _has_objects(self.value))


class FieldOrigins(NamedTuple):
    """origins: at least one; what the value was taken from. depends_on: what else had a say in it."""

    origins: tuple[str, ...]
    depends_on: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Origins:
    """What the experiments tell about one result.

    fields: every leaf of the server event, as `list_fields` names it.
    warnings, reason: what has to go for the warning, or for the reason, to go; only where that is something given.
    unused: what of the call changes nothing at all.
    is_complete: False when the call has more leaves than could be tried.
    """

    fields: Mapping[str, FieldOrigins]
    warnings: Mapping[WarningCode, tuple[str, ...]]
    reason: tuple[str, ...]
    unused: tuple[str, ...]
    is_complete: bool


def find_origins(event: SegmentEvent, destination: Destination) -> tuple[Origins, ...]:
    """One answer for each result of `map_event`, in the same order. Pure; the event is not changed."""
    laboratory = _Laboratory(event, destination)
    for name in _list_chosen_settings(destination):
        laboratory.try_setting(name)
    everything = list_leaves(event)
    leaves = [leaf for leaf in everything if not leaf.is_object]
    unused: list[Leaf] = []
    tried = 0
    for leaf in leaves:
        if laboratory.mappings_left <= 0:
            break
        tried += 1
        if not laboratory.try_leaf(leaf):
            unused.append(leaf)
    laboratory.find_causes_in([leaf for leaf in everything if leaf.is_object])
    laboratory.find_joint_causes([leaf for leaf in leaves[:tried] if _may_be_left_out_with_others(leaf)])
    paths = _keep_outmost(leaf.path for leaf in unused)
    return tuple(
        evidence.conclude(reading, paths, is_complete=tried == len(leaves))
        for evidence, reading in zip(laboratory.evidence, laboratory.readings, strict=True)
    )


# --- The call, as leaves ---


def list_leaves(event: SegmentEvent) -> list[Leaf]:
    """What of a call can be left out, the likeliest to matter first. Nulls are absent already."""
    envelope = [
        Leaf("event", event.event, "event"),
        Leaf("messageId", event.message_id, "message_id"),
        Leaf("userId", event.user_id, "user_id"),
        Leaf("anonymousId", event.anonymous_id, "anonymous_id"),
    ]
    if event.timestamp == event.received_at:  # which is what a call without a timestamp gets
        envelope.append(Leaf(TIME_OF_RECEIPT, event.timestamp, "timestamp"))
    else:
        envelope.append(Leaf("timestamp", event.timestamp, "timestamp"))
    if event.timestamp > event.received_at:
        envelope.append(Leaf(TIME_OF_RECEIPT, event.received_at, "received_at"))
    if event.type == "page":
        envelope.append(Leaf("type", event.type, "type"))
    objects = ("context", "properties", "integrations", "traits")
    below = [
        leaf
        for attribute in objects
        for name, value in (getattr(event, attribute) or {}).items()
        for leaf in _walk(f"{attribute}.{_show_name(name)}", value, attribute, (name,))
    ]
    return [leaf for leaf in envelope if leaf.value is not None and leaf.value != ""] + sorted(below, key=_rank)


_RANKS = ("context.traits.", "properties.", "integrations.", "context.")


def _rank(leaf: Leaf) -> int:
    is_in_list = any(isinstance(key, int) for key in leaf.keys)
    rank = next((rank for rank, start in enumerate(_RANKS) if leaf.path.startswith(start)), len(_RANKS))
    return rank + len(_RANKS) if is_in_list else rank


def _walk(path: str, value: object, attribute: str, keys: Keys) -> Iterator[Leaf]:
    if isinstance(value, dict) and any(below is not None for below in value.values()):
        yield Leaf(path, value, attribute, keys, is_object=True)
        for name, below in value.items():
            yield from _walk(f"{path}.{_show_name(name)}", below, attribute, (*keys, name))
    elif isinstance(value, list) and _has_objects(value):
        yield Leaf(path, value, attribute, keys)
        for position, below in enumerate(value):
            yield from _walk(f"{path}[{position}]", below, attribute, (*keys, position))
    elif value is not None:
        yield Leaf(path, value, attribute, keys)


def _has_objects(value: Iterable[object]) -> bool:
    return any(isinstance(below, dict) for below in value)


def _show_name(name: str) -> str:
    """An address may be the name of a trait as well, and names are shown."""
    return "***" if "@" in name else name


def list_fields(server_event: ServerEvent) -> dict[str, object]:
    """The server event as it goes on the wire, path -> value. A list without objects is one value."""
    fields: dict[str, object] = {}
    _flatten("", msgspec.json.decode(server_event.to_json()), fields)
    return fields


def _flatten(path: str, value: object, fields: dict[str, object]) -> None:
    if isinstance(value, dict) and (value or not path):
        for name, below in value.items():
            _flatten(f"{path}.{name}" if path else name, below, fields)
    elif isinstance(value, list) and _has_objects(value):
        for position, below in enumerate(value):
            _flatten(f"{path}[{position}]", below, fields)
    else:
        fields[path] = value


# --- Leaving out and changing ---

_ABSENT: Final = object()
_WITHOUT: Mapping[str, object] = {"event": "", "user_id": None, "anonymous_id": None, "type": "track"}
_INDISPENSABLE = frozenset({"message_id", "received_at"})
_ENDS = (-1, 0.5, 0)
"""Where a text is changed: at its last letter or digit; if that had no effect in the middle; else at the first."""


def _leave_out(event: SegmentEvent, leaf: Leaf) -> SegmentEvent | None:
    if leaf.attribute in _INDISPENSABLE:
        return None
    if leaf.attribute == "timestamp":
        return msgspec.structs.replace(event, timestamp=event.received_at)
    return _put(event, leaf, _WITHOUT.get(leaf.attribute, _ABSENT))


def _put(event: SegmentEvent, leaf: Leaf, value: object) -> SegmentEvent:
    replaced = _replace(getattr(event, leaf.attribute), leaf.keys, value) if leaf.keys else value
    return msgspec.structs.replace(event, **{leaf.attribute: replaced})


def _replace(container: object, keys: Keys, value: object) -> object:
    """A copy of the container in which one place differs; only what lies on the way there is copied."""
    key, *rest = keys
    if isinstance(container, list) and isinstance(key, int):
        items = list(container)
        if value is _ABSENT and not rest:
            del items[key]
        else:
            items[key] = _replace(items[key], tuple(rest), value) if rest else value
        return items
    fields = dict(container) if isinstance(container, Mapping) else {}
    if value is _ABSENT and not rest:
        fields.pop(key, None)
    else:
        fields[key] = _replace(fields[key], tuple(rest), value) if rest else value
    return fields


def _list_variants(value: object) -> Iterator[tuple[object, object]]:
    """Pairs of changed values. Two, because a value that is passed on then differs twice, and a mere switch once."""
    for end in _ENDS:
        yield _change(value, end, 1), _change(value, end, 2)
        if not isinstance(value, str | list | dict) or _has_objects(value):
            return


def _change(value: object, end: float, step: int) -> object:
    match value:
        case str():
            return _change_text(value, end, step)
        case bool():
            return (not value) if step == 1 else "q"
        case int() | float():
            return value + step
        case datetime():
            return value + timedelta(seconds=step if value.year == 1 else -step)
        case list() if _has_objects(value):
            return [*value, *[value[-1]] * step]
        case [_, *_]:
            return [_change(below, end, step) for below in value]
        case {**fields} if fields:
            return {name: _change(below, end, step) for name, below in fields.items()}
        case _:
            return "qw"[step - 1]


def _change_text(text: str, end: float, step: int) -> str:
    places = [place for place, character in enumerate(text) if character.isalnum()]
    if not places:
        return text + "qw"[step - 1]
    place = places[int((len(places) - 1) * end) if end >= 0 else -1]
    digit = "0123456789".find(text[place])
    changed = text[place] + "qw"[step - 1] if digit < 0 else str((digit + step) % 10)
    return text[:place] + changed + text[place + 1 :]


def _list_chosen_settings(destination: Destination) -> list[str]:
    """The settings that are not as they come."""
    settings = destination.settings
    fields = type(settings).model_fields
    return [name for name in fields if getattr(settings, name) != fields[name].get_default(call_default_factory=True)]


def _reset_setting(destination: Destination, name: str) -> Destination:
    settings = destination.settings
    fields = type(settings).model_fields
    values = {field: getattr(settings, field) for field in fields}
    values[name] = fields[name].get_default(call_default_factory=True)
    return dataclasses.replace(destination, settings=type(settings).model_construct(**values))


# --- Mapping again, and seeing what differs ---


class _Reading(NamedTuple):
    """What an experiment can change of one result."""

    fields: Mapping[str, object] = {}
    warnings: frozenset[WarningCode] = frozenset()
    reason: Reason | None = None


_FILTERS = frozenset({"destination_disabled", "integration_disabled", "consent_missing"})


def _read(result: MappingResult | None, base: _Reading) -> _Reading:
    """Read a result against that of the unchanged call, `base`.

    Where a server event would no longer exist the rest says nothing: it is read as unchanged, but for the event's name,
    which decides what exists. A filter that the call no longer passes says nothing of the name either.
    """
    if base.fields and (result is None or result.server_event is None):
        if isinstance(result, Discarded) and result.reason in _FILTERS:
            return base
        return base._replace(fields={path: value for path, value in base.fields.items() if path != "event_name"})
    if result is None:
        return base
    fields = {} if result.server_event is None else list_fields(result.server_event)
    reason = result.reason if isinstance(result, Discarded) else None
    return _Reading(fields, frozenset(result.warnings), reason)


class _Cure(NamedTuple):
    """What makes a warning or a reason go when it goes. changes: how many fields of the server event go or differ."""

    path: str
    changes: int
    is_container: bool = False


class _Evidence:
    """What the experiments showed about one result: field -> paths whose change changed it.

    carried: two changes gave two new values. needed: another value, or none, without it. touched: changed by a change.
    """

    def __init__(self) -> None:
        self.carried: dict[str, list[Leaf]] = defaultdict(list)
        self.needed: dict[str, list[Leaf]] = defaultdict(list)
        self.touched: dict[str, list[Leaf]] = defaultdict(list)
        self.settings: dict[str, list[str]] = defaultdict(list)
        self.cures: dict[WarningCode | Reason, list[_Cure]] = defaultdict(list)

    def conclude(self, reading: _Reading, unused: tuple[str, ...], *, is_complete: bool) -> Origins:
        """Weigh it."""
        return Origins(
            fields={field: self._weigh(field, is_complete=is_complete) for field in reading.fields},
            warnings={code: self._list_causes(code) for code in reading.warnings},
            reason=() if reading.reason is None else self._list_causes(reading.reason),
            unused=unused if reading.fields else (),
            is_complete=is_complete,
        )

    def _list_causes(self, code: WarningCode | Reason) -> tuple[str, ...]:
        """What changes the server event least when it goes is to blame; what takes half of it along is not."""
        cures = self.cures[code]
        least = min((cure.changes for cure in cures), default=0)
        return _keep_inmost(cure.path for cure in cures if cure.changes == least)

    def _weigh(self, field: str, *, is_complete: bool) -> FieldOrigins:
        """A value that is passed on beats one that is needed, which beats one that merely can spoil the field."""
        touched = self.touched[field]
        swayed = [leaf for leaf in self.needed[field] if leaf in touched]
        found = next(
            (kept for leaves in (self.carried[field], swayed, touched) if (kept := _keep_sources(field, leaves))), ()
        )
        settings = tuple(f"setting {name}" for name in self.settings[field])
        origins = found or settings or ((DEFAULT if is_complete else NOT_TRACED),)
        others = [leaf.path for leaf in swayed if not _is_related(leaf.path, origins)]
        return FieldOrigins(origins, (*_keep_inmost(others), *(settings if found else ())))


def _keep_sources(field: str, leaves: Iterable[Leaf]) -> tuple[str, ...]:
    """The event's name and type choose rules; nothing but Meta's event_name is taken from them."""
    is_name = field == "event_name"
    return _keep_inmost(leaf.path for leaf in leaves if is_name or leaf.attribute not in {"event", "type"})


def _keep_inmost(paths: Iterable[str]) -> tuple[str, ...]:
    distinct = tuple(dict.fromkeys(paths))
    return tuple(path for path in distinct if not any(_is_below(other, path) for other in distinct))


def _keep_outmost(paths: Iterable[str]) -> tuple[str, ...]:
    distinct = tuple(dict.fromkeys(paths))
    return tuple(path for path in distinct if not any(_is_below(path, other) for other in distinct))


def _is_below(path: str, above: str) -> bool:
    return path.startswith((f"{above}.", f"{above}["))


def _is_related(path: str, origins: Sequence[str]) -> bool:
    return any(path == origin or _is_below(path, origin) or _is_below(origin, path) for origin in origins)


class _Laboratory:
    """Maps changed calls, and notes what differs from the result of the call as it is."""

    def __init__(self, event: SegmentEvent, destination: Destination) -> None:
        self._event, self._destination = event, destination
        self._results = map_event(event, destination)
        self.readings = tuple(_read(result, _Reading()) for result in self._results)
        self.evidence = tuple(_Evidence() for _ in self._results)
        fields = sum(len(reading.fields) for reading in self.readings)
        self.mappings_left = max(_FEWEST_MAPPINGS, min(_MOST_MAPPINGS, _MOST_COMPARISONS // (fields or 1)))

    def try_setting(self, name: str) -> None:
        """Map with one setting as it comes."""
        readings, _ = self._map(self._event, _reset_setting(self._destination, name))
        for number, field in self._compare(readings):
            self.evidence[number].settings[field].append(name)
        self._note_cures(f"setting {name}", readings)

    def try_leaf(self, leaf: Leaf) -> bool:
        """Leave a leaf out, then change it until all that needs it is seen to change too. False: it has no effect."""
        without = _leave_out(self._event, leaf)
        has_effect = False
        unseen: set[tuple[int, str]] = set()
        if without is not None:
            readings, has_effect = self._map(without)
            unseen.update(self._compare(readings))
            for number, field in unseen:
                self.evidence[number].needed[field].append(leaf)
            if leaf.attribute not in {"event", "type"}:  # which could cure everything, by making it another event
                self._note_cures(leaf.path, readings, is_container=leaf.is_container)
        for first, second in _list_variants(leaf.value):
            readings, differs = self._map(_put(self._event, leaf, first))
            has_effect |= differs
            if differs:
                other_readings, _ = self._map(_put(self._event, leaf, second))
                unseen -= self._note_variants(leaf, readings, other_readings)
            if not unseen:
                break
        return has_effect

    def _note_variants(self, leaf: Leaf, first: Sequence[_Reading], second: Sequence[_Reading]) -> set[tuple[int, str]]:
        changed_first, changed_second = set(self._compare(first)), set(self._compare(second))
        for number, field in changed_first | changed_second:
            evidence = self.evidence[number]
            if leaf not in evidence.touched[field]:
                evidence.touched[field].append(leaf)
            is_twice = (number, field) in changed_first & changed_second
            one, other = first[number].fields.get(field, _ABSENT), second[number].fields.get(field, _ABSENT)
            if is_twice and one != other and leaf not in evidence.carried[field]:
                evidence.carried[field].append(leaf)
        return changed_first | changed_second

    def find_causes_in(self, objects: Sequence[Leaf]) -> None:
        """Leave whole objects out, when something is wrong that no leaf alone explains."""
        if not self._list_open_warnings():
            return
        for leaf in islice(objects, max(self.mappings_left, 0)):
            without = _leave_out(self._event, leaf)
            if without is not None:
                self._note_cures(leaf.path, self._map(without)[0], is_container=True)

    def find_joint_causes(self, leaves: Sequence[Leaf]) -> None:
        """Find what causes a warning together, such as personal data in two properties.

        All leaves are left out, and each is put back that does not bring the warning back: first those that something
        of the server event is made of, so that the blame falls on the others.
        """
        open_warnings = self._list_open_warnings()
        if not open_warnings:
            return
        left_out = list(leaves)
        open_warnings -= self._list_warnings(left_out)
        by_use = sorted(leaves, key=self._is_needed, reverse=True)
        for leaf in islice(by_use, max(self.mappings_left, 0)) if open_warnings else ():
            others = [other for other in left_out if other is not leaf]
            caused = self._list_warnings(others) & open_warnings
            for number, code in caused:
                changes = len(self.readings[number].fields) if self._is_needed(leaf) else 0
                self.evidence[number].cures[code].append(_Cure(leaf.path, changes))
            if not caused:
                left_out = others

    def _list_open_warnings(self) -> set[tuple[int, WarningCode]]:
        return {
            (number, code)
            for number, reading in enumerate(self.readings)
            for code in reading.warnings
            if all(cure.is_container for cure in self.evidence[number].cures[code])
        }

    def _is_needed(self, leaf: Leaf) -> bool:
        return any(leaf in leaves for evidence in self.evidence for leaves in evidence.needed.values())

    def _list_warnings(self, left_out: Sequence[Leaf]) -> set[tuple[int, WarningCode]]:
        event = self._event
        for leaf in reversed(left_out):  # from the end, so that the positions in a list stay true
            event = _leave_out(event, leaf) or event
        readings, _ = self._map(event)
        return {(number, code) for number, reading in enumerate(readings) for code in reading.warnings}

    def _map(self, event: SegmentEvent, destination: Destination | None = None) -> tuple[tuple[_Reading, ...], bool]:
        """The readings, and whether anything differs."""
        self.mappings_left -= 1
        results = map_event(event, destination or self._destination)
        if results == self._results:
            return self.readings, False
        pairs = zip(self._pair(results), self.readings, strict=True)
        return tuple(_read(result, base) for result, base in pairs), True

    def _pair(self, results: Sequence[MappingResult]) -> Sequence[MappingResult | None]:
        """The counterpart of each result: by position, or by name and dataset when there are fewer or more."""
        if len(results) == len(self._results):
            return results
        by_target = {_name_target(result): result for result in results}
        return [by_target.get(_name_target(result)) for result in self._results]

    def _compare(self, readings: Sequence[_Reading]) -> Iterator[tuple[int, str]]:
        for number, (base, reading) in enumerate(zip(self.readings, readings, strict=True)):
            for field in _list_changed(base, reading):
                yield number, field

    def _note_cures(self, path: str, readings: Sequence[_Reading], *, is_container: bool = False) -> None:
        """What only trades one warning for another, or one reason for an earlier one, is no cure."""
        for evidence, base, reading in zip(self.evidence, self.readings, readings, strict=True):
            cured: list[WarningCode | Reason] = []
            if not reading.warnings - base.warnings:
                cured += base.warnings - reading.warnings
            if base.reason is not None and _STEPS.get(reading.reason, len(_STEPS)) > _STEPS[base.reason]:
                cured.append(base.reason)
            if cured:
                cure = _Cure(path, sum(1 for _ in _list_changed(base, reading)), is_container)
                for code in cured:
                    evidence.cures[code].append(cure)


_STEPS: Mapping[Reason | None, int] = {reason: step for step, reason in enumerate(REASONS)}
"""The order in which the reasons are looked for; the first is the one reported."""


def _list_changed(base: _Reading, reading: _Reading) -> Iterator[str]:
    if reading is base:
        return
    for field, value in base.fields.items():
        if reading.fields.get(field, _ABSENT) != value:
            yield field


def _name_target(result: MappingResult) -> tuple[object, ...]:
    return result.dataset_id, result.server_event and result.server_event.event_name


def _may_be_left_out_with_others(leaf: Leaf) -> bool:
    """Whole lists, but nothing inside them; not what filters look at, nor what makes the call the event it is."""
    is_payload = leaf.attribute == "properties" or (leaf.attribute == "context" and leaf.keys[0] != "consent")
    return is_payload and not any(isinstance(key, int) for key in leaf.keys)
