"""What an import shows to people: what each column means, what would be refused, what became of the rows.

Texts of the file are shown as text, personal ones only by their first letter.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from signalpost.file_import.amounts import read_amount
from signalpost.file_import.dates import DateReading
from signalpost.file_import.fields import FIELDS
from signalpost.file_import.guessing import Sample, column_values, describe_unused
from signalpost.file_import.looking import Look
from signalpost.file_import.plan import Plan
from signalpost.file_import.preview import MATCH_KEY_LABELS, Findings, Occurrence
from signalpost.file_import.progress import Position
from signalpost.redaction import show_line

_LONGEST_EXAMPLE = 28
_BAR_WIDTH = 20
_FEW = 5


def build_look_report(look: Look) -> RenderableType:
    """A file: its name, its size, and what its columns mean."""
    count = "" if look.table.row_count is None else f", {count_rows(look.table.row_count)}"
    title = Text(f"\n{show_line(look.table.name)}{count}\n", "bold")
    return title if look.plan is None else Group(title, build_plan_report(look.plan, look.table.columns, look.sample))


def build_plan_report(plan: Plan, columns: Sequence[str], sample: Sample) -> RenderableType:
    """The columns and what they mean, an example as it is read, and what goes for every row."""
    table = RichTable(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("Field", no_wrap=True)
    table.add_column("Column in the file", overflow="fold")
    table.add_column("For example", overflow="fold")
    for name, column in plan.columns.items():
        values = column_values(columns, sample, column)
        example = _read_example(name, values[0], plan) if values else Text("always empty", "yellow")
        table.add_row(FIELDS[name].label, Text(show_line(column)), example)
    for column, name in plan.properties.items():
        values = column_values(columns, sample, column)
        table.add_row("Custom data", Text(show_line(column)), Text(f"as {show_line(name)}"), end_section=not values)
    return Group(Padding(table, (0, 0, 1, 2)), *(_bullet(note) for note in _list_notes(plan, columns)))


def _read_example(name: str, text: str, plan: Plan) -> Text:
    field = FIELDS[name]
    if field.is_personal:
        return Text(f"{show_line(text[:1])}…", "dim")
    if field.kind == "time":
        read = DateReading(plan.zone, plan.dates or "day-first").read(text)
        if read is None:
            return Text("can't be read as a time", "red")
        return Text(format(read.astimezone(plan.zone), "%-d %b %Y %H:%M"))
    if field.kind == "amount":
        number = read_amount(text, plan.decimal or "point")
        return Text("can't be read as a number", "red") if number is None else Text(f"{number:,.2f}")
    return Text(show_line(text[:_LONGEST_EXAMPLE]))


def _list_notes(plan: Plan, columns: Sequence[str]) -> Iterator[str]:
    for name, text in plan.constants.items():
        if name == "event":
            yield f"Every row is an event “{show_line(text)}”; --event changes that."
        else:
            yield f"{FIELDS[name].label} is {show_line(text)} in every row."
    if "currency" not in plan.columns and "currency" not in plan.constants:
        yield "No currency is named, so Meta will count US dollars; --currency EUR changes that."
    change = "; --timezone Europe/Berlin changes that" if plan.timezone == "UTC" else ""
    yield f"Times that carry no zone are read as {plan.timezone}{change}."
    if plan.dates is not None:
        yield f"Dates have the {'day' if plan.dates == 'day-first' else 'month'} first."
    if plan.decimal == "comma":
        yield "Amounts have a decimal comma."
    unused = describe_unused(plan, columns)
    if unused:
        listed = ", ".join(map(show_line, unused[:_FEW])) + (
            f" and {len(unused) - _FEW} more" if len(unused) > _FEW else ""
        )
        yield f"Not sent: {listed}."


def build_findings_report(findings: Findings) -> RenderableType:
    """What a dry run found: rows that would be taken, the refused ones with reasons, the match keys."""
    parts: list[RenderableType] = [
        Text.assemble(
            (count_rows(findings.row_count), "bold"), ": ",
            (f"{findings.sendable:,} would be sent", "green"), ", ",
            (f"{findings.row_count - findings.sendable:,} would not", "red" if findings.refused else "dim"), ".",
        )
    ]  # fmt: skip
    if findings.refused:
        parts += [_heading("Would not be sent"), _list_occurrences(findings.refused, "red")]
    if findings.warned:
        parts += [_heading("Sent, but look at it"), _list_occurrences(findings.warned, "yellow")]
    if findings.sendable:
        parts += [_heading("What Meta can match people by"), _build_coverage(findings)]
    return Group(*parts)


def _list_occurrences(found: Mapping[str, Occurrence], style: str) -> RenderableType:
    grid = RichTable.grid(padding=(0, 2, 0, 0))
    grid.add_column(justify="right", no_wrap=True)
    grid.add_column()
    for code, each in sorted(found.items(), key=lambda item: -item[1].count):
        rows = ", ".join(map(str, each.rows)) + (", …" if each.count > len(each.rows) else "")
        sentence = Text(each.sentence).append(f"  {code}, row {rows}", "dim")
        grid.add_row(Text(f"{each.count:,}", style), sentence)
    return Padding(grid, (0, 0, 0, 2))


def _build_coverage(findings: Findings) -> RenderableType:
    grid = RichTable.grid(padding=(0, 2, 0, 0))
    for key, label in MATCH_KEY_LABELS.items():
        count = findings.match_keys[key]
        share = count / findings.sendable
        bar = Text("█" * round(share * _BAR_WIDTH), "green").append(
            "░" * (_BAR_WIDTH - round(share * _BAR_WIDTH)), "dim"
        )
        grid.add_row(Text(label, "" if count else "dim"), bar, Text(f"{share:.0%} of rows", "" if count else "dim"))
    return Padding(grid, (0, 0, 0, 2))


def build_refused_report(refused: Mapping[str, Occurrence], title: str = "Refused") -> RenderableType:
    """The reasons of refused rows."""
    return Group(_heading(title), _list_occurrences(refused, "red"))


def count_rows(count: int) -> str:
    """1 row, 2 rows."""
    return f"{count:,} row{'' if count == 1 else 's'}"


def describe_position(position: Position) -> str:
    """The counts in a sentence."""
    known = f", {position.duplicates:,} were known already" if position.duplicates else ""
    refused = f", {position.refused:,} refused" if position.refused else ""
    return f"{position.accepted:,} accepted{known}{refused}"


def describe_when(iso: str) -> str:
    """A moment for people; the text itself when it is none."""
    try:
        return format(datetime.fromisoformat(iso), "%-d %b %Y %H:%M UTC")
    except ValueError:
        return iso


def _heading(text: str) -> RenderableType:
    return Padding(Text(text, "bold"), (1, 0, 0, 0))


def _bullet(text: str) -> RenderableType:
    grid = RichTable.grid(padding=(0, 1, 0, 0))
    grid.add_row(Text("•", "dim"), Text(text))
    return Padding(grid, (0, 0, 0, 2))
