"""One request over a real socket: to the local Meta, and to servers that behave as no Meta would."""

import asyncio
import contextlib
import gzip
import socket
import time
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from signalpost.emulator.app import EmulatorSettings, RunningEmulator, running_emulator
from signalpost.emulator.faults import FaultPlan
from signalpost.meta.client import MAX_ANSWER_BYTES, MetaClient
from signalpost.model.delivery import Accepted, Outcome, Rejected, Throttled, Unauthorized, Unavailable
from tests.builders import DATASET, build_batch, build_payload, build_queued_event, build_target

MEGABYTE = 1 << 20
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture
async def emulator() -> AsyncIterator[RunningEmulator]:
    async with running_emulator(EmulatorSettings(port=0, seed=1)) as running:
        yield running


@pytest.fixture
async def client(emulator: RunningEmulator) -> AsyncIterator[MetaClient]:
    async with MetaClient(emulator.url) as client:
        yield client


@contextlib.asynccontextmanager
async def raw_server(respond: Handler) -> AsyncIterator[str]:
    """A server that lets `respond` deal with each connection, and then hangs up."""
    connections: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(asyncio.current_task())
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await respond(reader, writer)
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.close()
        async with asyncio.timeout(5):
            await asyncio.gather(*connections)


def answer_with(head: str, body: bytes = b"", seen: list[str] | None = None) -> Handler:
    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        if seen is not None:
            seen.append(request.decode())
        writer.write(head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)
        await writer.drain()
        writer.write_eof()
        await reader.read()

    return respond


async def send_to(url: str, *, total_seconds: float = 5) -> Outcome:
    async with MetaClient(url, total_seconds=total_seconds) as client:
        return (await client.send(build_batch(), build_target())).outcome


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


# --- what is sent ---


async def test_success(emulator, client):
    """A batch arrives whole, in one request to the dataset of its target, and its trace id comes back."""
    outcome = (await client.send(build_batch(3), build_target())).outcome
    (request,) = emulator.store.requests
    assert outcome == Accepted(request.fbtrace_id)
    assert (request.method, request.path) == ("POST", f"/v26.0/{DATASET}/events")
    assert emulator.store.accepted_count == request.event_count == 3


async def test_request_fields(emulator, client):
    """A test_event_code goes along, beside the events."""
    await client.send(build_batch(), build_target(test_event_code="TEST7"))
    assert emulator.store.requests[0].test_event_code == "TEST7"


async def test_token_is_in_the_header_only():
    """The token stands in the Authorization header, once, and nowhere else in the request."""
    seen: list[str] = []
    head = "HTTP/1.1 200 OK\nContent-Length: 21"
    async with raw_server(answer_with(head, b'{"events_received":1}', seen)) as url, MetaClient(url) as client:
        assert (await client.send(build_batch(), build_target("PLANTED_TOKEN"))).outcome == Accepted()
    (request,) = seen
    assert request.count("PLANTED_TOKEN") == 1
    assert "\r\nAuthorization: Bearer PLANTED_TOKEN\r\n" in request
    assert request.startswith(f"POST /v26.0/{DATASET}/events HTTP/1.1\r\n")
    assert "\r\nContent-Type: application/json\r\n" in request


async def test_an_answer_that_repeats_the_token():
    """Meta may quote the token that it refuses, and an address; neither is in what is kept."""
    said = "Malformed access token token-of-nobody-else, asked by jo@example.com"
    body = b'{"error": {"code": 190, "message": "%s"}}' % said.encode()
    head = f"HTTP/1.1 401 Unauthorized\nContent-Length: {len(body)}"
    async with raw_server(answer_with(head, body)) as url, MetaClient(url) as client:
        outcome = (await client.send(build_batch(), build_target("token-of-nobody-else"))).outcome
    assert outcome == Unauthorized("token", "190 Malformed access token ***, asked by ***")


@pytest.mark.parametrize("token", ["two\nlines", "null\0byte", "naïve", "tab\t"])
async def test_token_that_no_header_can_hold(emulator, client, token):
    """A token with a character that no token has is called the token's fault, and is not sent."""
    outcome = (await client.send(build_batch(), build_target(token))).outcome
    assert isinstance(outcome, Unauthorized)
    assert outcome.reason == "token"
    assert token not in outcome.detail
    assert not emulator.store.requests


async def test_environment_proxies_are_not_used(client, monkeypatch):
    """A proxy named in the environment does not get to see the token."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    monkeypatch.delenv("no_proxy", raising=False)
    assert isinstance((await client.send(build_batch(), build_target())).outcome, Accepted)


async def test_repeat_has_identical_bytes(emulator, client):
    """The same batch sent again makes the same request."""
    batch = build_batch(3)
    for _ in range(2):
        await client.send(batch, build_target())
    first, second = emulator.store.requests
    assert first.body_crc32 == second.body_crc32


async def test_large_request(emulator, client):
    """An event that is larger than a usual request is sent all the same."""
    event = build_queued_event()
    payload = build_payload(event.event_id, event.event_time, custom_data={"note": "x" * MEGABYTE, "value": 1})
    large = build_queued_event(payload=payload)
    await client.send(build_batch([large]), build_target())
    assert emulator.store.requests[0].size_bytes > MEGABYTE


async def test_use_outside_of_its_block():
    """A client that was not entered refuses to send."""
    with pytest.raises(RuntimeError):
        await MetaClient("http://127.0.0.1").send(build_batch(), build_target())


# --- what comes back ---


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("token_expired", Unauthorized),
        ("throttle_80004", Throttled),
        ("event_too_old", Rejected),
        ("service_unavailable", Unavailable),
    ],
)
async def test_refusals(emulator, client, fault, kind):
    """Meta's refusals come back as outcomes, headers included."""
    emulator.arm(FaultPlan(fault))
    outcome = (await client.send(build_batch(), build_target())).outcome
    assert isinstance(outcome, kind)
    if isinstance(outcome, Throttled):
        assert outcome.wait_seconds == 19 * 60


