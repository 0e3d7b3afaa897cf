"""`signalpost send`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.progress import Progress

from signalpost.commands.options import Json, run
from signalpost.terminal import EXIT_FAILED, err, out, print_json

if TYPE_CHECKING:
    from signalpost.send_file import RejectedCall


def send(
    file: Annotated[Path, typer.Argument(help="JSON Lines of calls, a JSON array of them, or a batch object.")],
    write_key: Annotated[str, typer.Option(help="A write key of the source.")],
    url: Annotated[str, typer.Option(help="The tracking API.")] = "http://127.0.0.1:8080",
    as_json: Json = False,
) -> None:
    """Send calls from a file to a tracking API, as an SDK would. Exit 0 when every call was taken."""
    run(_send(file, write_key, url, as_json=as_json))


async def _send(file: Path, write_key: str, url: str, *, as_json: bool) -> None:
    from signalpost.send_file import read_calls, send_calls

    to_send = read_calls(file)
    accepted = duplicates = 0
    rejected: list[RejectedCall] = []
    with Progress(console=err, transient=True, disable=as_json or not err.is_terminal) as progress:
        bar = progress.add_task("Sending", total=len(to_send.calls))
        async for part in send_calls(to_send, url, write_key):
            accepted, duplicates = accepted + part.accepted, duplicates + part.duplicates
            rejected += part.rejected
            progress.update(bar, completed=accepted + duplicates + len(rejected))
    if as_json:
        print_json({"accepted": accepted, "duplicates": duplicates, "rejected": rejected})
    else:
        out.print(f"{accepted} accepted, {duplicates} duplicates, {len(rejected)} rejected")
        for call in rejected:
            out.print(f"  call {call.number}: {call.code}: {escape(call.message)}")
    if rejected:
        sys.exit(EXIT_FAILED)
