"""Options that several commands have, and the loop they run on."""

import asyncio
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from signalpost.terminal import EXIT_FAILED, EXIT_USAGE, fail

Answer = TypeVar("Answer")

Json = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="The configuration file. [default: signalpost.toml, if it is there]")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only tell what would happen.")]
Yes = Annotated[bool, typer.Option("--yes", help="Don't ask.")]


def confirm(question: str, subject: str) -> None:
    """Ask a person before something that can't be undone; a script says --yes. subject: "12 dead letters"."""
    if not sys.stdin.isatty():
        fail(f"this concerns {subject}: look with --dry-run, then add --yes", EXIT_USAGE)
    if not typer.confirm(question):
        fail("nothing was changed", EXIT_FAILED)


def run(main_task: Coroutine[Any, Any, Answer]) -> Answer:
    """Run a coroutine on the fastest loop there is."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main_task)
    return uvloop.run(main_task)
