"""A call as leaves, each of which can be left out or changed, and a server event as fields; both with paths to show.

The event itself is never changed: what comes out is a copy that differs in one place.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import msgspec

from signalpost.model.segment_event import SegmentEvent
from signalpost.model.server_event import ServerEvent

TIME_OF_RECEIPT: Final = "time of receipt"
ABSENT: Final = object()

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

    @property
    def is_in_list(self) -> bool:
        """At any depth."""
        return any(isinstance(key, int) for key in self.keys)


def list_leaves(event: SegmentEvent) -> list[Leaf]:
    """What of a call can be left out, the likeliest to matter first. Nulls are absent already."""
    envelope = [
        Leaf("name" if event.type in {"page", "screen"} else "event", event.event, "event"),
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
    rank = next((rank for rank, start in enumerate(_RANKS) if leaf.path.startswith(start)), len(_RANKS))
    return rank + len(_RANKS) if leaf.is_in_list else rank


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


_WITHOUT: Mapping[str, object] = {"event": "", "user_id": None, "anonymous_id": None, "type": "track"}
_INDISPENSABLE = frozenset({"message_id", "received_at"})
_ENDS = (-1, 0.5, 0)
"""Where a text is changed: at its last letter or digit; if that had no effect in the middle; else at the first."""


def leave_out(event: SegmentEvent, leaf: Leaf) -> SegmentEvent | None:
    """The call without the leaf; None when no call could be without it."""
    if leaf.attribute in _INDISPENSABLE:
        return None
    if leaf.attribute == "timestamp":
        return msgspec.structs.replace(event, timestamp=event.received_at)
    return put_value(event, leaf, _WITHOUT.get(leaf.attribute, ABSENT))


def put_value(event: SegmentEvent, leaf: Leaf, value: object) -> SegmentEvent:
    """The call with another value in the leaf's place."""
    replaced = _replace(getattr(event, leaf.attribute), leaf.keys, value) if leaf.keys else value
    return msgspec.structs.replace(event, **{leaf.attribute: replaced})


def _replace(container: object, keys: Keys, value: object) -> object:
    """A copy of the container in which one place differs; only what lies on the way there is copied."""
    key, *rest = keys
    if isinstance(container, list) and isinstance(key, int):
        items = list(container)
        if value is ABSENT and not rest:
            del items[key]
        else:
            items[key] = _replace(items[key], tuple(rest), value) if rest else value
        return items
    fields = dict(container) if isinstance(container, Mapping) else {}
    if value is ABSENT and not rest:
        fields.pop(key, None)
    else:
        fields[key] = _replace(fields[key], tuple(rest), value) if rest else value
    return fields


def list_variants(value: object) -> Iterator[tuple[object, object]]:
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


def keep_inmost(paths: Iterable[str]) -> tuple[str, ...]:
    """Each path once, and none that another one lies below."""
    distinct = tuple(dict.fromkeys(paths))
    return tuple(path for path in distinct if not any(is_below(other, path) for other in distinct))


def keep_outmost(paths: Iterable[str]) -> tuple[str, ...]:
    """Each path once, and none that lies below another."""
    distinct = tuple(dict.fromkeys(paths))
    return tuple(path for path in distinct if not any(is_below(path, other) for other in distinct))


def is_below(path: str, above: str) -> bool:
    return path.startswith((f"{above}.", f"{above}["))
