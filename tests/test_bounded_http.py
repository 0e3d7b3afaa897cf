"""Strangers on the wire: late, large, broken and too many; each is answered once at most, and others don't notice."""

import asyncio
import email.utils
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from signalpost.bounded_http import App
from signalpost.http_messages import Answer, HttpRequest
from signalpost.ingest.addresses import find_subscriber
from signalpost.listener import PublicListener, bind
from signalpost.open_connections import ConnectionLimits, OpenConnections
from tests.ingest.gateway import CALL, KEY, build_call, running_gateway, split_answer

pytestmark = pytest.mark.asyncio
QUICK = ConnectionLimits(head_seconds=0.3, body_seconds=0.4, longest_body_seconds=0.8)
BODY = json.dumps(CALL).encode()
HEAD = f"POST /v1/track?writeKey={KEY} HTTP/1.1\r\nHost: x\r\n".encode()
GOOD = HEAD + b"Content-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
LAST = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


async def trickle(url: str, first: bytes, each: bytes, *, pause: float = 0.05) -> tuple[bytes, float]:
    """Send `first`, then `each` again and again until the server closes; its answer, and after how many seconds."""
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    began = time.monotonic()
    answer = asyncio.create_task(reader.read())
    writer.write(first)
    async with asyncio.timeout(20):
        with suppress(OSError):
            while not answer.done():
                writer.write(each)
                await asyncio.wait({answer}, timeout=pause)
    seconds = time.monotonic() - began
    writer.close()
    try:
        return answer.result(), seconds
    except OSError:
        return b"", seconds


