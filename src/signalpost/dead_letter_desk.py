"""Dead letters from the command line: through the gateway that runs on the folder, or with its lock when none does.

So there is never a second writer, and an answer reads the same either way.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Protocol

from pydantic import TypeAdapter

from signalpost.console.api.dead_letters import (
    DeadLetterFull,
    DeadLetterPage,
    DiscardAnswer,
    Filter,
    Group,
    RequeueAnswer,
    Selection,
    discard_selected,
    find_one,
    list_groups,
    list_page,
    record_decision,
    requeue_selected,
)
from signalpost.control_client import ControlClient, ControlRefused, GatewayNotRunning, control_client
from signalpost.data_folder import AlreadyRunning, DataFolder
from signalpost.queue.sqlite import SqliteQueue
from signalpost.store.audit import Actor
from signalpost.store.database import change_unserved

_GROUPS = TypeAdapter(list[Group])


class DeadLetterDesk(Protocol):
    """Looks at dead letters and decides about them. `is_running`: whether a gateway sends what is requeued at once."""

    is_running: bool

    async def list_page(self, where: Filter, limit: int) -> DeadLetterPage: ...
    async def list_groups(self, where: Filter) -> list[Group]: ...
    async def find(self, dead_letter_id: int) -> DeadLetterFull | None: ...
    async def requeue(self, selection: Selection) -> RequeueAnswer: ...
    async def discard(self, selection: Selection) -> DiscardAnswer: ...


class _RemoteDesk:
    is_running = True

    def __init__(self, client: ControlClient) -> None:
        self._client = client

    async def list_page(self, where: Filter, limit: int) -> DeadLetterPage:
        query = {**_build_query(where), "limit": str(limit)}
        return DeadLetterPage.model_validate(await self._client.get("/api/dead-letters", query))

    async def list_groups(self, where: Filter) -> list[Group]:
        return _GROUPS.validate_python(await self._client.get("/api/dead-letters/groups", _build_query(where)))

    async def find(self, dead_letter_id: int) -> DeadLetterFull | None:
        try:
            found = await self._client.get(f"/api/dead-letters/{dead_letter_id}")
        except ControlRefused as refusal:
            if refusal.status == 404:
                return None
            raise
        return DeadLetterFull.model_validate(found)

    async def requeue(self, selection: Selection) -> RequeueAnswer:
        answer = await self._client.post("/api/dead-letters/requeue", selection.model_dump(mode="json"))
        return RequeueAnswer.model_validate(answer)

    async def discard(self, selection: Selection) -> DiscardAnswer:
        answer = await self._client.post("/api/dead-letters/discard", selection.model_dump(mode="json"))
        return DiscardAnswer.model_validate(answer)


class _LocalDesk:
    is_running = False

    def __init__(self, queue: SqliteQueue, folder: Path) -> None:
        self._queue = queue
        self._folder = folder

    async def list_page(self, where: Filter, limit: int) -> DeadLetterPage:
        return await list_page(self._queue, where, None, limit)

    async def list_groups(self, where: Filter) -> list[Group]:
        return await list_groups(self._queue, where)

    async def find(self, dead_letter_id: int) -> DeadLetterFull | None:
        return await find_one(self._queue, dead_letter_id)

    async def requeue(self, selection: Selection) -> RequeueAnswer:
        answer = await requeue_selected(self._queue, selection)
        self._record("requeued", selection, answer.requeued)
        return answer

    async def discard(self, selection: Selection) -> DiscardAnswer:
        answer = await discard_selected(self._queue, selection)
        self._record("discarded", selection, answer.discarded)
        return answer

    def _record(self, decision: Literal["requeued", "discarded"], selection: Selection, count: int) -> None:
        if count and not selection.dry_run:
            actor, now = Actor("command line"), datetime.now(UTC)
            change_unserved(self._folder, lambda c: record_decision(c, actor, decision, selection, count, now))


@asynccontextmanager
async def open_desk(data_dir: Path) -> AsyncIterator[DeadLetterDesk]:
    """The desk of a data folder.

    Raises AlreadyRunning when another process holds the folder and does not answer, ControlRefused when it refuses.
    """
    try:
        with DataFolder(data_dir) as folder:
            queue = SqliteQueue.open(folder.path)
            try:
                yield _LocalDesk(queue, folder.path)
            finally:
                await queue.close()
    except AlreadyRunning as held:
        try:
            async with control_client(data_dir) as client:
                yield _RemoteDesk(client)
        except GatewayNotRunning:
            raise held from None


def _build_query(where: Filter) -> dict[str, str]:
    return {key: str(value) for key, value in where.model_dump(mode="json", exclude_none=True).items()}
