"""One HTTP server inside a running event loop, on a socket that was bound before anything else was started."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from functools import partial
from typing import Any

import uvicorn

from signalpost.bounded_http import BoundedHttpProtocol, OpenConnections
from signalpost.model.errors import SignalpostError

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
    """Serves an ASGI app on a bound socket until it is stopped.

    open_connections: bounds for strangers; None where those who may connect are trusted.
    """

    def __init__(self, app: Any, bound: socket.socket, open_connections: OpenConnections | None = None) -> None:
        protocol: Any = "httptools"
        if open_connections is not None:
            protocol = partial(BoundedHttpProtocol, open_connections=open_connections)
        self._open_connections = open_connections
        self._sweeping: asyncio.Task[None] | None = None
        self.url = url_of(bound)
        self._socket = bound
        self._server = _QuietServer(
            uvicorn.Config(
                app,
                http=protocol,
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
        if self._open_connections is not None:
            self._sweeping = asyncio.create_task(self._open_connections.sweep())
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
        if self._sweeping is not None:
            self._sweeping.cancel()
        self._socket.close()
