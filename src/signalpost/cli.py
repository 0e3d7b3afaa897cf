"""The command line: read options, call one function, print. With --json all of it is JSON, an object a line."""

import asyncio
import importlib.metadata
import json
import logging
import os
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn

import msgspec
import structlog
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from signalpost.config import Config, check_settings, read_config
from signalpost.data_folder import AlreadyRunning
from signalpost.mapping.destinations import DESTINATION_TYPES
from signalpost.mapping.destinations.destination_type import Destination
from signalpost.model.errors import ConfigError, SignalpostError
from signalpost.model.ids import DestinationId
from signalpost.model.timestamps import read_timestamp

EXIT_FAILED, EXIT_USAGE, EXIT_ALREADY_RUNNING = 1, 2, 3

app = typer.Typer(
    name="signalpost",
    help="A self-hosted, Segment-compatible gateway that delivers conversions to Meta.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

Json = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="The configuration file. [default: signalpost.toml, if it is there]")
]


def main() -> None:
    """Run the command line; expected trouble is one sentence on standard error and an exit code, never a traceback."""
    try:
        app()
    except AlreadyRunning as error:
        _fail(str(error), EXIT_ALREADY_RUNNING)
    except ConfigError as error:
        _fail(str(error), EXIT_USAGE)
    except SignalpostError as error:
        _fail(str(error), EXIT_FAILED)


def _fail(message: str, exit_code: int) -> NoReturn:
    err.print(f"[red]error:[/red] {_escape(message)}", soft_wrap=True)
    sys.exit(exit_code)


def _escape(text: str) -> str:
    return text.replace("[", "\\[")


def _print_json(value: object) -> None:
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
    sys.stdout.flush()


def _run(main_task: Any) -> Any:
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
    async with running_service(settings, folder) as service:
        if as_json:
            _print_json({"event": "ready", "tracking_url": service.tracking_url, "console_url": service.console_url})
        else:
            out.print(f"[bold]Signalpost {importlib.metadata.version('signalpost')}[/bold]")
            out.print(f"  tracking API  {service.tracking_url}")
            out.print(f"  control API   {service.console_url}")
            for source in service.catalog.sources:
                names = ", ".join(destination.name for destination in source.destinations) or "no destination"
                out.print(f"  {_escape(source.name)} → {_escape(names)}")
            if not service.catalog.sources:
                out.print(
                    "  [yellow]No source is configured, so every call is refused.[/yellow] See docs/configuration.md."
                )
        await _wait_for_stop(lambda: _reload(service, file, folder))
        if not as_json:
            out.print("Stopping: finishing what is in flight…")


def _reload(service: Any, file: Path | None, folder: Path) -> None:
    try:
        service.reload(read_config(file), folder)
    except ConfigError as error:
        err.print(f"[red]not reloaded:[/red] {_escape(str(error))}", soft_wrap=True)
    else:
        err.print("Reloaded the configuration.")


async def _wait_for_stop(reload: Callable[[], None] | None = None) -> None:
    """Return on the first SIGINT or SIGTERM; a second one ends the process at once."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():
            os._exit(EXIT_FAILED)
        stop.set()

    for stop_signal in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(stop_signal, on_signal)
    if reload is not None:
        loop.add_signal_handler(signal.SIGHUP, reload)
    await stop.wait()


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
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


@app.command()
def demo(
    once: Annotated[bool, typer.Option("--once", help="Send the sample calls, print a summary, and exit.")] = False,
    as_json: Json = False,
) -> None:
    """Watch a shopper's calls become Meta conversions, on this machine, with nothing to configure."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    if not _run(_demo(stay=not once, as_json=as_json)):
        _fail("not everything ended as it should; see above", EXIT_FAILED)


async def _demo(*, stay: bool, as_json: bool) -> bool:
    from signalpost.demo import DemoStep, running_demo

    async with running_demo() as shop:
        if not as_json:
            out.print(
                "[bold]A gateway and a local Meta are running.[/bold] Segment's client now sends a shopper's calls:\n"
            )
        steps: list[DemoStep] = []
        async for step in shop.send_funnel():
            steps.append(step)
            _print_step(len(steps), step, as_json=as_json)
        ledger, at_meta = await shop.count(), await shop.count_at_meta()
        delivered = sum(step.state == "delivered" for step in steps)
        is_complete = (
            all(step.is_expected for step in steps)
            and (ledger.imbalance, ledger.events.pending.total) == (0, 0)
            and ledger.events.delivered == delivered == at_meta
        )
        _print_demo_summary(ledger, at_meta, is_complete=is_complete, as_json=as_json)
        if stay:
            _print_addresses(shop, as_json=as_json)
            await _wait_for_stop()
        return is_complete


def _print_step(number: int, step: Any, *, as_json: bool) -> None:
    if as_json:
        fields = {"call": step.call.event, "message_id": step.call.message_id, "mapped_to": step.mapped_to}
        _print_json({**fields, "state": step.state, "detail": step.detail})
        return
    color = "green" if step.state == "delivered" else "yellow"
    out.print(
        f"  {number}  {step.call.event:<20} accepted → {step.mapped_to:<17} → [{color}]{step.state:<9}[/{color}] "
        f"[dim]{_escape(step.detail)}[/dim]",
        soft_wrap=True,
    )


