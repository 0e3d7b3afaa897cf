"""Looking at a file before anything is sent: what is in it, what its columns mean, how its rows become calls."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, islice
from pathlib import Path

from signalpost.file_import.amounts import Decimal
from signalpost.file_import.calls import CallBuilder
from signalpost.file_import.dates import DateOrder
from signalpost.file_import.guessing import Sample, complete_plan, find_missing, guess_columns
from signalpost.file_import.legacy_offline import LegacyCallBuilder
from signalpost.file_import.opening import find_format, open_table
from signalpost.file_import.plan import Plan, check_plan, read_plan
from signalpost.file_import.sending import Builder
from signalpost.file_import.tables import SAMPLE_ROWS, ImportFailed, Refusal, Table, Values, open_input


@dataclass(frozen=True, slots=True)
class Reading:
    """What a person says about a file; None where it is to be found out.

    columns: a file that says what the columns mean. event, currency: of every row. The others as in `Plan`.
    """

    file_format: str | None = None
    encoding: str | None = None
    separator: str | None = None
    columns: Path | None = None
    event: str | None = None
    currency: str | None = None
    timezone: str | None = None
    dates: DateOrder | None = None
    decimal: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """A file that has been looked at. rows: from the first one on, once.

    plan: None for legacy files, which have no columns.
    """

    table: Table
    plan: Plan | None
    sample: Sample
    rows: Iterator[Values | Refusal]
    builder: Builder


def look_at(file: str, reading: Reading, now: datetime, *, may_lack_columns: bool = False) -> Look:
    """Read the file's beginning, and all of it where that can be done twice. Raises ImportFailed.

    may_lack_columns: the plan is wanted although it gives no event yet.
    """
    source = open_input(file)
    file_format = find_format(source, reading.file_format)
    table = open_table(source, file_format, encoding=reading.encoding, separator=reading.separator)
    rows = table.rows()
    sample = list(islice(rows, SAMPLE_ROWS))
    rows = chain(sample, rows)
    if not any(sample):
        raise ImportFailed(f"{source.name} has a header and no rows; there is nothing to import")
    if file_format == "legacy-offline":
        return Look(table, None, sample, rows, LegacyCallBuilder(table.digest, now))
    plan = _build_plan(reading, table, sample)
    objection = find_missing(plan, table.columns)
    if objection is not None and not may_lack_columns:
        raise ImportFailed(f"{source.name}: {objection}")
    return Look(table, plan, sample, rows, CallBuilder(plan, table.columns, table.digest, now))


def _build_plan(reading: Reading, table: Table, sample: Sample) -> Plan:
    """What was said comes before what the columns file says, and that before what is guessed."""
    given = {"event": reading.event, "currency": reading.currency}
    constants = {name: text for name, text in given.items() if text is not None}
    plan = read_plan(reading.columns) if reading.columns is not None else Plan(guess_columns(table.columns, sample))
    plan = plan.change(
        columns={name: column for name, column in plan.columns.items() if name not in constants},
        constants={**plan.constants, **constants},
        timezone=reading.timezone,
        dates=reading.dates,
        decimal=reading.decimal,
    )
    check_plan(plan, table.columns)
    return complete_plan(plan, table.columns, sample, has_semicolons=table.is_semicolon_separated)
