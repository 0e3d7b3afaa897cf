"""Listening: which address, what it is called, and how it ends."""

import asyncio
import socket

import aiohttp
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from signalpost.listener import AddressUnavailable, Listener, bind, url_of


def test_a_taken_port():
    """The message names the setting, the address and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(AddressUnavailable) as raised:
            bind("127.0.0.1", port, "server.port")
    where = f"server.port: cannot listen on 127.0.0.1:{port}"
    assert str(raised.value) == f"{where}: Address already in use; stop what uses it, or set another port"


@pytest.mark.parametrize("host", ["no.such.host.invalid", "203.0.113.1"])
def test_a_host_that_is_not_here(host):
    """A name nobody knows, or another machine's address, is told the same way."""
    with pytest.raises(AddressUnavailable, match=rf"server\.host: cannot listen on {host}:0: "):
        bind(host, 0, "server.host")


@pytest.mark.parametrize(
    ("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::1", "[::1]"), ("::", "[::1]")]
)
def test_the_address_to_open(host, shown):
    """A listener on every address is shown as one that a browser on this machine can open."""
    with bind(host, 0, "server.port") as bound:
        assert url_of(bound) == f"http://{shown}:{bound.getsockname()[1]}"


def test_answers_are_not_held_back():
    """The protocol is named, since asyncio switches Nagle's delay off only then: it would add 40 ms to each answer."""
    with bind("127.0.0.1", 0, "server.port") as bound:
        assert bound.proto == socket.IPPROTO_TCP


async def test_stopping_finishes_what_is_in_progress():
    """A request that has begun is answered; after that nobody listens."""
    has_begun, may_end = asyncio.Event(), asyncio.Event()

    async def slow(_request: object) -> PlainTextResponse:
        has_begun.set()
        await may_end.wait()
        return PlainTextResponse("done")

    listener = Listener(Starlette(routes=[Route("/", slow)]), bind("127.0.0.1", 0, "server.port"))
    await listener.start()
    async with aiohttp.ClientSession() as session:

        async def ask() -> str:
            async with session.get(listener.url) as response:
                return await response.text()

        asking = asyncio.create_task(ask())
        await has_begun.wait()
        stopping = asyncio.create_task(listener.stop())
        await asyncio.sleep(0.01)
        assert not stopping.done()
        may_end.set()
        assert await asking == "done"
        await stopping
        with pytest.raises(aiohttp.ClientConnectorError):
            await ask()
