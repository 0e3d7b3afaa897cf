"""Where each field of a server event came from, found by experiment.

One leaf of the call at a time is left out, then changed in two ways, and the call is mapped again: what differs tells.
Nothing here knows how a field is built, so what it says is true of the mapper as it is. A big call has more leaves than
are tried; then the answer says so.
"""

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final, NamedTuple

from signalpost.mapping.destinations.destination_type import Destination
from signalpost.mapping.leaves import (
    ABSENT,
    Leaf,
    is_below,
    keep_inmost,
    keep_outmost,
    leave_out,
    list_fields,
    list_leaves,
    list_variants,
    put_value,
)
from signalpost.mapping.mapper import map_event
from signalpost.model.results import REASONS, Discarded, MappingResult, Reason, WarningCode
from signalpost.model.segment_event import SegmentEvent

DEFAULT: Final = "default"
NOT_TRACED: Final = "not traced"

_MOST_MAPPINGS, _FEWEST_MAPPINGS = 400, 100
_MOST_COMPARISONS = 40_000
"""Mappings per explanation; fewer for a call of very many fields, each of which is compared after each mapping."""


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
    for group in _list_groups([*leaves[:tried], *(leaf for leaf in everything if leaf.is_object)]):
        laboratory.find_joint_causes(group)
    paths = keep_outmost(leaf.path for leaf in unused if not laboratory.is_to_blame(leaf))
    return tuple(
        evidence.conclude(reading, paths, is_complete=tried == len(leaves))
        for evidence, reading in zip(laboratory.evidence, laboratory.readings, strict=True)
    )


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
        return keep_inmost(cure.path for cure in cures if cure.changes == least)

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
        return FieldOrigins(origins, (*keep_inmost(others), *(settings if found else ())))


def _keep_sources(field: str, leaves: Iterable[Leaf]) -> tuple[str, ...]:
    """The event's name and type choose rules; nothing but Meta's event_name is taken from them."""
    is_name = field == "event_name"
    return keep_inmost(leaf.path for leaf in leaves if is_name or leaf.attribute not in {"event", "type"})


def _is_related(path: str, origins: Sequence[str]) -> bool:
    return any(path == origin or is_below(path, origin) or is_below(origin, path) for origin in origins)


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
        without = leave_out(self._event, leaf)
        has_effect = False
        unseen: set[tuple[int, str]] = set()
        if without is not None:
            readings, has_effect = self._map(without)
            unseen.update(self._compare(readings))
            for number, field in unseen:
                self.evidence[number].needed[field].append(leaf)
            if leaf.attribute not in {"event", "type"}:  # which could cure everything, by making it another event
                self._note_cures(leaf.path, readings, is_container=leaf.is_container)
        for first, second in list_variants(leaf.value):
            readings, differs = self._map(put_value(self._event, leaf, first))
            has_effect |= differs
            if differs:
                other_readings, _ = self._map(put_value(self._event, leaf, second))
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
            one, other = first[number].fields.get(field, ABSENT), second[number].fields.get(field, ABSENT)
            if is_twice and one != other and leaf not in evidence.carried[field]:
                evidence.carried[field].append(leaf)
        return changed_first | changed_second

    def find_causes_in(self, objects: Sequence[Leaf]) -> None:
        """Leave whole objects out, when something is wrong that no leaf alone explains."""
        if not self._list_open_warnings():
            return
        for leaf in islice(objects, max(self.mappings_left, 0)):
            without = leave_out(self._event, leaf)
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
                is_needed = self._is_needed(leaf)
                changes = len(self.readings[number].fields) if is_needed else 0
                cure = _Cure(leaf.path, changes, is_container=leaf.is_container and is_needed)
                self.evidence[number].cures[code].append(cure)
            if not caused:
                left_out = others

    def is_to_blame(self, leaf: Leaf) -> bool:
        """Whether a warning would go with it, if only with others."""
        return any(
            cure.path == leaf.path for evidence in self.evidence for cures in evidence.cures.values() for cure in cures
        )

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
            event = leave_out(event, leaf) or event
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
        if reading.fields.get(field, ABSENT) != value:
            yield field


def _name_target(result: MappingResult) -> tuple[object, ...]:
    return result.dataset_id, result.server_event and result.server_event.event_name


def _list_groups(leaves: Iterable[Leaf]) -> Iterator[list[Leaf]]:
    """What may be left out together: whole lists and what is in none; what is inside lists; whole entries of lists.

    Never what filters look at, nor what makes the call the event it is.
    """
    payload = [
        leaf
        for leaf in leaves
        if leaf.attribute == "properties" or (leaf.attribute == "context" and leaf.keys[0] != "consent")
    ]
    yield [leaf for leaf in payload if not leaf.is_object and not leaf.is_in_list]
    yield [leaf for leaf in payload if not leaf.is_container and leaf.is_in_list]
    yield [leaf for leaf in payload if leaf.is_object and isinstance(leaf.keys[-1], int)]
