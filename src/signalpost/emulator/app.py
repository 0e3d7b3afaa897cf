"""The local Meta as an application and as a server: routes in one table, sockets opened and closed in order.

`running_emulator()` runs it inside the event loop of the caller, which is what tests want; `serve()` runs it until it
is told to stop. Both bind the socket themselves, so that a taken port is an OSError and port 0 takes a free one.
"""

import asyncio
import contextlib
import gc
import signal
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from uvicorn.config import Config
from uvicorn.server import ServerState

from signalpost.emulator.connection import OpenConnectionProtocol
from signalpost.emulator.control import build_control_routes
from signalpost.emulator.faults import FaultPlan
from signalpost.emulator.graph import build_events_route, build_unknown_path_route
from signalpost.emulator.login import build_login_routes
from signalpost.emulator.pages import STATIC_FOLDER, build_page_routes
from signalpost.emulator.profiles import Profile
from signalpost.emulator.state import Emulator
from signalpost.emulator.store import EventStore

KEEP_ALIVE_SECONDS = 75
GOODBYE_SECONDS = 2.0
# Bodies are trees without cycles: looking for cycles among them as often as usual costs a tenth of the time.
GC_THRESHOLDS = (50_000, 20, 50)


@dataclass(frozen=True)
class EmulatorSettings:
    """How a local Meta runs. port: 0 takes a free one. keep: bodies held in memory. seed: makes chance repeat."""

    host: str = "127.0.0.1"
    port: int = 8090
    profile: Profile = "observed"
    keep: int = 10_000
    seed: int | None = None
    faults: tuple[FaultPlan, ...] = ()


@dataclass(frozen=True)
class RunningEmulator:
    """An emulator that is listening: `url` without a slash at its end, and the state behind it."""

    url: str
    state: Emulator

    @property
    def store(self) -> EventStore:
        return self.state.store

    def arm(self, plan: FaultPlan) -> str:
        """Put a fault in force and return its fault_id. Raises UnknownFaultError."""
        return self.state.faults.arm(plan)


def build_app(settings: EmulatorSettings) -> Starlette:
    """Return the application; its state is `app.state.emulator`. Raises UnknownFaultError for a fault there isn't."""
    emulator = Emulator(profile=settings.profile, keep=settings.keep, seed=settings.seed, faults=settings.faults)
    app = Starlette(
        routes=[
            # First, because nearly every request is for it and the routes are tried in this order.
            build_events_route(emulator),
            *build_control_routes(emulator),
            *build_login_routes(emulator),
            *build_page_routes(emulator),
            Mount("/static", StaticFiles(directory=STATIC_FOLDER)),
            build_unknown_path_route(emulator),
        ]
    )
    app.state.emulator = emulator
    return app


@contextlib.asynccontextmanager
async def running_emulator(settings: EmulatorSettings | None = None) -> AsyncIterator[RunningEmulator]:
    """Listen until the block ends; without settings on a free port of 127.0.0.1. Raises OSError for a taken port."""
    settings = settings or EmulatorSettings(port=0)
    app = build_app(settings)
    emulator: Emulator = app.state.emulator
    # lifespan, logging and websockets are off: this runs inside other people's loops and speaks only when asked.
    config = Config(app, ws="none", lifespan="off", log_config=None, timeout_keep_alive=KEEP_ALIVE_SECONDS)
    connections = ServerState()
    listening = bind_socket(settings.host, settings.port)
    server = await asyncio.get_running_loop().create_server(
        lambda: OpenConnectionProtocol(config, connections, {}), sock=listening, backlog=config.backlog
    )
    try:
        yield RunningEmulator(describe_address(listening), emulator)
    finally:
        emulator.closing.set()
        server.close()
        await _hang_up(connections)


async def serve(settings: EmulatorSettings, on_ready: Callable[[str], None] | None = None) -> None:
    """Listen until SIGINT, SIGTERM or cancellation. on_ready is called once with the address. Prints nothing.

    Raises OSError when the port is taken.
    """
    gc.set_threshold(*GC_THRESHOLDS)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for stop_signal in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(stop_signal, stop.set)
    try:
        async with running_emulator(settings) as emulator:
            if on_ready is not None:
                on_ready(emulator.url)
            await stop.wait()
    finally:
        for stop_signal in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(stop_signal)


def bind_socket(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
    except OSError:
        listening.close()
        raise
    return listening


def describe_address(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def _hang_up(connections: ServerState) -> None:
    for connection in list(connections.connections):
        connection.transport.abort()
    tasks = list(connections.tasks)
    if tasks:
        await asyncio.wait(tasks, timeout=GOODBYE_SECONDS)
