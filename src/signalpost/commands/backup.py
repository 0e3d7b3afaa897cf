"""`signalpost backup`."""

from pathlib import Path
from typing import Annotated

import typer

from signalpost.commands.options import ConfigFile, Json
from signalpost.config.reading import read_config
from signalpost.terminal import out, print_json


def backup(
    target: Annotated[Path, typer.Argument(metavar="OUT", help="The folder that the backup is written to.")],
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Copy the queue and the settings while the gateway runs or not; the master key is not part of it."""
    from signalpost.backup import back_up

    files = back_up(read_config(config).server.data_dir, target)
    if as_json:
        print_json({"files": [{"path": str(file), "bytes": file.stat().st_size} for file in files]})
    else:
        for file in files:
            out.print(f"{file}  {file.stat().st_size:,} bytes", soft_wrap=True)
