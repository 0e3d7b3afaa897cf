"""`signalpost recover`."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.table import Table

from signalpost.commands.options import Json
from signalpost.terminal import out, print_json


def recover(
    damaged: Annotated[Path, typer.Argument(metavar="IN", help="The damaged queue.db; it is only read.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="The new file; it must not be there yet.")],
    as_json: Json = False,
) -> None:
    """Save every readable event of a damaged queue into a new file. Stop the gateway first."""
    from signalpost.queue.recovery import recover as recover_queue

    report = recover_queue(damaged, target)
    if as_json:
        print_json(msgspec.to_builtins(report))
        return
    table = Table("", "kept", "damaged", "lost")
    lost = "unknown" if report.lost_events is None else f"{report.lost_events:,}"
    table.add_row("waiting events", f"{report.kept_events:,}", f"{report.damaged_events:,}", lost)
    table.add_row("dead letters", f"{report.kept_dead_letters:,}", f"{report.damaged_dead_letters:,}", "")
    out.print(table)
    out.print(f"To go on with it: move {target} to queue.db in the data folder and start the gateway.", soft_wrap=True)
    if report.damaged_events:
        out.print("Damaged events are never sent: they become dead letters with the code corrupt_row.")
