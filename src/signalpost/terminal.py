"""How commands speak: text for people, JSON for machines, one sentence on standard error when something is wrong."""

import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Final, NoReturn, TextIO

import msgspec
from rich.console import Console, ConsoleOptions, RenderableType
from rich.markup import escape
from rich.segment import Segment

from signalpost.redaction import disarm_text

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_ALREADY_RUNNING: Final = 3
EXIT_NEWER_DATA: Final = 4


class _SafeConsole(Console):
    """Shows what strangers chose, such as an event's name, and never obeys it: only Rich's own codes do anything."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            is_safe = segment.control or segment.text.isprintable()
            yield segment if is_safe else Segment(disarm_text(segment.text), segment.style)


out = _SafeConsole(highlight=False, emoji=False)
err = _SafeConsole(stderr=True, highlight=False, emoji=False)


def print_json(value: object) -> None:
    """One object on a line of its own, at once: whoever reads may wait for it."""
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
    sys.stdout.flush()


def print_error(message: str) -> None:
    """What is wrong, in a sentence; not wrapped, so that it can be searched for."""
    err.print(f"[red]error:[/red] {escape(message)}", soft_wrap=True)


def fail(message: str, exit_code: int) -> NoReturn:
    """Say what is wrong and end the process."""
    print_error(message)
    sys.exit(exit_code)


class SteadyStream:
    """A stream for a log: when nobody takes its lines any more they are lost, and whoever logs goes on."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        """Write, or don't."""
        with suppress(OSError, ValueError):  # a broken pipe, a full disk, a closed file
            self._stream.write(text)

    def flush(self) -> None:
        """Flush, or don't."""
        with suppress(OSError, ValueError):
            self._stream.flush()
