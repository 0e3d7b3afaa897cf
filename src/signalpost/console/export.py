"""What is in force as a signalpost.toml: for version control, or for another gateway. Secrets are named as files."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from signalpost.workspace.entries import DestinationEntry, SourceEntry
from signalpost.workspace.settings import build_plain_settings, build_secret_settings
from signalpost.workspace.workspace import Workspace

_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_HEADER: Final = """\
# Sources and destinations of this gateway, as `signalpost serve --config signalpost.toml` reads them.
# Each *_file names a file that you write: the secret alone, readable by the gateway's user only.
"""


def export_settings(workspace: Workspace) -> str:
    """Return TOML that puts the same sources and destinations in force."""
    tables = [_write_source(source) for source in workspace.sources if source.is_enabled]
    tables += [_write_destination(destination) for destination in workspace.destinations]
    return _HEADER + "".join("\n" + "\n".join(lines) + "\n" for lines in tables)


def _write_source(entry: SourceEntry) -> Iterator[str]:
    yield "[[sources]]"
    yield f"name = {_write(entry.name)}"
    yield f"write_keys = {_write([key for key, _ in entry.keys])}"
    yield f"destinations = {_write(list(entry.destinations))}"


def _write_destination(entry: DestinationEntry) -> Iterator[str]:
    yield "[[destinations]]"
    yield f"name = {_write(entry.name)}"
    yield f"type = {_write(entry.type.slug)}"
    if not entry.is_enabled:
        yield "enabled = false"
    for secret in build_secret_settings(entry.settings):
        file = re.sub(r"[^a-z0-9]+", "-", f"{entry.name} {secret}".lower()).strip("-")
        yield f"{secret}_file = {_write(file + '.txt')}"
    for key, value in build_plain_settings(entry.settings).items():
        yield f"{key} = {_write(value)}"


def _write(value: Any) -> str:
    """The value in TOML. A JSON string is a TOML string, but for DEL."""
    match value:
        case str():
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case bool() | int() | float():
            return json.dumps(value)
        case Mapping():
            pairs = (f"{_write_key(key)} = {_write(item)}" for key, item in value.items())
            return "{ " + ", ".join(pairs) + " }" if value else "{}"
        case _:
            return "[" + ", ".join(_write(item) for item in value) + "]"


def _write_key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else _write(key)
