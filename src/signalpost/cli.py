"""The command line as a whole: which commands there are, and how trouble ends each of them."""

import importlib.metadata
from typing import Annotated

import typer

from signalpost.commands.backup import backup
from signalpost.commands.connect import connect
from signalpost.commands.dead_letters import dead_letters
from signalpost.commands.demo import demo
from signalpost.commands.discard import discard
from signalpost.commands.doctor import doctor
from signalpost.commands.emulator import emulator
from signalpost.commands.find import find
from signalpost.commands.import_file import import_file
from signalpost.commands.map import map_calls
from signalpost.commands.master_key import master_key
from signalpost.commands.recover import recover
from signalpost.commands.resume import resume
from signalpost.commands.send import send
from signalpost.commands.serve import serve
from signalpost.commands.status import status
from signalpost.commands.tail import tail
from signalpost.commands.user import user
from signalpost.data_folder import AlreadyRunning
from signalpost.model.errors import ConfigError, NewerDataFolder, SignalpostError
from signalpost.terminal import EXIT_ALREADY_RUNNING, EXIT_FAILED, EXIT_NEWER_DATA, EXIT_USAGE, fail, out

app = typer.Typer(
    name="signalpost",
    help="A self-hosted, Segment-compatible gateway that delivers conversions to Meta.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command()(serve)
app.command()(backup)
app.command()(recover)
app.command()(demo)
app.command()(emulator)
app.command("map")(map_calls)
app.command()(send)
app.command("import")(import_file)
app.command()(tail)
app.command()(connect)
app.command()(status)
app.command()(find)
app.command()(doctor)
app.command()(resume)
app.command()(discard)
app.add_typer(dead_letters, name="dead-letters")
app.add_typer(user, name="user")
app.add_typer(master_key, name="master-key")


def main() -> None:
    """Run the command line; expected trouble is one sentence on standard error and an exit code, never a traceback."""
    try:
        app()
    except AlreadyRunning as error:
        fail(str(error), EXIT_ALREADY_RUNNING)
    except NewerDataFolder as error:
        fail(str(error), EXIT_NEWER_DATA)
    except ConfigError as error:
        fail(str(error), EXIT_USAGE)
    except SignalpostError as error:
        fail(str(error), EXIT_FAILED)


@app.callback(invoke_without_command=True)
def version_option(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """The options that come before a command."""
    if version:
        out.print(f"signalpost {importlib.metadata.version('signalpost')}")
        raise typer.Exit
