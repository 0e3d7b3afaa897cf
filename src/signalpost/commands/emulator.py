"""`signalpost emulator`."""

from pathlib import Path
from typing import Annotated

import typer

from signalpost.commands.options import Json, run
from signalpost.terminal import EXIT_FAILED, EXIT_USAGE, fail, out, print_json


def emulator(
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 8090,
    profile: Annotated[
        str, typer.Option(help="observed: as Meta behaves. strict: as its documents demand.")
    ] = "observed",
    faults: Annotated[
        Path | None,
        typer.Option(help='JSON file of faults to begin with, as [{"fault": "throttle_429_empty", "times": 3}].'),
    ] = None,
    as_json: Json = False,
) -> None:
    """Run a local Meta that checks, keeps and shows what it receives. Not Meta: for tests and demos."""
    import msgspec

    from signalpost.emulator.app import EmulatorSettings
    from signalpost.emulator.app import serve as serve_emulator
    from signalpost.emulator.faults import UnknownFaultError, read_faults_file

    def on_ready(url: str) -> None:
        if as_json:
            print_json({"event": "ready", "url": url})
        else:
            out.print(f"[bold]Local Meta emulator[/bold] ({profile}) at {url}")
            out.print("  Token EMULATOR_TOKEN, any dataset id. Ctrl-C stops it.")

    if profile not in {"observed", "strict"}:
        fail(f"--profile: must be observed or strict, not {profile}", EXIT_USAGE)
    try:
        plans = read_faults_file(faults) if faults is not None else ()
    except (OSError, ValueError, msgspec.DecodeError) as error:
        fail(f"--faults: cannot use {faults}: {error}", EXIT_USAGE)
    settings = EmulatorSettings(port=port, profile=profile, faults=plans)  # type: ignore[arg-type]
    try:
        run(serve_emulator(settings, on_ready))
    except UnknownFaultError as error:
        fail(f"--faults: {error}; docs/howto/rehearse-trouble.md lists them", EXIT_USAGE)
    except OSError as error:
        fail(f"--port: cannot listen on 127.0.0.1:{port}: {error.strerror}; choose another, or 0", EXIT_FAILED)
