"""The command line: read options, call one function, print. With --json all of it is JSON, an object a line."""

import asyncio
import importlib.metadata
import logging
import os
import signal
import sys
from collections.abc import Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, TypeVar

import structlog
import typer
from rich.markup import escape
from rich.progress import Progress

from signalpost.config import Config, read_config
from signalpost.data_folder import AlreadyRunning
from signalpost.mapping.destinations import DESTINATION_TYPES
from signalpost.model.errors import ConfigError, NewerDataFolder, SignalpostError
from signalpost.model.timestamps import read_timestamp
from signalpost.redaction import mask_log_entry
from signalpost.terminal import (
    EXIT_ALREADY_RUNNING,
    EXIT_FAILED,
    EXIT_NEWER_DATA,
    EXIT_USAGE,
    SteadyStream,
    err,
    fail,
    out,
    print_error,
    print_json,
)

if TYPE_CHECKING:
    from signalpost.mapping.destinations.destination_type import Destination
    from signalpost.service import Service

Answer = TypeVar("Answer")

app = typer.Typer(
    name="signalpost",
    help="A self-hosted, Segment-compatible gateway that delivers conversions to Meta.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="The configuration file. [default: signalpost.toml, if it is there]")
]


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


def _run(main_task: Coroutine[Any, Any, Answer]) -> Answer:
    """Run a coroutine on the fastest loop there is."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main_task)
    return uvloop.run(main_task)


@app.callback(invoke_without_command=True)
def version_option(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """The options that come before a command."""
    if version:
        out.print(f"signalpost {importlib.metadata.version('signalpost')}")
        raise typer.Exit


@app.command()
def serve(config: ConfigFile = None, as_json: Json = False) -> None:
    """Run the gateway: tracking API, delivery, and the control API."""
    settings = read_config(config)
    _configure_logging(settings, as_json=as_json)
    _run(_serve(settings, config, as_json=as_json))


async def _serve(settings: Config, file: Path | None, *, as_json: bool) -> None:
    from signalpost.service import running_service

    folder = file.parent if file else Path()
    stop = _listen_for_stop()  # before anybody is told that the gateway is ready, and may tell it to stop
    async with running_service(settings, folder) as service:
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, _reload, service, file, folder)
        if as_json:
            print_json({"event": "ready", "tracking_url": service.tracking_url, "console_url": service.console_url})
        else:
            out.print(f"[bold]Signalpost {importlib.metadata.version('signalpost')}[/bold]")
            out.print(f"  tracking API  {service.tracking_url}")
            out.print(f"  control API   {service.console_url}")
            for source in service.catalog.sources:
                names = ", ".join(destination.name for destination in source.destinations) or "no destination"
                out.print(f"  {escape(source.name)} → {escape(names)}")
            if not service.catalog.sources:
                out.print(
                    "  [yellow]No source is configured, so every call is refused.[/yellow] See docs/configuration.md."
                )
        await stop.wait()
        if not as_json:
            out.print("Stopping: finishing what is in flight…")


def _reload(service: "Service", file: Path | None, folder: Path) -> None:
    try:
        service.reload(read_config(file), folder)
    except ConfigError as error:
        err.print(f"[red]not reloaded:[/red] {escape(str(error))}", soft_wrap=True)
    else:
        err.print("Reloaded the configuration.")


async def _wait_for_stop() -> None:
    await _listen_for_stop().wait()


def _listen_for_stop() -> asyncio.Event:
    """Set by the first SIGINT or SIGTERM; a second one ends the process at once."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():
            os._exit(EXIT_FAILED)
        stop.set()

    for stop_signal in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(stop_signal, on_signal)
    return stop


def _configure_logging(settings: Config, *, as_json: bool) -> None:
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    as_json = as_json or settings.log.format == "json"
    renderer: Any = structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer()
    level = logging.getLevelNamesMapping()[settings.log.level.upper()]
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            mask_log_entry,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(SteadyStream(sys.stderr)),  # type: ignore[arg-type]
    )