@pytest.mark.parametrize(
    ("first", "each", "code"),
    [
        (b"GET /", b"a", "request_timeout"),
        (b"GET /healthz HTTP/1.1\r\n", b"X: y\r\n", "request_timeout"),
        (HEAD + b"Content-Length: 900\r\n\r\n", b"{", "request_timeout"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n{\r\n", "request_timeout"),
        (b"", b"\r\n", None),
        (GOOD, b"\r\n", None),
    ],
    ids=["address", "headers", "body", "chunks", "blank_lines", "blank_lines_after_a_request"],
)
async def test_a_trickle_ends_at_the_deadline(tmp_path, first, each, code):
    """A byte now and then keeps no connection: 408 when a request had begun, and the connection is closed."""
    async with running_gateway(tmp_path, connection_limits=QUICK) as gateway:
        answer, seconds = await trickle(gateway.url, first, each)
        broken = [row.kind.code for row in gateway.history.refused_requests()]
        good = await gateway.track(CALL)
    assert 0.2 < seconds < 10
    assert good.status == 200
    if code is None:
        assert b" 408 " not in answer
    else:
        status, headers, body = split_answer(answer)
        assert (status, json.loads(body)["code"], headers["connection"]) == (408, code, "close")
        assert code in broken


async def test_a_body_that_arrives_earns_time(tmp_path):
    """A body of 64 KiB earns a second; still there is an end to it, however much arrives."""
    limits = ConnectionLimits(head_seconds=0.3, body_seconds=0.3, longest_body_seconds=1.2)
    head = f"POST /v1/batch?writeKey={KEY} HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\n".encode()
    async with running_gateway(tmp_path, connection_limits=limits) as gateway:
        poor, few_seconds = await trickle(gateway.url, head, b" ")
        rich, more_seconds = await trickle(gateway.url, head, b" " * (16 << 10), pause=0.1)
    assert poor.startswith(b"HTTP/1.1 408")
    assert rich.startswith(b"HTTP/1.1 408")
    assert more_seconds > 1.0
    assert few_seconds < 10


async def test_an_idle_connection_is_kept(tmp_path):
    """Between requests there is no deadline but that of keep-alive: an SDK's pool stays usable."""
    async with running_gateway(tmp_path, connection_limits=QUICK) as gateway:
        host, port = gateway.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        for _ in range(2):
            writer.write(GOOD)
            assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200")
            waited = asyncio.create_task(reader.read(1))
            await asyncio.wait({waited}, timeout=0.8)
            assert not waited.done()
            waited.cancel()
            with suppress(asyncio.CancelledError):
                await waited
        writer.close()


async def send_for_ever(sock: socket.socket, requests: bytes) -> None:
    while True:
        await asyncio.get_running_loop().sock_sendall(sock, requests)


async def test_answers_that_nobody_reads(tmp_path):
    """A client that sends requests and reads no answer is let go once its buffers are full."""
    async with running_gateway(tmp_path, connection_limits=QUICK) as gateway:
        host, port = gateway.url.removeprefix("http://").split(":")
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        sock.connect((host, int(port)))
        sock.setblocking(False)
        requests = b"GET /v1/nothing HTTP/1.1\r\nHost: x\r\n\r\n" * 1_000
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            await asyncio.wait_for(send_for_ever(sock, requests), 30)
        sock.close()
        assert (await gateway.track(CALL)).status == 200


@pytest.mark.parametrize(
    ("request_head", "status", "code"),
    [
        (b"GET /" + b"x" * 9_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414, "uri_too_long"),
        (b"GET /" + b"x" * 200_000, 414, "uri_too_long"),
        (b"GET /healthz HTTP/1.1\r\nX: " + b"y" * 17_000 + b"\r\n\r\n", 431, "headers_too_large"),
        (b"GET /healthz HTTP/1.1\r\nX: " + b"y" * 200_000, 431, "headers_too_large"),
        (b"GET /healthz HTTP/1.1\r\n" + b"X: y\r\n" * 65 + b"\r\n", 431, "headers_too_large"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400, "bad_request"),
        (b"NOT HTTP\r\n\r\n", 400, "bad_request"),
        (b"CONNECT meta.example:443 HTTP/1.1\r\nHost: x\r\n\r\n", 405, "method_not_allowed"),
    ],
    ids=["address", "endless_address", "headers", "endless_header", "65_headers", "bad_chunk", "no_http", "connect"],
)
async def test_40_a_head_out_of_bounds(tmp_path, request_head, status, code):
    """Too long, too large, too many or broken: one answer that says so, and the connection is closed."""
    async with running_gateway(tmp_path) as gateway:
        answer = await gateway.exchange(request_head)
        assert answer.count(b"HTTP/1.1 ") == 1
        got, headers, body = split_answer(answer)
        assert (got, json.loads(body)["code"], headers["connection"]) == (status, code, "close")
        assert [row.kind.code for row in gateway.history.refused_requests()] == [code]
        assert headers.get("allow") == ("GET, HEAD, POST, OPTIONS" if status == 405 else None)


async def test_64_headers_of_16_kib(tmp_path):
    """What is within bounds is served."""
    async with running_gateway(tmp_path) as gateway:
        head = b"GET /" + b"healthz".ljust(7) + b"?" + b"q" * 8_000 + b" HTTP/1.1\r\n"
        headers = b"".join(b"X%d: %s\r\n" % (number, b"y" * 240) for number in range(62))
        answer = await gateway.exchange(head + headers + b"Host: x\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "broken", [b"NOT HTTP\r\n\r\n", HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"], ids=["head", "body"]
)
async def test_a_broken_request_waits_its_turn(tmp_path, broken):
    """Behind good requests on one connection it is answered last: their clients must not take its 400 for theirs."""
    async with running_gateway(tmp_path) as gateway:
        answers = await gateway.exchange(GOOD + GOOD + broken)
    assert [part[:3] for part in answers.split(b"HTTP/1.1 ")[1:]] == [b"200", b"200", b"400"]


async def test_42_an_upgrade_is_ignored(tmp_path):
    """Whoever offers to speak h2c or websocket is answered in HTTP/1.1."""
    async with running_gateway(tmp_path) as gateway:
        for offer in (b"h2c", b"websocket"):
            head = HEAD + b"Connection: close, Upgrade\r\nUpgrade: %s\r\n" % offer
            answer = await gateway.exchange(head + b"Content-Length: %d\r\n\r\n%s" % (len(BODY), BODY))
            assert answer.startswith(b"HTTP/1.1 200"), answer


async def test_42_upgrades_by_the_thousand(tmp_path):
    """However many requests on one connection offer something else, each is answered."""
    async with running_gateway(tmp_path) as gateway:
        offer = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
        answers = answers_of(await gateway.exchange(offer * 2_000 + LAST))
    assert [answer[:3] for answer in answers] == [b"200"] * 2_001


async def test_39_a_trailer_is_no_header(tmp_path):
    """What stands behind a body in chunks came past every proxy that looks at headers: it names no key."""
    async with running_gateway(tmp_path) as gateway:
        head = b"POST /v1/track HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        body = b"%x\r\n%s\r\n0\r\nX-Write-Key: %s\r\n\r\n" % (len(BODY), BODY, KEY.encode())
        answer = await gateway.exchange(head + body)
    assert json.loads(split_answer(answer)[2])["code"] == "missing_write_key"


@pytest.mark.parametrize(
    ("first", "each"),
    [(b"", b"1\r\n{\r\n" * 10_000), (b"1;", b"x" * 60_000), (b"1\r\n{\r\n0\r\nX: ", b"y" * 60_000)],
    ids=["chunks_of_a_byte", "an_endless_extension", "an_endless_trailer"],
)
async def test_chunks_that_say_little(tmp_path, first, each):
    """What a body in chunks brings beside the body is bounded too: else a client keeps us busy for nothing."""
    head = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    async with running_gateway(tmp_path) as gateway:
        answer, _ = await trickle(gateway.url, head + first, each)
        assert (await gateway.track(CALL)).status == 200
    status, headers, body = split_answer(answer)
    assert (status, json.loads(body)["code"], headers["connection"]) == (400, "bad_request", "close")


async def test_small_chunks_are_served(tmp_path):
    """An SDK that writes its batch piece by piece is within the bounds."""
    batch = json.dumps({"batch": [build_call(properties={"x": "y" * 1_000})] * 200}).encode()
    chunks = b"".join(b"10\r\n%s\r\n" % batch[at : at + 16].ljust(16) for at in range(0, len(batch), 16))
    head = HEAD.replace(b"/v1/track", b"/v1/batch") + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with running_gateway(tmp_path) as gateway:
        answer = await gateway.exchange(head + chunks + b"0\r\n\r\n")
    assert json.loads(split_answer(answer)[2])["accepted"] == 200


@pytest.mark.parametrize(
    ("sent", "answers"),
    [
        (GOOD, [(200, None)]),
        (GOOD * 3, [(200, None)] * 3),
        (HEAD + b"Content-Length: 500\r\n\r\n" + BODY, [(400, "incomplete_body")]),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", [(400, "incomplete_body")]),
        (GOOD + HEAD + b"Content-Length: 500\r\n\r\n" + BODY, [(200, None), (400, "incomplete_body")]),
        (GOOD + HEAD, [(200, None)]),
        (HEAD.replace(KEY.encode(), b"wrong") + b"Content-Length: 500\r\n\r\n" + BODY, [(401, "invalid_write_key")]),
        (HEAD, []),
        (b"", []),
    ],
    ids=[
        "one",
        "three",
        "short",
        "short_in_chunks",
        "short_behind_one",
        "head_behind_one",
        "refused",
        "head",
        "nothing",
    ],
)
async def test_19_a_client_that_closes_its_half(tmp_path, sent, answers):
    """Who says that nothing more will come can still read: each request is answered, one that broke off too."""
    async with running_gateway(tmp_path) as gateway:
        host, port = gateway.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(sent)
        writer.write_eof()
        got = answers_of(await asyncio.wait_for(reader.read(), 10))
        writer.close()
        incomplete = [row.kind.code for row in gateway.history.refused_requests()]
    told = [json.loads(answer.partition(b"\r\n\r\n")[2]) for answer in got]
    assert [(int(answer[:3]), body.get("code")) for answer, body in zip(got, told, strict=True)] == answers
    assert incomplete == [code for _, code in answers if code]


async def test_42_an_absolute_address(tmp_path):
    """The address in full, as to a proxy, is served by its path, whatever host it names."""
    async with running_gateway(tmp_path) as gateway:
        answer = await gateway.exchange(GOOD.replace(b"POST /", b"POST http://evil.example/") + LAST)
    assert [part[:3] for part in answers_of(answer)] == [b"200", b"200"]


def answers_of(text: bytes) -> list[bytes]:
    return text.split(b"HTTP/1.1 ")[1:]


async def test_too_many_connections(tmp_path):
    """Over the number for one address, or for all, a connection is closed at once; when one ends there is room."""
    limits = ConnectionLimits(max_connections=4, max_connections_per_address=3)
    async with running_gateway(tmp_path, connection_limits=limits) as gateway:
        host, port = gateway.url.removeprefix("http://").split(":")

        async def connect(source: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            return await asyncio.open_connection(host, int(port), local_addr=(source, 0))

        async def is_refused(source: str) -> bool:
            reader, writer = await connect(source)
            with suppress(OSError):
                writer.write(LAST)
                async with asyncio.timeout(10):
                    answer = await reader.read()
                writer.close()
                return answer == b""
            return True

        held = [await connect("127.0.0.2") for _ in range(3)]
        assert await is_refused("127.0.0.2")
        assert not await is_refused("127.0.0.3")
        held.append(await connect("127.0.0.3"))
        assert await is_refused("127.0.0.4")
        held.pop(0)[1].close()
        refusals = 0
        while await is_refused("127.0.0.2"):
            refusals += 1
            assert refusals < 1_000
        for _, writer in held:
            writer.close()


class Idle:
    """A connection that only counts."""

    def __init__(self, address: str) -> None:
        self.address = address

    def end_if_late(self, now: float) -> None:
        """It never is."""

    stop = abort = lambda _: None


async def test_one_client_with_many_ipv6_addresses():
    """A subscriber is given a whole /64: all of it counts as one address, until the connections end."""
    connections = OpenConnections(ConnectionLimits(max_connections_per_address=2), find_owner=find_subscriber)
    own = [Idle(f"2001:db8:0:1::{number}") for number in range(3)]
    assert [connections.admit(each) for each in own] == [True, True, False]
    assert connections.admit(Idle("2001:db8:0:2::1"))
    connections.forget(own[0])
    assert connections.admit(own[2])


async def test_a_batch_is_still_taken_whole(tmp_path):
    """The bounds are far from what SDKs send: a batch of 4 MiB over a plain connection is stored."""
    async with running_gateway(tmp_path) as gateway:
        calls = [build_call(properties={"x": "y" * 15_000}) for _ in range(250)]
        answer = await gateway.batch(calls)
    assert answer.body["accepted"] == 250


@asynccontextmanager
async def serving(app: App, limits: ConnectionLimits = QUICK) -> AsyncIterator[tuple[PublicListener, OpenConnections]]:
    """Only the connections, with an app of the test's own."""
    connections = OpenConnections(limits)
    listener = PublicListener(app, bind("127.0.0.1", 0, "server.port"), connections)
    await listener.start()
    try:
        yield listener, connections
    finally:
        await listener.stop()


async def connect(listener: PublicListener) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = listener.url.removeprefix("http://").split(":")
    return await asyncio.open_connection(host, int(port))


async def echo(request: HttpRequest) -> Answer:
    """Answers with the body once all of it has come."""
    parts = []
    while (part := await request.read_part()) is not None:
        parts.append(part)
        if request.is_whole:
            break
    return Answer(200, b"".join(parts), ((b"content-type", b"text/plain"),))


async def test_stopping_answers_what_has_begun():
    """A request whose body is still coming is answered, with the end of its connection; an idle one ends at once."""
    async with serving(echo, ConnectionLimits()) as (listener, connections):
        idle, busy = await connect(listener), await connect(listener)
        idle[1].write(b"GET / HTTP/1.1\r\n\r\n")
        await idle[0].readuntil(b"\r\n\r\n")
        busy[1].write(b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
        assert await busy[0].readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        stopping = asyncio.create_task(listener.stop())
        assert await asyncio.wait_for(idle[0].read(), 10) == b""
        assert not stopping.done()
        busy[1].write(b"done")
        status, headers, body = split_answer(await asyncio.wait_for(busy[0].read(), 10))
        assert (status, headers["connection"], body) == (200, "close", b"done")
        await asyncio.wait_for(stopping, 10)
        assert len(connections) == 0
        with pytest.raises(ConnectionRefusedError):
            await connect(listener)
        for _, writer in (idle, busy):
            writer.close()


async def test_an_answer_that_never_comes_does_not_hold_up_the_stop():
    """After the time that is given, what is left is cut, and the app is told."""
    begun, ended = asyncio.Event(), asyncio.Event()

    async def never(_request: HttpRequest) -> Answer:
        begun.set()
        try:
            return await asyncio.get_running_loop().create_future()
        finally:
            ended.set()

    async with serving(never) as (listener, connections):
        reader, writer = await connect(listener)
        writer.write(b"GET / HTTP/1.1\r\n\r\n" * 2)
        await asyncio.wait_for(begun.wait(), 10)
        await connections.end(0.05)
        with suppress(OSError):
            assert await asyncio.wait_for(reader.read(), 10) == b""
        await asyncio.wait_for(ended.wait(), 10)
        writer.close()


async def test_between_requests():
    """A connection that asks nothing more is closed after the time of keep-alive."""
    async with serving(echo, ConnectionLimits(head_seconds=0.2, idle_seconds=0.1)) as (listener, _):
        reader, writer = await connect(listener)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        answer = await asyncio.wait_for(reader.read(), 10)
        assert answer.count(b"HTTP/1.1 ") == 1
        assert b"connection: close" not in answer
        writer.close()


async def test_a_body_is_not_read_ahead():
    """While the app works on something else, no more of a body is taken in than fits: the client has to wait."""
    may_read = asyncio.Event()

    async def slow(request: HttpRequest) -> Answer:
        await may_read.wait()
        held = request.unread_bytes
        size = len((await echo(request)).body)
        return Answer(200, b"%d %d" % (held, size), ())

    async with serving(slow, ConnectionLimits()) as (listener, _):
        reader, writer = await connect(listener)
        size = 32 << 20
        writer.write(b"POST / HTTP/1.1\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % size + bytes(size))
        for _ in range(50):
            await asyncio.sleep(0.005)
        may_read.set()
        held, received = map(int, split_answer(await asyncio.wait_for(reader.read(), 30))[2].split())
        assert held < 1 << 20
        assert received == size
        writer.close()


async def test_requests_of_one_connection_are_answered_in_order():
    """Many that come at once, some with bodies: one at a time, each with its own answer."""
    running = 0

    async def one_at_a_time(request: HttpRequest) -> Answer:
        nonlocal running
        running += 1
        assert running == 1
        await asyncio.sleep(0)
        answer = await echo(request)
        running -= 1
        return Answer(200, request.path.encode() + b"=" + answer.body, ())

    async with serving(one_at_a_time, ConnectionLimits()) as (listener, _):
        reader, writer = await connect(listener)
        for number in range(300):
            body = b"x" * (number % 7)
            writer.write(b"POST /%d HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (number, len(body), body))
        writer.write(b"GET /last HTTP/1.0\r\n\r\n")
        answers = answers_of(await asyncio.wait_for(reader.read(), 20))
        writer.close()
    assert [each.rpartition(b"\r\n")[2] for each in answers] == [
        *(b"/%d=%s" % (number, b"x" * (number % 7)) for number in range(300)),
        b"/last=",
    ]


async def test_the_shape_of_an_answer():
    """A date, a length, no body for HEAD, and the end of the connection where the request or the answer says so."""

    async def refuse(request: HttpRequest) -> Answer:
        request.id = "id-1"
        return Answer(413, b"no", ((b"a", b"b"),), is_last=True)

    async with serving(refuse) as (listener, _):
        reader, writer = await connect(listener)
        writer.write(b"HEAD http://h.example HTTP/1.1\r\n\r\n" * 2)
        status, headers, body = split_answer(await asyncio.wait_for(reader.read(), 10))
        writer.close()
    date = email.utils.parsedate_to_datetime(headers.pop("date"))
    assert abs(time.time() - date.timestamp()) < 60
    assert (status, body) == (413, b"")
    assert headers == {"a": "b", "content-length": "2", "x-request-id": "id-1", "connection": "close"}


async def test_a_fault_of_the_app_ends_the_connection(caplog):
    """No client waits for an answer that can't come."""

    async def fail(_request: HttpRequest) -> Answer:
        raise RuntimeError

    async with serving(fail) as (listener, _):
        reader, writer = await connect(listener)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        with suppress(OSError):
            assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()
