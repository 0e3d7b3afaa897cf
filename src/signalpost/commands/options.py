"""Options that several commands have, and the loop they run on."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

Answer = TypeVar("Answer")

Json = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="The configuration file. [default: signalpost.toml, if it is there]")
]


def run(main_task: Coroutine[Any, Any, Answer]) -> Answer:
    """Run a coroutine on the fastest loop there is."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main_task)
    return uvloop.run(main_task)
