"""`signalpost discard`."""

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.markup import escape

from signalpost.commands.options import ConfigFile, DryRun, Json, Yes, confirm, run
from signalpost.terminal import out, print_json


def discard(
    destination: Annotated[str, typer.Argument(help="Its name, as `signalpost status` shows it.")],
    dry_run: DryRun = False,
    yes: Yes = False,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Give up, for good, what waits for a paused destination of the running gateway."""
    from signalpost.config.reading import read_config

    answer = run(_discard(read_config(config).server.data_dir, destination, dry_run=dry_run, yes=yes))
    if as_json:
        print_json(answer)
    else:
        told = "would be discarded" if answer["dry_run"] else "discarded"
        out.print(f"{escape(destination)}: {answer['discarded']:,} {told}; the ledger counts them as rejected.")


async def _discard(data_folder: Path, destination: str, *, dry_run: bool, yes: bool) -> Any:
    """Count, ask, and give up no more than what was counted."""
    from signalpost.control_client import control_client

    path = f"/api/delivery/{quote(destination, safe='')}/discard"
    async with control_client(data_folder) as gateway:
        counted = await gateway.post(path, {"dry_run": True})
        if dry_run or not counted["discarded"]:
            return counted
        if not yes:
            subject = f"{counted['discarded']:,} events that wait for {destination}"
            confirm(f"Give up {subject}?", subject)
        return await gateway.post(path, {"until": counted["until"]})
