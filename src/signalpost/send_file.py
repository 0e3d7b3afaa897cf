"""The body of `signalpost send`: calls from a file, sent to a tracking API as an SDK would send them."""

from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from signalpost.ingest.decode import Limits, RequestFault, decode_call
from signalpost.tracking_client import SendFailed, TrackingClient

CALLS_PER_REQUEST = 100
PATIENCE_SECONDS = 300
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

Shape = TypeVar("Shape")


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


async def send_calls(
    file: CallsToSend, url: str, write_key: str, patience_seconds: float = PATIENCE_SECONDS
) -> AsyncIterator[SentPart]:
    """Send the calls in batches; yields after each. Raises SendFailed.

    patience_seconds: how long a busy gateway is waited for, batch by batch.
    """
    async with TrackingClient(url, write_key, patience_seconds) as client:
        for start in range(0, len(file.calls), CALLS_PER_REQUEST):
            calls = file.calls[start : start + CALLS_PER_REQUEST]
            body = msgspec.json.encode({**file.shared, "batch": calls})
            answer = await client.post("/v1/batch", body, len(calls))
            rejected = [RejectedCall(start + each.index + 1, each.code, each.message) for each in answer.rejected]
            yield SentPart(answer.accepted, answer.duplicates, rejected)