@pytest.mark.parametrize("fault", ["reset_before", "lost_answer", "truncated", "garbage", "wrong_length", "bad_gzip"])
async def test_damaged_answers(emulator, client, fault):
    """A connection that is reset and an answer that is damaged are no answer; the next request goes through."""
    emulator.arm(FaultPlan(fault, times=1))
    assert isinstance((await client.send(build_batch(), build_target())).outcome, Unavailable)
    assert isinstance((await client.send(build_batch(), build_target())).outcome, Accepted)


@pytest.mark.parametrize("plan", [FaultPlan("blackhole"), FaultPlan("drip"), FaultPlan("late_answer")])
async def test_time_limit(emulator, plan):
    """A server that never answers, or answers byte by byte, is given up at the time limit."""
    emulator.arm(plan)
    started = time.monotonic()
    assert await send_to(emulator.url, total_seconds=0.05) == Unavailable("no answer within 0.05 seconds")
    assert time.monotonic() - started < 1


async def test_refused_connection():
    """A port on which nobody listens is no answer."""
    assert await send_to(f"http://127.0.0.1:{free_port()}") == Unavailable("no answer: ClientConnectorError")


async def test_unknown_host():
    """A name that does not resolve is no answer."""
    assert isinstance(await send_to("http://graph.invalid"), Unavailable)


async def test_redirect_is_not_followed():
    """A redirect is the destination's trouble: following it would carry the token along."""
    seen: list[str] = []
    redirect = "HTTP/1.1 307 Temporary Redirect\nLocation: /elsewhere\nContent-Length: 0"
    async with raw_server(answer_with(redirect, seen=seen)) as url:
        outcome = await send_to(url)
    assert isinstance(outcome, Unauthorized)
    assert len(seen) == 1


async def test_cookies_are_not_kept():
    """A cookie that an answer sets is not sent back."""
    seen: list[str] = []
    head = "HTTP/1.1 200 OK\nSet-Cookie: a=b\nContent-Length: 2\nConnection: close"
    async with raw_server(answer_with(head, b"{}", seen)) as url:
        by_name = url.replace("127.0.0.1", "localhost")  # no jar takes cookies from a bare address
        async with MetaClient(by_name) as client:
            for _ in range(2):
                await client.send(build_batch(), build_target())
    assert len(seen) == 2
    assert "cookie" not in seen[1].lower()


@pytest.mark.parametrize(
    "head",
    [
        "nonsense",
        "HTTP/1.1 200 OK\nContent-Length: no number",
        "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\nzz",
        "HTTP/1.1 200 OK\nX-Long: " + "x" * 100_000,
        "HTTP/1.1 200 OK\nContent-Encoding: zstd\nContent-Length: 2",
    ],
    ids=["no_http", "bad_length", "bad_chunk", "long_header", "unknown_encoding"],
)
async def test_no_http(head):
    """What is no HTTP is no answer."""
    async with raw_server(answer_with(head, b"{}")) as url:
        assert isinstance(await send_to(url), Unavailable)


async def test_answer_without_a_length():
    """An answer that ends with its connection is read."""
    async with raw_server(answer_with("HTTP/1.1 200 OK", b'{"events_received":1}')) as url:
        assert await send_to(url) == Accepted()


@pytest.mark.parametrize(("size", "kind"), [(MAX_ANSWER_BYTES, Accepted), (MAX_ANSWER_BYTES + 1, Unavailable)])
async def test_long_answer(size, kind):
    """An answer of up to one MiB is read; a longer one is not believed."""
    body = b"{}" + b" " * (size - 2)
    async with raw_server(answer_with(f"HTTP/1.1 200 OK\nContent-Length: {size}", body)) as url:
        assert isinstance(await send_to(url), kind)


async def test_endless_answer():
    """An answer without an end is given up after one MiB, long before the time limit."""

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n{")
        while True:
            writer.write(b" " * 65_536)
            await writer.drain()

    async with raw_server(flood) as url:
        started = time.monotonic()
        assert isinstance(await send_to(url, total_seconds=20), Unavailable)
        assert time.monotonic() - started < 10


async def test_gzip_answer():
    """A compressed answer is read."""
    body = gzip.compress(b'{"events_received":1}')
    head = f"HTTP/1.1 200 OK\nContent-Encoding: gzip\nContent-Length: {len(body)}"
    async with raw_server(answer_with(head, body)) as url:
        assert await send_to(url) == Accepted()


async def test_gzip_bomb():
    """A small answer that unpacks to 16 MiB is given up; it never takes that memory."""
    bomb = gzip.compress(b" " * (16 * MEGABYTE), compresslevel=9)
    head = f"HTTP/1.1 200 OK\nContent-Encoding: gzip\nContent-Length: {len(bomb)}"
    async with raw_server(answer_with(head, bomb)) as url:
        tracemalloc.start()
        try:
            assert isinstance(await send_to(url), Unavailable)
            _, most_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert most_bytes < 6 * MEGABYTE
