"""Where an event is: what became of a call, by its messageId or its event's event_id."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict

from signalpost.console.access import Viewer
from signalpost.console.parts import Parts
from signalpost.model.ids import SourceId

router = APIRouter(prefix="/api/events", tags=["events"])


class FoundEventView(BaseModel):
    """One event of the call.

    code, reason: why it was rejected or expired. detail: what Meta or the last attempt said. due_at: not to be tried
    before then. ended_at: when it was delivered, rejected or expired. dead_letter_id: while it is a dead letter.
    """

    model_config = ConfigDict(from_attributes=True)

    source_id: str
    message_id: str
    destination_id: str
    dataset_id: str | None
    event_name: str
    event_id: str
    state: Literal["pending", "delivered", "rejected", "expired"]
    received_at: datetime
    attempts: int
    event_time: datetime | None
    code: str
    reason: str
    detail: str
    due_at: datetime | None
    ended_at: datetime | None
    fbtrace_id: str | None
    dead_letter_id: int | None
    server_event: dict[str, Any] | None
    is_damaged: bool


class FoundEventsView(BaseModel):
    """accepted_at: when calls with this messageId were accepted, as long as repeats are noticed (24 hours).

    A call that was accepted and has no event was filtered, or its events ended longer ago than they are kept.
    """

    model_config = ConfigDict(from_attributes=True)

    accepted_at: list[datetime]
    events: list[FoundEventView]


@router.get("", summary="Where the events of a call are")
async def find(
    parts: Parts,
    caller: Viewer,
    message_id: Annotated[str, Query(min_length=1, max_length=1_000, description="A messageId, or an event_id.")],
    source: Annotated[str | None, Query(max_length=200)] = None,
) -> FoundEventsView:
    """Each event that is kept, in whatever state. Personal data is hashed; what is in clear is masked for viewers."""
    found = await parts.queue.find_events(message_id, SourceId(source) if source else None)
    view = FoundEventsView.model_validate(found)
    for event in view.events:
        event.server_event = caller.see(event.server_event) if event.server_event is not None else None
    return view
