"""HTTP servers inside a running event loop, each on a socket that was bound before anything else was started."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn

from signalpost.bounded_http import App, BoundedHttp
from signalpost.model.errors import SignalpostError
from signalpost.open_connections import OpenConnections

GRACE_SECONDS = 10
_KEEP_ALIVE_SECONDS = 65
_BACKLOG = 2_048


class AddressUnavailable(SignalpostError):
    """A port can't be listened on."""


class _QuietServer(uvicorn.Server):
    """Leaves signals to whoever runs the process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def bind(host: str, port: int, setting: str) -> socket.socket:
    """A listening address, or AddressUnavailable naming the setting. Port 0 takes a free one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio switches off Nagle's delay only where the protocol is named; with it, an answer takes 40 ms longer.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        msg = f"{setting}: cannot listen on {host}:{port}: {error.strerror}; stop what uses it, or set another port"
        raise AddressUnavailable(msg) from None
    return bound


def url_of(bound: socket.socket) -> str:
    """The address as a person on this machine would open it."""
    host, port = bound.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"http://{host}:{port}"


class Listener:
    """Serves an ASGI app on a bound socket until it is stopped, for clients that are trusted not to flood it."""

    def __init__(self, app: Any, bound: socket.socket) -> None:
        self.url = url_of(bound)
        self._socket = bound
        self._server = _QuietServer(
            uvicorn.Config(
                app,
                http="httptools",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                ws="none",
                proxy_headers=False,  # else anybody on this machine could forge an address
                backlog=_BACKLOG,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=GRACE_SECONDS,
            )
        )
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Return when requests are answered."""
        self._serving = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        while not self._server.started:
            if self._serving.done():
                await self._serving
                return
            await asyncio.sleep(0.005)

    async def stop(self) -> None:
        """Take no new connections, finish the requests in progress, and return."""
        self._server.should_exit = True
        if self._serving is not None:
            await self._serving
        self._socket.close()


class PublicListener:
    """Serves the tracking API on a bound socket until it is stopped: strangers connect, within bounds."""

    def __init__(self, app: App, bound: socket.socket, open_connections: OpenConnections) -> None:
        self.url = url_of(bound)
        self._app = app
        self._socket = bound
        self._open_connections = open_connections
        self._server: asyncio.Server | None = None
        self._sweeping: asyncio.Task[None] | None = None

    def build_protocol(self) -> BoundedHttp:
        """What speaks HTTP on a new connection."""
        return BoundedHttp(self._app, self._open_connections)

    async def start(self) -> None:
        """Return when requests are answered."""
        self._sweeping = asyncio.create_task(self._open_connections.sweep())
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self.build_protocol, sock=self._socket, backlog=_BACKLOG)

    async def stop(self) -> None:
        """Take no new connections, finish the requests in progress, and return."""
        if self._server is not None:
            self._server.close()
            await self._open_connections.end(GRACE_SECONDS)
        if self._sweeping is not None:
            self._sweeping.cancel()
        self._socket.close()
