"""`signalpost resume`."""

from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer
from rich.markup import escape

from signalpost.commands.options import ConfigFile, run
from signalpost.terminal import out


def resume(
    destination: Annotated[str, typer.Argument(help="Its name, as `signalpost status` shows it.")],
    config: ConfigFile = None,
) -> None:
    """Let the running gateway try a destination again at once: a paused one, and what waits for its next attempt."""
    from signalpost.config.reading import read_config

    run(_resume(read_config(config).server.data_dir, destination))
    out.print(f"{escape(destination)} is tried again; `signalpost status` shows how that goes.")


async def _resume(data_folder: Path, destination: str) -> None:
    from signalpost.control_client import control_client

    async with control_client(data_folder) as gateway:
        await gateway.post(f"/api/delivery/{quote(destination, safe='')}/resume")
