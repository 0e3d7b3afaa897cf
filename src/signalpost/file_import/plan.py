"""What the columns of a file mean, as a TOML file that people can edit; guessed when there is none."""

import json
import tomllib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from signalpost.file_import.amounts import Decimal
from signalpost.file_import.dates import DateOrder
from signalpost.file_import.fields import FIELDS
from signalpost.file_import.tables import ImportFailed

DEFAULT_EVENT = "Order Completed"


class Plan(msgspec.Struct, frozen=True):
    """columns: field -> column. constants: field -> the same text for every row. properties: column -> property.

    dates, decimal: how ambiguous dates and amounts are read; None until the values have been looked at.
    timezone: an IANA name, for times that carry no zone.
    """

    columns: Mapping[str, str] = {}
    constants: Mapping[str, str] = {}
    properties: Mapping[str, str] = {}
    timezone: str = "UTC"
    dates: DateOrder | None = None
    decimal: Decimal | None = None

    def change(self, **changes: Any) -> Self:
        """The same plan with other values; None leaves one as it is."""
        return msgspec.structs.replace(self, **{name: value for name, value in changes.items() if value is not None})

    @property
    def zone(self) -> ZoneInfo:
        """The time zone. Raises ImportFailed when there is none of that name."""
        try:
            return ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ImportFailed(
                f"there is no time zone “{self.timezone}”; it is written like Europe/Berlin or America/New_York"
            ) from None


class _Reading(msgspec.Struct, forbid_unknown_fields=True):
    timezone: str = "UTC"
    dates: DateOrder | None = None
    decimal: Decimal | None = None


class _File(msgspec.Struct, forbid_unknown_fields=True):
    columns: dict[str, str] = {}
    constants: dict[str, str] = {}
    properties: dict[str, str] = {}
    reading: _Reading = msgspec.field(default_factory=_Reading)


def read_plan(file: Path) -> Plan:
    """Read a columns file. Raises ImportFailed saying which line is wrong and what would be right."""
    try:
        found = msgspec.convert(tomllib.loads(file.read_text(encoding="utf-8-sig")), _File)
    except OSError as error:
        raise ImportFailed(f"--columns: {file} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ImportFailed(f"--columns: {file} is not valid TOML: {error}") from None
    except msgspec.ValidationError as error:
        raise ImportFailed(f"--columns: {file}: {error}; --write-columns writes one to begin with") from None
    for name in (*found.columns, *found.constants):
        if name not in FIELDS:
            close = get_close_matches(name, FIELDS, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(FIELDS)}"
            raise ImportFailed(f"--columns: {file}: there is no field {name}; {hint}")
    reading = found.reading
    return Plan(found.columns, found.constants, found.properties, reading.timezone, reading.dates, reading.decimal)


def check_plan(plan: Plan, columns: Sequence[str]) -> None:
    """Raise ImportFailed when the plan names a column that the file does not have."""
    for name, column in (*plan.columns.items(), *((text, column) for column, text in plan.properties.items())):
        if column not in columns:
            close = get_close_matches(column, columns, n=1)
            hint = f"did you mean “{close[0]}”?" if close else f"there are {', '.join(columns)}"
            raise ImportFailed(f"the file has no column “{column}” (for {name}); {hint}")
    plan.zone  # noqa: B018 - raises when there is none of that name


def write_plan(plan: Plan, unused: Sequence[str], file: Path) -> None:
    """Write the plan for editing. Raises ImportFailed instead of replacing a file."""
    try:
        with file.open("x", encoding="utf-8") as stream:
            stream.write(format_plan(plan, unused))
    except FileExistsError:
        raise ImportFailed(f"--write-columns: {file} is there already; choose another name or delete it") from None
    except OSError as error:
        raise ImportFailed(f"--write-columns: {file} cannot be written: {error.strerror}") from None


def format_plan(plan: Plan, unused: Sequence[str]) -> str:
    """The plan as TOML, with what else could be said as comments."""
    lines = ["# What the columns of the file mean. Use it with: signalpost import FILE --columns THIS_FILE …", ""]
    lines += ["[columns]  # field = the column's name", *_list(plan.columns)]
    lines += [f"# {name} = " for name in FIELDS if name not in plan.columns and name not in plan.constants]
    lines += ["", "[constants]  # the same for every row", *_list(plan.constants), ""]
    lines += ["[properties]  # columns that go along as custom data: column = name of the property"]
    lines += [*_list(plan.properties), *(f"# {_quote(column)} = {_quote(column)}" for column in unused), ""]
    lines += ["[reading]", f"timezone = {_quote(plan.timezone)}  # of times that carry no zone"]
    lines += [f"dates = {_quote(plan.dates)}" if plan.dates else '# dates = "day-first"  # or "month-first"']
    lines += [f"decimal = {_quote(plan.decimal or 'point')}  # or {'point' if plan.decimal == 'comma' else 'comma'}"]
    return "\n".join(lines) + "\n"


def _list(table: Mapping[str, str]) -> list[str]:
    return [f"{name if name in FIELDS else _quote(name)} = {_quote(text)}" for name, text in table.items()]


def _quote(text: str) -> str:
    """A TOML string is written like a JSON string, but for one control character."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
