"""Batches, their halves, and what is noted of them."""

import asyncio

import pytest

from signalpost.file_import.progress import Position, Progress, begin_origin
from signalpost.file_import.rejects import RejectsFile
from signalpost.file_import.sending import BATCH_ROWS, BATCHES_UNDER_WAY, send_rows
from signalpost.file_import.tables import ImportFailed, Refusal
from signalpost.tracking_client import BatchAnswer, BatchTooLarge, RejectedInBatch, SendFailed

KEY = "wk_test_0123456789abcdef"


class EveryRow:
    """Builds a call of any row, but not of a bad one."""

    def build(self, number, values):
        return Refusal("bad", "This row is bad.") if values[0] == "bad" else {"messageId": str(number)}


class Gateway:
    """Takes batches of at most `most` calls; rejects the first of each when told to; breaks after `breaks_after`."""

    def __init__(self, most=BATCH_ROWS, breaks_after=None, rejects_first=False):
        self.bodies, self.most, self.breaks_after, self.rejects_first = [], most, breaks_after, rejects_first

    async def post(self, path, body, call_count):
        if call_count > self.most:
            raise BatchTooLarge("too large")
        if self.breaks_after is not None and len(self.bodies) >= self.breaks_after:
            raise SendFailed("gone")
        self.bodies.append(body)
        rejected = (RejectedInBatch(0, "invalid_timestamp", "no"),) if self.rejects_first else ()
        return BatchAnswer(call_count - len(rejected), 0, rejected)


def open_progress(tmp_path):
    return Progress(tmp_path / "progress", begin_origin("d", KEY, "u"))


async def send(tmp_path, rows, gateway):
    with open_progress(tmp_path) as progress:
        kept = progress.position.rejects_bytes
        with RejectsFile(tmp_path / "rejects.csv", ("a",), keep_bytes=kept) as rejects:
            parts = [part async for part in send_rows(enumerate(rows, start=2), EveryRow(), gateway, progress, rejects)]
        return progress.position, parts


async def test_rows_of_every_kind_are_counted(tmp_path):
    """Blank rows are passed over; refused ones are told with their numbers, in the order of the file."""
    rows = [("x",), (), ("bad",), Refusal("wrong_width", "No."), ("x",)]
    position, parts = await send(tmp_path, rows, Gateway())
    assert (position.rows, position.accepted, position.refused, position.is_complete) == (5, 2, 2, True)
    ((_, refused),) = parts
    assert [(number, refusal.code) for number, _, refusal in refused] == [(4, "bad"), (5, "wrong_width")]


async def test_a_gateway_with_smaller_limits_gets_halves(tmp_path):
    """Every call once, and rejections keep their rows."""
    gateway = Gateway(most=100, rejects_first=True)
    position, parts = await send(tmp_path, [("x",)] * 250, gateway)
    assert len(gateway.bodies) == 4
    assert (position.accepted, position.refused) == (246, 4)
    assert [number for _, refused in parts for number, _, _ in refused] == [2, 64, 127, 189]


async def test_it_goes_on_after_the_last_batch_that_was_taken(tmp_path):
    """The batch that failed is the first of the next run."""
    rows = [("x",)] * (3 * BATCH_ROWS)
    try:
        await send(tmp_path, rows, Gateway(breaks_after=1))
    except SendFailed:
        pass
    else:
        raise AssertionError("it did not break")
    with open_progress(tmp_path) as progress:
        assert progress.position == Position(rows=BATCH_ROWS, accepted=BATCH_ROWS)
    gateway = Gateway()
    position, _ = await send(tmp_path, rows, gateway)
    assert position.accepted == 3 * BATCH_ROWS
    assert f'"messageId":"{BATCH_ROWS + 2}"'.encode() in gateway.bodies[0]


async def test_two_batches_are_under_way(tmp_path):
    """While the gateway writes one it reads the next: neither is answered before both have come."""
    both = asyncio.Barrier(2)

    class Meeting(Gateway):
        async def post(self, path, body, call_count):
            async with asyncio.timeout(10):
                await both.wait()
            return await super().post(path, body, call_count)

    gateway = Meeting()
    position, parts = await send(tmp_path, [("x",)] * (4 * BATCH_ROWS), gateway)
    assert (position.accepted, len(parts)) == (4 * BATCH_ROWS, 4)


async def test_what_was_under_way_is_sent_again(tmp_path):
    """The first of two breaks off, the second is taken: nothing is noted, and both come again with the same ids."""

    second_came = asyncio.Event()

    class Breaking(Gateway):
        async def post(self, path, body, call_count):
            if b'"messageId":"2"' in body:
                await second_came.wait()
                raise SendFailed("gone")
            second_came.set()
            return await super().post(path, body, call_count)

    breaking, gateway = Breaking(), Gateway()
    rows = [("x",)] * (BATCHES_UNDER_WAY * BATCH_ROWS)
    with pytest.raises(SendFailed):
        await send(tmp_path, rows, breaking)
    await send(tmp_path, rows, gateway)
    assert len(gateway.bodies) == BATCHES_UNDER_WAY
    assert breaking.bodies == gateway.bodies[1:]


async def test_a_stream_that_breaks_off_in_the_middle(tmp_path):
    """Standard input is read as it is sent: what went out before the broken place is noted, and not sent again."""

    def read():
        yield from [("x",)] * (BATCH_ROWS + 10)
        raise ImportFailed("broken")

    with pytest.raises(ImportFailed, match="broken"):
        await send(tmp_path, read(), Gateway())
    with open_progress(tmp_path) as progress:
        assert progress.position == Position(rows=BATCH_ROWS, accepted=BATCH_ROWS)


async def test_a_row_that_makes_too_large_a_call(tmp_path):
    """It is refused here; the gateway would refuse it too."""

    class Large:
        def build(self, number, values):
            return {"text": "x" * (33 << 10)}

    with open_progress(tmp_path) as progress, RejectsFile(tmp_path / "r", ("a",), keep_bytes=0) as rejects:
        _ = [part async for part in send_rows(enumerate([("x",)]), Large(), Gateway(), progress, rejects)]
        assert progress.position.refused == 1
