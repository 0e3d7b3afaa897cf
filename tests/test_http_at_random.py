"""Requests of many shapes, broken at random, joined, sent in pieces, and cut off: what must hold for any of them."""

import asyncio
import json
import random
import re
from contextlib import suppress

import pytest

from signalpost.open_connections import ConnectionLimits
from signalpost.telemetry import Telemetry
from tests.ingest.gateway import CALL, KEY, Gateway, running_gateway

CONVERSATIONS, AT_ONCE = 400, 40
QUICK = ConnectionLimits(head_seconds=0.2, body_seconds=0.2, longest_body_seconds=0.4, idle_seconds=0.2)

BODY = json.dumps(CALL).encode()
HEAD = b"POST /v1/track HTTP/1.1\r\nHost: x\r\nX-Write-Key: %s\r\n" % KEY.encode()
LENGTH = b"Content-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
CHUNKS = b"Transfer-Encoding: chunked\r\n\r\n5;a=b\r\n%s\r\n%x\r\n%s\r\n0\r\nX: y\r\n\r\n" % (
    BODY[:5],
    len(BODY) - 5,
    BODY[5:],
)
REQUESTS = [
    HEAD + LENGTH,
    HEAD + CHUNKS,
    HEAD + b"Connection: Upgrade\r\nUpgrade: h2c\r\n" + LENGTH,
    HEAD + b"Expect: 100-continue\r\n" + LENGTH,
    HEAD + b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
    HEAD.replace(KEY.encode(), b"nobody") + b"Content-Length: 600000\r\n\r\n" + b"x" * 2_000,
    b"POST http://elsewhere/v1/b HTTP/1.1\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}",
    b"GET /v1/pixel/track?writeKey=%s&userId=u&event=e&a.b=%%c3 HTTP/1.1\r\nHost: x\r\n\r\n" % KEY.encode(),
    b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    b"HEAD /v1/projects/%s/settings HTTP/1.0\r\nHost: x\r\n\r\n" % KEY.encode(),
    b"OPTIONS /v1/t HTTP/1.1\r\nHost: x\r\nOrigin: https://shop.example\r\n\r\n",
    b"CONNECT elsewhere:443 HTTP/1.1\r\n\r\n",
]
TOKENS = [
    *(b"\r\n", b"\n", b"\r", b"\0", b" ", b":", b"0", b"\r\n\r\n", b"0\r\n\r\n", b"%", b"?", b"#", b"\xff", b"-1"),
    *(b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n", b"GET / HTTP/1.1\r\n\r\n"),
]


def build_conversation(chance: random.Random) -> bytes:
    """A few requests in a row, with up to four changes."""
    sent = b"".join(chance.choice(REQUESTS) for _ in range(chance.choice((1, 1, 2, 3, 6))))
    for _ in range(chance.choice((0, 1, 1, 2, 4))):
        place, size = chance.randrange(len(sent)), chance.choice((1, 2, 10, 50))
        before, after = sent[:place], sent[place:]
        sent = before + chance.choice(
            (chance.choice(TOKENS) + after, after[size:], chance.randbytes(2) + after[2:], after[:size] * 3 + after)
        )
    return sent


async def converse(gateway: Gateway, number: int) -> None:
    """Send it in pieces, perhaps say that nothing more will come, and read until the gateway closes."""
    chance = random.Random(number)
    sent = build_conversation(chance)
    host, port = gateway.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    answers = b""
    with suppress(OSError):
        rest = sent
        while rest:
            size = chance.choice((1, 3, 17, 200, 5_000))
            writer.write(rest[:size])
            rest = rest[size:]
            await asyncio.sleep(0)
        if chance.random() < 0.8:
            writer.write_eof()
        answers = await asyncio.wait_for(reader.read(), 30)
    writer.close()
    check_answers(answers, f"conversation {number}: {sent!r}")


def check_answers(answers: bytes, told: str) -> None:
    statuses = re.findall(rb"HTTP/1\.1 (\d{3}) ", answers)
    assert not [status for status in statuses if status[:1] == b"5"], told
    *earlier, _ = re.split(rb"(?=HTTP/1\.1 \d{3} )", answers)
    assert not [answer for answer in earlier if b"\r\nconnection: close\r\n" in answer], told


@pytest.mark.asyncio
async def test_conversations_at_random(tmp_path, monkeypatch):
    """Each ends in time, with no 5xx, with nothing behind an answer that is the last; and nothing fails inside."""
    failures: list[object] = []
    monkeypatch.setattr(Telemetry, "request_failed", lambda _, error: failures.append(error))
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
    async with running_gateway(tmp_path, connection_limits=QUICK) as gateway:
        for first in range(0, CONVERSATIONS, AT_ONCE):
            await asyncio.gather(*(converse(gateway, number) for number in range(first, first + AT_ONCE)))
        assert (await gateway.track(CALL)).status == 200
    assert failures == []
