"""`signalpost serve`."""

import asyncio
import gc
import importlib.metadata
import os
import resource
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape

from signalpost import failpoints
from signalpost.commands.log_lines import configure_logging
from signalpost.commands.options import ConfigFile, Json, run
from signalpost.commands.stopping import listen_for_stop
from signalpost.config.reading import read_config
from signalpost.config.sections import Config
from signalpost.model.errors import ConfigError
from signalpost.terminal import err, out, print_json

if TYPE_CHECKING:
    from signalpost.service import Service


def serve(config: ConfigFile = None, as_json: Json = False) -> None:
    """Run the gateway: tracking API, delivery, and the control API."""
    # A core dump would hold the tokens and the calls that were in memory.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    failpoints.arm(os.environ)
    settings = read_config(config)
    configure_logging(settings.log, as_json=as_json)
    run(_serve(settings, config, as_json=as_json))


async def _serve(settings: Config, file: Path | None, *, as_json: bool) -> None:
    # What is loaded until the gateway runs stays; to look for garbage in it again and again is a third of the start.
    gc.disable()
    from signalpost.service import running_service

    folder = file.parent if file else Path()
    stop = listen_for_stop()  # before anybody is told that the gateway is ready, and may tell it to stop
    async with running_service(settings, folder) as service:
        gc.enable()
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, _reload, service, file, folder)
        if as_json:
            addresses = {"tracking_url": service.tracking_url, "console_url": service.console_url}
            setup = {"setup_url": service.setup_url} if service.setup_url else {}
            print_json({"event": "ready", **addresses, **setup, "data_dir": str(settings.server.data_dir.absolute())})
        else:
            out.print(f"[bold]Signalpost {importlib.metadata.version('signalpost')}[/bold]")
            out.print(f"  tracking API  {service.tracking_url}")
            out.print(f"  console       {service.console_url}")
            for source in service.catalog.sources:
                names = ", ".join(destination.name for destination in source.destinations) or "no destination"
                out.print(f"  {escape(source.name)} → {escape(names)}")
            if service.setup_url:
                out.print("  [bold]First run[/bold]: create your account within the hour, at")
                out.print(f"  {escape(service.setup_url)}", soft_wrap=True)
            elif not service.catalog.sources:
                out.print(
                    "  [yellow]There is no source yet, so every call is refused.[/yellow] Make one in the console."
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
