"""What the event loop lets others do meanwhile."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def count_turns(work: Coroutine[Any, Any, T]) -> tuple[int, T]:
    """How often others had their turn while something was done, and what came of it."""
    task = asyncio.create_task(work)
    turns = 0
    while not task.done():
        turns += 1
        await asyncio.sleep(0)
    return turns, await task
