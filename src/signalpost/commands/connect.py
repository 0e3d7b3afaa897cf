"""`signalpost connect`."""

import asyncio
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer
from rich.markup import escape

from signalpost.commands.options import ConfigFile, Json, run
from signalpost.terminal import EXIT_FAILED, fail, out, print_json

_POLL_SECONDS = 0.5


def connect(
    destination: Annotated[str, typer.Argument(help="Name of the destination.")],
    disconnect: Annotated[bool, typer.Option("--disconnect", help="Forget the token instead.")] = False,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Give a destination its token by asking at Facebook: prints a link to open, and waits for the answer."""
    from signalpost.config.reading import read_config

    run(_connect(read_config(config).server.data_dir, destination, disconnect=disconnect, as_json=as_json))


async def _connect(data_folder: Path, destination: str, *, disconnect: bool, as_json: bool) -> None:
    from signalpost.control_client import control_client

    path = f"/api/destinations/{quote(destination, safe='')}/facebook"
    async with control_client(data_folder) as gateway:
        if disconnect:
            await gateway.delete(path)
            ended = {"state": "disconnected", "message": f"{destination} is disconnected: its events wait for a token."}
        else:
            started = await gateway.post(path)
            if as_json:
                print_json(started)
            else:
                out.print("Open this in a browser, and sign in as somebody who may use the dataset:\n")
                out.print(f"  {escape(started['url'])}\n", soft_wrap=True)
                out.print("[dim]Waiting for up to 15 minutes; Ctrl-C changes nothing.[/dim]")
            ended = {"state": "waiting"}
            while ended["state"] == "waiting":
                await asyncio.sleep(_POLL_SECONDS)
                ended = await gateway.get(f"/api/facebook-attempts/{started['ticket']}")
    if as_json:
        print_json(ended)
    if ended["state"] not in {"connected", "disconnected"}:
        fail(ended["message"], EXIT_FAILED)
    if not as_json:
        out.print(f"[green]{escape(ended['message'])}[/green]", soft_wrap=True)
