"""The body of `signalpost send`: calls from a file, sent to a tracking API as an SDK would send them."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import aiohttp
import msgspec

from signalpost.catalog import WRITE_KEY_SHAPE
from signalpost.ingest.decode import Limits, RequestFault, decode_call
from signalpost.model.errors import SignalpostError

CALLS_PER_REQUEST = 100
TRIES = 10
_DEFAULT_WAIT_SECONDS = 5
_LONGEST_WAIT_SECONDS = 60
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

Shape = TypeVar("Shape")


class SendFailed(SignalpostError):
    """The file can't be read, or the gateway refuses the requests or can't be reached."""


class CallsToSend(msgspec.Struct, frozen=True):
    """The calls of a file in their order, and the context and integrations that a batch object gives to all of them.

    A batch's sentAt is left out: it belongs to the first sending, and would move old calls to now.
    """

    calls: Sequence[msgspec.Raw]
    shared: Mapping[str, msgspec.Raw] = {}


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
    message: str = "not a Segment-compatible answer"


def read_calls(file: Path) -> CallsToSend:
    """Read JSON Lines, a JSON array, or one batch object. Raises SendFailed naming what can't be read."""
    try:
        text = file.read_bytes().removeprefix(_BYTE_ORDER_MARK)
    except OSError as error:
        raise SendFailed(f"{file}: cannot be read: {error.strerror}") from None
    calls = _decode(text, list[msgspec.Raw])
    if calls is not None:
        return CallsToSend(calls)
    document = _decode(text, dict[str, msgspec.Raw])
    if document is None:
        lines = enumerate(text.splitlines(), start=1)
        return CallsToSend([_check_line(file, number, line) for number, line in lines if line.strip()])
    if "batch" not in document:
        return CallsToSend([msgspec.Raw(text)])
    calls = _decode(document["batch"], list[msgspec.Raw])
    if calls is None:
        raise SendFailed(f"{file}: batch must be an array of calls")
    return CallsToSend(calls, {name: document[name] for name in ("context", "integrations") if name in document})


def _decode(text: bytes | msgspec.Raw, shape: type[Shape]) -> Shape | None:
    try:
        return msgspec.json.decode(text, type=shape)
    except (msgspec.DecodeError, RecursionError):
        return None


def _check_line(file: Path, number: int, line: bytes) -> msgspec.Raw:
    fault = decode_call(line, Limits())
    if isinstance(fault, RequestFault):
        raise SendFailed(f"{file}: line {number}{fault.message.removeprefix('body')}")
    return msgspec.Raw(line)


async def send_calls(file: CallsToSend, url: str, write_key: str) -> AsyncIterator[SentPart]:
    """Send the calls in batches; yields after each. 429 and 503 are waited out as the gateway asks."""
    if not WRITE_KEY_SHAPE.fullmatch(write_key):
        raise SendFailed("the write key must be 16 to 64 letters, digits, - or _")
    headers = {
        "Authorization": aiohttp.encode_basic_auth(write_key),
        "Content-Type": "application/json",
    }
    async with aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=30)) as session:
        for start in range(0, len(file.calls), CALLS_PER_REQUEST):
            calls = file.calls[start : start + CALLS_PER_REQUEST]
            body = msgspec.json.encode({**file.shared, "batch": calls})
            answer = await _send_until_taken(session, f"{url.rstrip('/')}/v1/batch", body)
            if answer.accepted + answer.duplicates + len(answer.rejected) != len(calls):
                raise SendFailed(f"{url} answered 200 but did not say what became of the calls; is it a gateway?")
            rejected = [RejectedCall(start + each.index + 1, each.code, each.message) for each in answer.rejected]
            yield SentPart(answer.accepted, answer.duplicates, rejected)


async def _send_until_taken(session: aiohttp.ClientSession, url: str, body: bytes) -> _Answer:
    for _ in range(TRIES):
        try:
            async with session.post(url, data=body) as response:
                answer = _decode(await response.read(), _Answer) or _Answer()
                if response.status == 200:
                    return answer
                if response.status not in {429, 503}:
                    raise SendFailed(f"{url} answered {response.status}: {answer.message}")
                wait = response.headers.get("Retry-After", "")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise SendFailed(f"{url}: cannot be reached ({error}); is `signalpost serve` running there?") from None
        seconds = int(wait) if wait.isdecimal() else _DEFAULT_WAIT_SECONDS
        await asyncio.sleep(min(seconds, _LONGEST_WAIT_SECONDS))
    raise SendFailed(f"{url} is still busy after {TRIES} tries; nothing more was sent")