@app.command()
def demo(
    once: Annotated[bool, typer.Option("--once", help="Send the sample calls, print a summary, and exit.")] = False,
    as_json: Json = False,
) -> None:
    """Watch a shopper's calls become Meta conversions, on this machine, with nothing to configure."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    from signalpost.demo_report import show_demo

    if not _run(show_demo(as_json=as_json, stay=None if once else _wait_for_stop)):
        fail("not everything ended as it should; see above", EXIT_FAILED)


@app.command()
def emulator(
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 8090,
    profile: Annotated[
        str, typer.Option(help="observed: as Meta behaves. strict: as its documents demand.")
    ] = "observed",
    as_json: Json = False,
) -> None:
    """Run a local Meta that checks, keeps and shows what it receives. Not Meta: for tests and demos."""
    from signalpost.emulator.app import EmulatorSettings
    from signalpost.emulator.app import serve as serve_emulator

    def on_ready(url: str) -> None:
        if as_json:
            print_json({"event": "ready", "url": url})
        else:
            out.print(f"[bold]Local Meta emulator[/bold] ({profile}) at {url}")
            out.print("  Token EMULATOR_TOKEN, any dataset id. Ctrl-C stops it.")

    if profile not in {"observed", "strict"}:
        fail(f"--profile: must be observed or strict, not {profile}", EXIT_USAGE)
    try:
        _run(serve_emulator(EmulatorSettings(port=port, profile=profile), on_ready))  # type: ignore[arg-type]
    except OSError as error:
        fail(f"--port: cannot listen on 127.0.0.1:{port}: {error.strerror}; choose another, or 0", EXIT_FAILED)


@app.command("map")
def map_command(
    destination: Annotated[str, typer.Option(help=f"One of {', '.join(DESTINATION_TYPES)}.")],
    file: Annotated[str, typer.Argument(help="JSON Lines of Segment calls; - is standard input.")] = "-",
    settings: Annotated[Path | None, typer.Option(help="A JSON file with the destination's settings.")] = None,
    received_at: Annotated[str | None, typer.Option(help="ISO 8601 time of receipt. [default: now]")] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show where each field comes from, and what to mend; as tables.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="With --explain: JSON instead of tables. Without it all is JSON already.")
    ] = False,
) -> None:
    """Show what calls would send to Meta. Nothing is sent; JSON Lines in, JSON Lines out."""
    from signalpost.map_lines import NotJson, map_lines, read_destination

    target = read_destination(destination, settings)
    at = read_timestamp(received_at) if received_at else datetime.now(UTC)
    if at is None:
        fail(f"--received-at: {received_at} is not an ISO 8601 date and time like 2026-01-31T12:00:00Z", EXIT_USAGE)
    if explain:
        raise typer.Exit(_explain(file, target, at, as_json=as_json))
    exit_code = 0
    with _open_lines(file) as lines:
        for line in map_lines(lines, target, at):
            if isinstance(line, NotJson):
                print_error(line.message)
                exit_code = EXIT_FAILED
            else:
                sys.stdout.buffer.write(line.output + b"\n")
    sys.stdout.buffer.flush()
    raise typer.Exit(exit_code)


def _explain(file: str, destination: "Destination", received_at: datetime, *, as_json: bool) -> int:
    from signalpost.explain_report import build_report, describe_explanation
    from signalpost.map_lines import NotJson, describe_invalid_call, read_lines
    from signalpost.mapping.explanation import explain_event
    from signalpost.model.segment_event import InvalidCall

    exit_code = 0
    with _open_lines(file) as lines:
        for event in read_lines(lines, received_at):
            if isinstance(event, NotJson):
                print_error(event.message)
                exit_code = EXIT_FAILED
            elif isinstance(event, InvalidCall):
                print_json(describe_invalid_call(event)) if as_json else print_error(f"{event.code}: {event.message}")
            elif as_json:
                explanations = map(describe_explanation, explain_event(event, destination))
                print_json({"message_id": event.message_id, "explanations": list(explanations)})
            else:
                out.print(build_report(explain_event(event, destination), out.width))
    return exit_code


def _open_lines(file: str) -> BinaryIO:
    if file == "-":
        return sys.stdin.buffer
    try:
        return Path(file).open("rb")
    except OSError as error:
        fail(f"{file}: cannot be read: {error.strerror}", EXIT_USAGE)


@app.command()
def send(
    file: Annotated[Path, typer.Argument(help="JSON Lines of calls, a JSON array of them, or a batch object.")],
    write_key: Annotated[str, typer.Option(help="A write key of the source.")],
    url: Annotated[str, typer.Option(help="The tracking API.")] = "http://127.0.0.1:8080",
    as_json: Json = False,
) -> None:
    """Send calls from a file to a tracking API, as an SDK would. Exit 0 when every call was taken."""
    _run(_send(file, write_key, url, as_json=as_json))


async def _send(file: Path, write_key: str, url: str, *, as_json: bool) -> None:
    from signalpost.send_file import RejectedCall, read_calls, send_calls

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