def _print_demo_summary(ledger: Any, at_meta: int, *, is_complete: bool, as_json: bool) -> None:
    events = ledger.events
    if as_json:
        _print_json({"ledger": ledger, "accepted_by_meta": at_meta, "complete": is_complete})
        return
    table = Table(title="Where every event went", title_justify="left", box=None, pad_edge=False)
    for name in ("accepted", "delivered", "filtered", "rejected", "expired", "pending"):
        table.add_column(name, justify="right")
    counts = (events.accepted, events.delivered, sum(events.filtered.values()), sum(events.rejected.values()))
    table.add_row(*(str(count) for count in (*counts, events.expired, events.pending.total)))
    out.print()
    out.print(table)
    verdict = "[green]everything is accounted for[/green]" if is_complete else "[red]something is missing[/red]"
    out.print(f"The local Meta holds {at_meta} server events: {verdict}.\n")


def _print_addresses(shop: Any, *, as_json: bool) -> None:
    addresses = {"meta": shop.emulator_url, "tracking_url": shop.tracking_url, "console_url": shop.console_url}
    if as_json:
        _print_json({"event": "ready", **addresses, "write_key": shop.write_key})
        return
    out.print(f"  See what Meta received   {shop.emulator_url}")
    out.print(f"  Tracking API             {shop.tracking_url}")
    out.print(f"  The ledger               {shop.console_url}/api/ledger\n")
    call = {"userId": "you", "event": "Order Completed", "properties": {"revenue": 42, "currency": "EUR"}}
    out.print("Try one yourself:\n")
    out.print(
        f"  curl -u {shop.write_key}: {shop.tracking_url}/v1/track -d '{json.dumps(call)}'\n",
        soft_wrap=True,
        markup=False,
    )
    out.print("Ctrl-C stops it; nothing is left behind.")


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
            _print_json({"event": "ready", "url": url})
        else:
            out.print(f"[bold]Local Meta emulator[/bold] ({profile}) at {url}")
            out.print("  Token EMULATOR_TOKEN, any dataset id. Ctrl-C stops it.")

    if profile not in {"observed", "strict"}:
        _fail(f"--profile: must be observed or strict, not {profile}", EXIT_USAGE)
    try:
        _run(serve_emulator(EmulatorSettings(port=port, profile=profile), on_ready))  # type: ignore[arg-type]
    except OSError as error:
        _fail(f"--port: cannot listen on 127.0.0.1:{port}: {error.strerror}; choose another, or 0", EXIT_FAILED)


@app.command("map")
def map_command(
    destination: Annotated[str, typer.Option(help=f"One of {', '.join(DESTINATION_TYPES)}.")],
    file: Annotated[str, typer.Argument(help="JSON Lines of Segment calls; - is standard input.")] = "-",
    settings: Annotated[Path | None, typer.Option(help="A JSON file with the destination's settings.")] = None,
    received_at: Annotated[str | None, typer.Option(help="ISO 8601 time of receipt. [default: now]")] = None,
) -> None:
    """Show what calls would send to Meta. Nothing is sent; JSON Lines in, JSON Lines out."""
    from signalpost.map_lines import NotJson, map_lines

    target = _build_map_destination(destination, settings)
    at = read_timestamp(received_at) if received_at else datetime.now(UTC)
    if at is None:
        _fail(
            f"--received-at: {received_at} is not an ISO 8601 date and time, such as 2026-01-31T12:00:00Z", EXIT_USAGE
        )
    exit_code = 0
    with _open_lines(file) as lines:
        for line in map_lines(lines, target, at):
            if isinstance(line, NotJson):
                err.print(f"[red]error:[/red] {_escape(line.message)}", soft_wrap=True)
                exit_code = EXIT_FAILED
            else:
                sys.stdout.buffer.write(line.output + b"\n")
    sys.stdout.buffer.flush()
    raise typer.Exit(exit_code)


def _build_map_destination(slug: str, settings: Path | None) -> Destination:
    destination_type = DESTINATION_TYPES.get(slug)
    if destination_type is None:
        _fail(f"--destination: must be one of {', '.join(DESTINATION_TYPES)}, not {slug}", EXIT_USAGE)
    given: object = {}
    if settings is not None:
        try:
            given = msgspec.json.decode(settings.read_bytes())
        except OSError as error:
            _fail(f"--settings: cannot read {settings}: {error.strerror}", EXIT_USAGE)
        except msgspec.DecodeError as error:
            _fail(f"--settings: {settings} is not valid JSON: {error}", EXIT_USAGE)
    if not isinstance(given, dict):
        _fail(f"--settings: {settings} must hold a JSON object", EXIT_USAGE)
    checked = check_settings(destination_type.settings, given, str(settings))
    return Destination(DestinationId(slug), slug, destination_type, checked)


def _open_lines(file: str) -> Any:
    if file == "-":
        return sys.stdin.buffer
    try:
        return Path(file).open("rb")
    except OSError as error:
        _fail(f"{file}: cannot be read: {error.strerror}", EXIT_USAGE)


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
    from signalpost.send_file import read_calls, send_calls

    calls = read_calls(file)
    accepted = duplicates = 0
    rejected: list[Any] = []
    with Progress(console=err, transient=True, disable=as_json) as progress:
        bar = progress.add_task("Sending", total=len(calls))
        async for part in send_calls(calls, url, write_key):
            accepted, duplicates = accepted + part.accepted, duplicates + part.duplicates
            rejected += part.rejected
            progress.update(bar, completed=accepted + duplicates + len(rejected))
    if as_json:
        _print_json({"accepted": accepted, "duplicates": duplicates, "rejected": rejected})
    else:
        out.print(f"{accepted} accepted, {duplicates} duplicates, {len(rejected)} rejected")
        for call in rejected:
            out.print(f"  call {call.number}: {call.code}: {_escape(call.message)}")
    if rejected:
        sys.exit(EXIT_FAILED)
