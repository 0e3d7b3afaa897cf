"""Rows become calls, calls become batches, and each batch is posted, then noted in the progress file, in this order.

Two batches are under way, and a third is built meanwhile. A crash leaves those two, 1,000 rows at most, whose fate is
not known; they are sent again with the same ids.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from itertools import islice
from operator import itemgetter
from typing import Protocol

import msgspec

from signalpost.file_import.calls import Call
from signalpost.file_import.progress import Position, Progress
from signalpost.file_import.rejects import RejectsFile
from signalpost.file_import.tables import ImportFailed, Refusal, Values
from signalpost.tracking_client import BatchTooLarge, TrackingClient

PATH = "/v1/import"
BATCH_ROWS = 500
BATCH_BYTES = 512 << 10
BATCHES_UNDER_WAY = 2
"""A crash leaves so many in doubt."""

MAX_CALL_BYTES = 32 << 10
_ROWS_A_TURN = 50

_encoder = msgspec.json.Encoder(enc_hook=str)


class Builder(Protocol):
    """Gives the call of a row."""

    def build(self, number: int, values: Values) -> Call | Refusal:
        """number: of the row, for its id and for people."""
        ...


Refused = tuple[int, Values, Refusal]


@dataclass(slots=True)
class _Batch:
    """row_count: rows of the file that are done with it, the refused and blank ones too."""

    row_count: int = 0
    calls: list[bytes] = field(default_factory=list)
    rows: list[tuple[int, Values]] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    size: int = 0


async def send_rows(
    rows: Iterator[tuple[int, Values | Refusal]],
    builder: Builder,
    client: TrackingClient,
    progress: Progress,
    rejects: RejectsFile,
) -> AsyncIterator[tuple[Position, list[Refused]]]:
    """Send all rows from the noted position on; yields after each batch what is done and what was refused in it.

    rows: each with its number, from the first row of the file.
    While the gateway writes one batch it reads the next, and a third is built here; they are noted in their order.
    """
    remaining = islice(rows, progress.position.rows, None)
    under_way: deque[tuple[_Batch, asyncio.Task[_Posted]]] = deque()
    try:
        while (batch := await _build_batch(remaining, builder)).row_count:
            if len(under_way) == BATCHES_UNDER_WAY:
                yield await _settle(*under_way[0], progress, rejects)
                under_way.popleft()
            under_way.append((batch, asyncio.create_task(_post(client, batch.calls))))
        while under_way:
            yield await _settle(*under_way[0], progress, rejects)
            under_way.popleft()
    except ImportFailed:  # the rest can't be read; what the gateway has taken is noted all the same
        for batch, posting in under_way:
            await _settle(batch, posting, progress, rejects)
        raise
    finally:
        postings = [posting for _, posting in under_way]
        for posting in postings:
            posting.cancel()
        await asyncio.gather(*postings, return_exceptions=True)
    progress.save(msgspec.structs.replace(progress.position, is_complete=True))


async def _settle(
    batch: _Batch, posting: "asyncio.Task[_Posted]", progress: Progress, rejects: RejectsFile
) -> tuple[Position, list[Refused]]:
    """Wait for the answer to the oldest batch and note it.

    First the rejects, then the position: killed in between, the rejects are cut off and written again.
    """
    posted = await posting
    refused = sorted(batch.refused + [(*batch.rows[i], refusal) for i, refusal in posted.rejected], key=itemgetter(0))
    rejects.write(refused)
    before = progress.position
    progress.save(
        Position(
            rows=before.rows + batch.row_count,
            accepted=before.accepted + len(batch.calls) - len(posted.rejected) - posted.duplicates,
            duplicates=before.duplicates + posted.duplicates,
            refused=before.refused + len(refused),
            rejects_bytes=rejects.size,
        )
    )
    return progress.position, refused


async def _build_batch(numbered: Iterator[tuple[int, Values | Refusal]], builder: Builder) -> _Batch:
    """Take rows until a batch is full; gives the loop a turn now and then, so that those before get sent."""
    batch = _Batch()
    for number, values in numbered:
        if batch.row_count % _ROWS_A_TURN == 0:
            await asyncio.sleep(0)
        batch.row_count += 1
        if isinstance(values, Refusal):
            batch.refused.append((number, values.values, values))
        elif values:
            built = builder.build(number, values)
            if isinstance(built, Refusal):
                batch.refused.append((number, values, built))
            else:
                text = _encoder.encode(built)
                if len(text) > MAX_CALL_BYTES:
                    too_large = Refusal("event_too_large", "This row makes a call of over 32 KiB; leave something out.")
                    batch.refused.append((number, values, too_large))
                else:
                    batch.calls.append(text)
                    batch.rows.append((number, values))
                    batch.size += len(text)
        if batch.row_count >= BATCH_ROWS or batch.size >= BATCH_BYTES:
            break
    return batch


@dataclass(frozen=True, slots=True)
class _Posted:
    duplicates: int = 0
    rejected: tuple[tuple[int, Refusal], ...] = ()


async def _post(client: TrackingClient, calls: list[bytes]) -> _Posted:
    """A gateway with smaller limits gets the batch in halves."""
    if not calls:
        return _Posted()
    body = b'{"batch":[' + b",".join(calls) + b"]}"
    try:
        answer = await client.post(PATH, body, len(calls))
    except BatchTooLarge:
        if len(calls) == 1:
            return _Posted(rejected=((0, Refusal("event_too_large", "The gateway takes only smaller calls.")),))
        middle = len(calls) // 2
        first, second = await _post(client, calls[:middle]), await _post(client, calls[middle:])
        moved = tuple((index + middle, refusal) for index, refusal in second.rejected)
        return _Posted(first.duplicates + second.duplicates, first.rejected + moved)
    rejected = tuple((each.index, Refusal(each.code, each.message)) for each in answer.rejected)
    return _Posted(answer.duplicates, rejected)
