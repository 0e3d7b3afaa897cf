"""The body of `signalpost send`: calls from a file, sent to a tracking API as an SDK would send them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import aiohttp
import msgspec

from signalpost.model.errors import SignalpostError

CALLS_PER_REQUEST = 100
TRIES = 10
_DEFAULT_WAIT_SECONDS = 5


class SendFailed(SignalpostError):
    """The file can't be read, or the gateway refuses the requests or can't be reached."""


class RejectedCall(msgspec.Struct, frozen=True):
    """A call the gateway did not take, by its place in the file, counted from 1."""

    number: int
    code: str
    message: str


class SentPart(msgspec.Struct, frozen=True):
    """What became of one request's calls."""

    accepted: int
    duplicates: int
    rejected: Sequence[RejectedCall]


class _Rejected(msgspec.Struct):
    index: int
    code: str
    message: str


class _Answer(msgspec.Struct):
    accepted: int = 0
    duplicates: int = 0
    rejected: list[_Rejected] = []
    message: str = ""


def read_calls(file: Path) -> list[msgspec.Raw]:
    """Read JSON Lines, a JSON array, or one batch object. Raises SendFailed naming the line that can't be read."""
    try:
        text = file.read_bytes()
    except OSError as error:
        msg = f"{file}: cannot be read: {error.strerror}"
        raise SendFailed(msg) from None
    for whole in (list[msgspec.Raw], dict[str, msgspec.Raw]):
        try:
            document = msgspec.json.decode(text, type=whole)
        except (msgspec.DecodeError, RecursionError):
            continue
        if isinstance(document, list):
            return document
        return (
            msgspec.json.decode(document["batch"], type=list[msgspec.Raw])
            if "batch" in document
            else [msgspec.Raw(text)]
        )
    return [_read_line(file, number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]


def _read_line(file: Path, number: int, line: bytes) -> msgspec.Raw:
    try:
        msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError) as error:
        msg = f"{file}: line {number} is not valid JSON: {error}"
        raise SendFailed(msg) from None
    return msgspec.Raw(line)


async def send_calls(calls: Sequence[msgspec.Raw], url: str, write_key: str) -> AsyncIterator[SentPart]:
    """Send the calls in batches; yields after each. 429 and 503 are waited out as the gateway asks."""
    auth = aiohttp.BasicAuth(write_key, "")
    async with aiohttp.ClientSession(auth=auth, timeout=aiohttp.ClientTimeout(total=30)) as session:
        for start in range(0, len(calls), CALLS_PER_REQUEST):
            body = msgspec.json.encode({"batch": calls[start : start + CALLS_PER_REQUEST]})
            answer = await _send_until_taken(session, f"{url.rstrip('/')}/v1/batch", body)
            rejected = [RejectedCall(start + each.index + 1, each.code, each.message) for each in answer.rejected]
            yield SentPart(answer.accepted, answer.duplicates, rejected)


async def _send_until_taken(session: aiohttp.ClientSession, url: str, body: bytes) -> _Answer:
    for _ in range(TRIES):
        try:
            async with session.post(url, data=body, headers={"Content-Type": "application/json"}) as response:
                answer = _read_answer(await response.read())
                if response.status == 200:
                    return answer
                if response.status not in {429, 503}:
                    msg = f"{url} answered {response.status}: {answer.message or 'not a Segment-compatible answer'}"
                    raise SendFailed(msg)
                wait = response.headers.get("Retry-After", "")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            msg = f"{url}: cannot be reached ({error}); is `signalpost serve` running there?"
            raise SendFailed(msg) from None
        await asyncio.sleep(int(wait) if wait.isdecimal() else _DEFAULT_WAIT_SECONDS)
    msg = f"{url} is still busy after {TRIES} tries; nothing more was sent"
    raise SendFailed(msg)


def _read_answer(body: bytes) -> _Answer:
    try:
        return msgspec.json.decode(body, type=_Answer)
    except (msgspec.DecodeError, RecursionError):
        return _Answer()
