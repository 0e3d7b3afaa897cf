"""One event's body as lines to read, each with the findings about it beside it."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec


class BodyField(msgspec.Struct):
    """One line: `path` is dotted; `value` is JSON text, None for a parent and for what is absent."""

    path: str
    label: str
    depth: int
    value: str | None
    is_absent: bool
    notes: list[dict[str, Any]]


def list_body_fields(body: dict[str, Any], notes: Sequence[dict[str, Any]]) -> list[BodyField]:
    """Return the lines in the order of the body; a note on an absent field stands where the field would be."""
    fields = list(_walk(body, "", 0))
    by_path = {field.path: field for field in fields}
    for note in notes:
        field = by_path.get(note["field"])
        if field is None:
            field = _insert_absent(fields, note["field"])
            by_path[field.path] = field
        field.notes.append(note)
    return fields


def _walk(value: dict[str, Any] | list[Any], parent: str, depth: int) -> Iterator[BodyField]:
    items = value.items() if isinstance(value, dict) else ((str(index), item) for index, item in enumerate(value))
    for label, item in items:
        path = f"{parent}.{label}" if parent else label
        is_parent = isinstance(item, dict | list) and bool(item)
        text = None if is_parent else msgspec.json.encode(item).decode()
        yield BodyField(path, label, depth, text, is_absent=False, notes=[])
        if is_parent:
            yield from _walk(item, path, depth + 1)


def _insert_absent(fields: list[BodyField], path: str) -> BodyField:
    parent, _, label = path.rpartition(".")
    absent = BodyField(path, label, 1 if parent else 0, None, is_absent=True, notes=[])
    siblings = [index for index, field in enumerate(fields) if f"{field.path}.".startswith(f"{parent}.")]
    fields.insert(siblings[-1] + 1 if parent and siblings else len(fields), absent)
    return absent
