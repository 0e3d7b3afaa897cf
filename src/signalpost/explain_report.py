"""An explanation for people, as tables that fit a terminal, and for programs, as JSON.

Nothing is left out of the JSON; the tables shorten what is long. Texts of a call are shown as text: no control
characters and no markup.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

import msgspec
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from signalpost.mapping.coverage import Coverage
from signalpost.mapping.explanation import Explanation, FieldExplanation, Finding
from signalpost.model.results import Discarded
from signalpost.redaction import show_line

# --- JSON ---


def describe_explanation(explanation: Explanation) -> dict[str, object]:
    """One result as JSON: what became of the call, each field, each finding, the match keys."""
    result, discard = explanation.result, explanation.discard
    return {
        "status": "mapped" if discard is None else "discarded",
        "dataset_id": result.dataset_id,
        "discard": None
        if discard is None or not isinstance(result, Discarded)
        else {"code": result.code, "reason": result.reason, **_describe_finding(discard)},
        "fields": [_describe_field(field) for field in explanation.fields],
        "warnings": [{"code": warning.code, **_describe_finding(warning)} for warning in explanation.warnings],
        "match_keys": explanation.coverage and _describe_coverage(explanation.coverage),
        "unused": explanation.unused,
        "complete": explanation.is_complete,
    }


def _describe_field(field: FieldExplanation) -> dict[str, object]:
    return {
        "field": field.field,
        "from": field.origins,
        "depends_on": field.depends_on,
        "normalized": field.normalized,
        "value": field.value,
    }


def _describe_finding(finding: Finding) -> dict[str, object]:
    return {"message": finding.sentence, "fix": finding.fix, "where": finding.where}


def _describe_coverage(coverage: Coverage) -> dict[str, object]:
    return {
        "present": coverage.present,
        "missing": coverage.missing,
        "accepted": coverage.is_accepted,
        "add_first": coverage.add_first,
    }


# --- Tables ---

_WIDEST = 120
_MOST_ROWS = 60
_MOST_PATHS = 4
_MOST_UNUSED = 12


def build_report(explanations: Sequence[Explanation], width: int) -> RenderableType:
    """What `Console.print` shows: a part for each result. width: of the terminal, in characters."""
    parts: list[RenderableType] = []
    for number, explanation in enumerate(explanations, start=1):
        count = f"{number} of {len(explanations)}  " if len(explanations) > 1 else ""
        parts += [Text(), *_build_part(explanation, count, min(width, _WIDEST))]
    return Group(*parts)


def _build_part(explanation: Explanation, count: str, width: int) -> Iterator[RenderableType]:
    yield _build_title(explanation, count)
    if explanation.discard is not None:
        yield from _build_finding(explanation.discard, "red")
    if explanation.fields:
        yield Text()
        yield _build_fields(explanation.fields[:_MOST_ROWS], width)
        if len(explanation.fields) > _MOST_ROWS:
            yield Text(f"… and {len(explanation.fields) - _MOST_ROWS} more fields; --json shows all.", "dim")
    if explanation.warnings:
        yield _build_heading("Warnings")
        for warning in explanation.warnings:
            yield from _build_finding(warning, "yellow")
    if explanation.coverage is not None:
        yield _build_heading("Match keys")
        yield from _build_coverage(explanation.coverage)
    yield from _build_notes(explanation)


def _build_title(explanation: Explanation, count: str) -> Text:
    result = explanation.result
    is_mapped = explanation.discard is None
    title = Text(count, "bold")
    title.append("mapped" if is_mapped else "discarded", "bold green" if is_mapped else "bold red")
    if result.server_event is not None:
        title.append(f"  {show_line(result.server_event.event_name)}", "bold")
        title.append(f" → dataset {result.dataset_id}" if result.dataset_id else " → no dataset")
    if isinstance(result, Discarded):
        title.append(f"  {result.code}", "red")
    return title


def _build_heading(text: str) -> RenderableType:
    return Padding(Text(text, "bold"), (1, 0, 0, 0))


def _build_finding(finding: Finding, style: str) -> Iterator[RenderableType]:
    head = Text("  ").append(finding.code, style)
    if finding.where:
        head.append(f"  at {', '.join(_shorten(map(show_line, finding.where), _MOST_PATHS))}", "dim")
    yield head
    yield Padding(Text(finding.sentence), (0, 0, 0, 4))
    yield _hang("→", finding.fix, indent=4)


def _build_coverage(coverage: Coverage) -> Iterator[RenderableType]:
    grid = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for tier, present in coverage.present.items():
        missing = coverage.missing[tier]
        there = Text(", ".join(present) or "none", "" if present else "dim")
        grid.add_row(f"  {tier}", there, Text(f"missing: {', '.join(missing)}" if missing else "", "dim"))
    yield grid
    if coverage.is_accepted:
        yield Text("  Meta accepts an event with these keys.", "green")
    else:
        yield Text("  Too little: Meta would match this event to nobody, and refuses it.", "red")
    if coverage.add_first:
        yield _hang("→ add first:", coverage.add_first, indent=2)


def _hang(mark: str, text: str, *, indent: int) -> RenderableType:
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_row(Text(mark), Text(text))
    return Padding(grid, (0, 0, 0, indent))


def _build_notes(explanation: Explanation) -> Iterator[RenderableType]:
    if explanation.unused:
        names = ", ".join(_shorten(map(show_line, explanation.unused), _MOST_UNUSED))
        yield _build_heading("Without effect")
        yield Padding(Text(names, "dim"), (0, 0, 0, 2))
    if not explanation.is_complete:
        yield Padding(
            Text("The call is too big to try all of it, so some origins are not traced.", "dim"), (1, 0, 0, 0)
        )
    yield Text()


# --- The table of fields ---

_LONGEST_NAME, _LONGEST_TEXT, _SHORTEST_VALUE = 24, 16, 16
_GAP = 2


def _build_fields(fields: Sequence[FieldExplanation], width: int) -> Table:
    """Four columns; where they would be too narrow, the last two become one."""
    names = [field.field.partition(".")[2] or field.field for field in fields]
    name_width = min(max(map(len, names)) + 1, _LONGEST_NAME)
    path_width = max(len(path) for field in fields for path in (*field.origins, *_with(field.depends_on)))
    text_width = max([len("Normalised"), *(len(text) for field in fields for text in field.normalized)])
    text_width = min(text_width, _LONGEST_TEXT)
    value_width = width - name_width - path_width - text_width - 3 * _GAP
    is_wide = value_width >= _SHORTEST_VALUE
    if not is_wide:
        value_width = max(width - name_width - path_width - 2 * _GAP, text_width + 1 + _SHORT_HASH)
        path_width = width - name_width - value_width - 2 * _GAP
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="dim")
    table.add_column("Field", width=name_width)
    table.add_column("From", width=path_width)
    if is_wide:
        table.add_column("Normalised", width=text_width, no_wrap=True, overflow="ellipsis")
    table.add_column("On the wire", width=value_width, no_wrap=True, overflow="ellipsis")
    place = ""
    for field, name in zip(fields, names, strict=True):
        if field.field != name and not field.field.startswith(f"{place}."):
            place = field.field.partition(".")[0]
            table.add_row(Text(place, "bold"))
        indented = show_line(name if field.field == name else f" {name}")
        cells = [Text(_fold(indented, name_width, _PIECE_OF_NAME)), _build_paths(field, path_width)]
        table.add_row(*cells, *_build_values(field, is_wide=is_wide))
    return table


def _build_values(field: FieldExplanation, *, is_wide: bool) -> list[Text]:
    normalized = Text("\n".join(field.normalized), "cyan")
    if is_wide:
        return [normalized, Text(_show_value(field, _HASH_CHARACTERS))]
    value = Text(_show_value(field, _SHORT_HASH))
    if not field.normalized:
        return [value]
    pairs = zip(normalized.split(), value.split(), strict=False)
    return [Text("\n").join(Text(" ").join(pair) for pair in pairs)]


def _build_paths(field: FieldExplanation, width: int) -> Text:
    paths = Text("\n").join(Text(_fold(line, width)) for line in _shorten(map(show_line, field.origins), _MOST_PATHS))
    for path in _with(_shorten(map(show_line, field.depends_on), _MOST_PATHS)):
        paths.append("\n").append(_fold(path, width), "dim")
    return paths


def _with(paths: Iterable[str]) -> list[str]:
    return [f"with {path}" for path in paths]


def _shorten(texts: Iterable[str], most: int) -> list[str]:
    """The first few, and how many more there are."""
    listed = list(texts)
    return listed if len(listed) <= most else [*listed[: most - 1], f"… and {len(listed) - most + 1} more"]


_PIECE = re.compile(r"[^. ]*[. ]?")
_PIECE_OF_NAME = re.compile(r"[^._]*[._]?")


def _fold(text: str, width: int, piece_of: re.Pattern[str] = _PIECE) -> str:
    """Break a path after a dot or a blank, and a field's name after an underscore too; as late as possible."""
    lines = [""]
    for piece in piece_of.findall(text):
        if len(lines[-1]) + len(piece) > width and lines[-1].strip():
            lines.append("  ")
        lines[-1] += piece
    return "\n".join(lines)


_HASH = re.compile("[0-9a-f]{64}")
_HASH_CHARACTERS, _SHORT_HASH = 9, 6
_MOST_CHARACTERS = 200


def _show_value(field: FieldExplanation, hash_characters: int) -> str:
    """A hash by its beginning; a text as it is; all else as JSON."""
    values = field.value if isinstance(field.value, list) else [field.value]
    hashes = [value for value in values if isinstance(value, str) and _HASH.fullmatch(value)]
    if hashes and len(hashes) == len(values):
        return "\n".join(f"{value[: hash_characters - 1]}…" for value in hashes)
    if isinstance(field.value, str):
        return show_line(field.value[:_MOST_CHARACTERS])
    return show_line(msgspec.json.encode(field.value).decode()[:_MOST_CHARACTERS])
