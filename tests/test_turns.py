"""Whoever has much to do gives way in time, and leaves the loop to others while it rests."""

import asyncio

from signalpost.turns import Turn


def test_a_turn_is_over_after_its_time() -> None:
    now = 0.0
    turn = Turn(lambda: now, longest_seconds=0.25)
    assert not turn.is_over
    now = 0.3
    assert turn.is_over


async def test_giving_way_begins_a_turn_anew() -> None:
    now = 0.0
    turn = Turn(lambda: now, longest_seconds=0.25)
    now = 0.3
    await turn.give_way()
    assert not turn.is_over


async def test_a_rest_gives_others_more_than_one_turn() -> None:
    """Without a rest only those go on who wait already."""

    async def count_while_giving_way(rest_seconds: float) -> int:
        count = 0

        async def go_on() -> None:
            nonlocal count
            while True:
                count += 1
                await asyncio.sleep(0)

        others = asyncio.create_task(go_on())
        await Turn(rest_seconds=rest_seconds).give_way()
        others.cancel()
        return count

    assert await count_while_giving_way(0) <= 2
    assert await count_while_giving_way(0.02) > 2
