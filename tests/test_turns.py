"""Whoever has much to do gives way in time, and leaves the loop to others while it rests."""

from signalpost.turns import Turn
from tests.event_loop import count_turns


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
    turns_without, _ = await count_turns(Turn().give_way())
    turns_with, _ = await count_turns(Turn(rest_seconds=0.02).give_way())
    assert turns_without <= 2 < turns_with
