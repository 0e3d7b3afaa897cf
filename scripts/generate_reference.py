"""Writes docs/reference/ from the code: settings, mapping, codes, metrics, commands, feature rows.

`make reference`; CI compares.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from scripts.markdown_table import write_table
from scripts.reference_mapping import build_mapping
from scripts.reference_rows import build_rows
from signalpost.cli import app
from signalpost.config.sections import Config, SourceSection
from signalpost.console.meta_codes import META_CODES
from signalpost.mapping.destinations import DESTINATION_TYPES
from signalpost.metrics import METRICS, PREFIX
from signalpost.model.results import REASONS, WARNINGS
from signalpost.telemetry import ACTIONS

FOLDER = Path(__file__).parents[1] / "docs/reference"
NOTE = "<!-- Made by `make reference` from the code. Change the code, not this page. -->"


def build_pages() -> dict[str, str]:
    """File name -> text of every generated page."""
    pages = {
        "settings.md": _build_settings(),
        "mapping.md": build_mapping(),
        "codes.md": _build_codes(),
        "metrics.md": _build_metrics(),
        "log.md": _build_log(),
        "commands.md": _build_commands(),
        "rows.md": build_rows(),
    }
    return {name: f"{NOTE}\n" + "\n".join(lines).rstrip() + "\n" for name, lines in pages.items()}


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.default
    match value:
        case None:
            return "none"
        case bool():
            return f"`{str(value).lower()}`"
        case () | {}:
            return "empty"
        case str() | Path():
            return f'`"{value}"`'
        case _:
            return f"`{value}`"


def _build_settings() -> Iterator[str]:
    yield "# Settings"
    yield ""
    yield "## The gateway"
    yield ""
    yield "Each can also be given as `SIGNALPOST_<SECTION>__<KEY>`, or as `SIGNALPOST_<SECTION>__<KEY>_FILE`, the name"
    yield "of a file that holds the value. The environment beats the file."
    yield ""
    for name, section in Config.model_fields.items():
        if isinstance(section.annotation, type) and issubclass(section.annotation, BaseModel):
            yield f"### `[{name}]`"
            yield ""
            yield section.annotation.__doc__ or ""
            yield ""
            rows = (
                (f"`{key}`", _default(field), field.description or "")
                for key, field in section.annotation.model_fields.items()
            )
            yield from write_table(("key", "default", "meaning"), rows)
    yield "### `[[sources]]`"
    yield ""
    yield SourceSection.__doc__ or ""
    yield ""
    rows = ((f"`{key}`", _default(field), field.description or "") for key, field in SourceSection.model_fields.items())
    yield from write_table(("key", "default", "meaning"), rows)
    yield "### `[[destinations]]`"
    yield ""
    yield "`name`, `type` (a heading below), `enabled` (`true`), and the settings of the type. A secret can stand in a"
    yield 'file of its own: `access_token_file = "token.txt"`.'
    yield ""
    for slug, destination_type in DESTINATION_TYPES.items():
        yield f"## {slug}"
        yield ""
        names = ", ".join(f"`{name}`" for name in destination_type.integration_names)
        yield f"In a call's `integrations` it answers to {names}."
        yield ""
        rows = (
            (f"`{key}`", field.title or "", _default(field), field.description or "")
            for key, field in destination_type.settings.model_fields.items()
        )
        yield from write_table(("setting", "label", "default", "meaning"), rows)


def _build_codes() -> Iterator[str]:
    yield "# Codes"
    yield ""
    yield "## Why a call is not delivered"
    yield ""
    yield "`MESSAGE_REJECTED` and `INVALID_SETTINGS` end as *rejected*, with a dead letter; the others as *filtered*,"
    yield "with a count."
    yield ""
    rows = ((f"`{text.code}`", f"`{reason}`", text.sentence) for reason, text in REASONS.items())
    yield from write_table(("code", "reason", "in a sentence"), rows)
    yield "## What Meta refused"
    yield ""
    yield "These end as *rejected*, too, with the code `400` and Meta's code as the reason; requeue them once they are"
    yield "mended. Meta publishes no list: a code that is not here is shown with what Meta said to it."
    yield ""
    meta_rows = ((f"`{code}`", meaning, fix) for code, (meaning, fix) in META_CODES.items())
    yield from write_table(("reason", "meaning", "what to do"), meta_rows)
    yield "## Warnings"
    yield ""
    yield "The event is delivered; something in it could be better. Each is reported once, in this order."
    yield ""
    yield from write_table(("warning", "in a sentence"), ((f"`{code}`", text) for code, text in WARNINGS.items()))


def _build_metrics() -> Iterator[str]:
    yield "# Metrics"
    yield ""
    yield "At `/metrics` on the console port, in Prometheus' format."
    yield ""
    yield "Labels come from closed sets: a source's or destination's name, a code, a state, and for `event_name` Meta's"
    yield "standard names or `custom`. None holds anything about a person."
    yield ""
    rows = (
        (f"`{PREFIX}{name}`", metric.type, ", ".join(metric.labels), metric.meaning) for name, metric in METRICS.items()
    )
    yield from write_table(("metric", "type", "labels", "meaning"), rows)


def _build_log() -> Iterator[str]:
    yield "# Log lines"
    yield ""
    yield "On standard error; `[log] format` chooses text or JSON. `action` says what a line is about, and stays the"
    yield "same from version to version:"
    yield ""
    yield from write_table(("action", "meaning"), ((f"`{action}`", meaning) for action, meaning in ACTIONS.items()))


def _build_commands() -> Iterator[str]:
    yield "# Commands"
    yield ""
    yield "Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 already running on this data folder,"
    yield "4 the data folder was written by a newer version."
    yield ""
    for name, command in sorted(_list_commands(typer.main.get_command(app))):
        yield f"## signalpost {name}"
        yield ""
        yield command.help or ""
        yield ""
        rows = []
        for parameter in command.params:
            if parameter.name == "help":
                continue
            shown = parameter.opts[0] if parameter.param_type_name == "option" else (parameter.name or "").upper()
            rows.append((f"`{shown}`", _parameter_default(parameter), (parameter.help or "").replace("\n", " ")))
        yield from write_table(("option", "default", "meaning"), rows)


def _list_commands(group: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    """Every command with its name, those of a group as "dead-letters list"."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _list_commands(command, f"{before}{name} ")
        else:
            yield f"{before}{name}", command


def _parameter_default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    if parameter.default in (None, False) or callable(parameter.default):
        return ""
    return f"`{parameter.default}`"


def main() -> None:
    """Write every page; with --check only tell which are out of date."""
    stale = []
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in build_pages().items():
        file = FOLDER / name
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            stale.append(name)
            if "--check" not in sys.argv:
                file.write_text(text, encoding="utf-8")
    if stale and "--check" in sys.argv:
        sys.exit(f"out of date: {', '.join(stale)}; run `make reference`")


if __name__ == "__main__":
    main()
