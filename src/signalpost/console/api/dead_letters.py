"""Dead letters: look at what was rejected, let it wait again, or discard it; by id or by filter."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import apsw
from fastapi import APIRouter, HTTPException, Path, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from signalpost.console.access import Admin, Viewer
from signalpost.console.parts import Parts
from signalpost.mapping.fixes import REASON_FIXES
from signalpost.model.dead_letters import DeadLetter, DeadLetterFilter
from signalpost.model.ids import DestinationId, SourceId
from signalpost.model.results import REASONS
from signalpost.queue.interface import Queue
from signalpost.store.audit import Actor, record_change

router = APIRouter(prefix="/api/dead-letters", tags=["dead letters"])

Id = Annotated[int, Field(ge=1, le=2**63 - 1)]

_SENTENCES: Mapping[str, str] = {reason: text.sentence for reason, text in REASONS.items()}
_FIXES: Mapping[str, str] = {reason: fix for reason, fix in REASON_FIXES.items()}  # noqa: C416 - as plain texts

TOLD: Mapping[str, str] = {
    "event_too_old": "older than Meta takes (7 days; 62 days for physical_store)",
    "not_requeueable": "rejected by mapping or damaged on the disk: send the corrected call with a new messageId",
    "dataset_missing": "the destination names no dataset for it; fill it in first, with the gateway running",
    "unknown": "not there (any more)",
}
"""Why a dead letter can't wait again, in words."""


class Filter(BaseModel):
    """Which dead letters are meant: those that match all that is given; `since` <= rejected_at < `until`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    destination: str | None = Field(None, max_length=200)
    source: str | None = Field(None, max_length=200)
    code: str | None = Field(None, max_length=200, description="The family, such as 400 or MESSAGE_REJECTED.")
    reason: str | None = Field(None, max_length=200, description="The exact rule, or Meta's code/subcode.")
    event_name: str | None = Field(None, max_length=200)
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None

    def build(self) -> DeadLetterFilter:
        """The queue's form of it."""
        return DeadLetterFilter(
            destination_id=DestinationId(self.destination) if self.destination else None,
            source_id=SourceId(self.source) if self.source else None,
            code=self.code,
            reason=self.reason,
            event_name=self.event_name,
            since=self.since,
            until=self.until,
        )


class PageOrder(Filter):
    """A filter, and which page of what matches. `beyond_id`: the last id of the page before."""

    beyond_id: Id | None = None
    limit: int = Field(100, ge=1, le=1_000)


class DeadLetterSummary(BaseModel):
    """One rejected event. detail: what Meta said, or what mapping says about the reason."""

    id: int
    rejected_at: datetime
    source: str
    destination: str
    dataset_id: str | None
    event_name: str
    event_id: str
    message_id: str
    event_time: datetime | None
    code: str
    reason: str
    detail: str
    fbtrace_id: str | None
    attempts: int
    is_damaged: bool


class DeadLetterFull(DeadLetterSummary):
    """With the server event as it was sent or would have been, personal data hashed; null when there is none.

    fix: what to do about it.
    """

    payload: dict[str, Any] | None
    fix: str


class DeadLetterPage(BaseModel):
    """The newest first; `next_beyond_id` continues, null at the end."""

    dead_letters: list[DeadLetterSummary]
    next_beyond_id: int | None


class Group(BaseModel):
    """Dead letters of one destination that ended for the same reason."""

    destination: str
    code: str
    reason: str
    detail: str
    count: int
    last_at: datetime


class Selection(BaseModel):
    """Either ids or a filter; an empty filter means all. `dry_run` only tells what would happen."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ids: list[Id] | None = Field(None, max_length=10_000)
    filter: Filter | None = None
    dry_run: bool = False

    @model_validator(mode="after")
    def _check_one(self) -> "Selection":
        if (self.ids is None) == (self.filter is None):
            msg = "give either ids or filter"
            raise ValueError(msg)
        return self

    def build(self) -> list[int] | DeadLetterFilter:
        """The queue's form of it."""
        return self.filter.build() if self.filter is not None else list(self.ids or ())

    @property
    def subject(self) -> str:
        """What the audit log files it under: the destination, when one is named."""
        return (self.filter.destination if self.filter is not None else None) or "dead letters"

    def describe(self) -> dict[str, Any]:
        """What was chosen, for the audit log; of many ids the first hundred."""
        if self.filter is not None:
            return {"filter": self.filter.model_dump(mode="json", exclude_none=True)}
        return {"ids": (self.ids or [])[:100]}


class Refused(BaseModel):
    """Dead letters that stay, and why."""

    reason: str
    count: int
    message: str


class RequeueAnswer(BaseModel):
    """requeued: they wait again with the same payload and event_id (with `dry_run`: they would)."""

    dry_run: bool
    requeued: int
    refused: list[Refused]


class DiscardAnswer(BaseModel):
    """discarded: gone for good; the ledger still counts them as rejected (with `dry_run`: they would be)."""

    dry_run: bool
    discarded: int


async def list_page(queue: Queue, where: Filter, beyond_id: int | None, limit: int) -> DeadLetterPage:
    """One page of those that match, the newest first."""
    found = await queue.browse_dead_letters(where.build(), beyond_id=beyond_id, limit=limit, newest_first=True)
    summaries = [DeadLetterSummary(**_describe(letter)) for letter in found]
    return DeadLetterPage(dead_letters=summaries, next_beyond_id=found[-1].id if len(found) == limit else None)


async def list_groups(queue: Queue, where: Filter) -> list[Group]:
    """How many match, by destination and reason, the largest group first."""
    return [
        Group(
            destination=group.destination_id,
            code=group.code,
            reason=group.reason,
            detail=_explain(group.reason),
            count=group.count,
            last_at=group.last_at,
        )
        for group in await queue.count_dead_letters(where.build())
    ]


async def find_one(queue: Queue, dead_letter_id: int) -> DeadLetterFull | None:
    """One with its payload, or None."""
    for letter in await queue.read_dead_letters([dead_letter_id]):
        payload = json.loads(letter.payload) if letter.payload else None
        return DeadLetterFull(**_describe(letter), payload=payload, fix=_find_fix(letter))
    return None


async def requeue_selected(queue: Queue, selection: Selection) -> RequeueAnswer:
    """Let them wait again, as far as they may."""
    report = await queue.requeue(selection.build(), dry_run=selection.dry_run)
    refused = [
        Refused(reason=reason, count=count, message=TOLD.get(reason, reason))
        for reason, count in report.refused.items()
    ]
    return RequeueAnswer(dry_run=selection.dry_run, requeued=report.requeued, refused=refused)


async def discard_selected(queue: Queue, selection: Selection) -> DiscardAnswer:
    """Delete them."""
    discarded = await queue.discard(selection.build(), dry_run=selection.dry_run)
    return DiscardAnswer(dry_run=selection.dry_run, discarded=discarded)


def record_decision(
    connection: apsw.Connection,
    actor: Actor,
    decision: Literal["requeued", "discarded"],
    selection: Selection,
    count: int,
    now: datetime,
) -> None:
    """Add the row of the audit log. The queue is another file, so it comes after what it tells of."""
    after = {decision: count, **selection.describe()}
    record_change(connection, actor, f"dead_letters.{decision}", selection.subject, now=now, after=after)


@router.get("", summary="Dead letters, the newest first")
async def browse(parts: Parts, _: Viewer, order: Annotated[PageOrder, Query()]) -> DeadLetterPage:
    """Without payloads; `/api/dead-letters/{id}` has it."""
    return await list_page(parts.queue, order, order.beyond_id, order.limit)


@router.get("/groups", summary="How many dead letters there are of each destination and reason")
async def count(parts: Parts, _: Viewer, where: Annotated[Filter, Query()]) -> list[Group]:
    """The largest group first."""
    return await list_groups(parts.queue, where)


@router.get("/{dead_letter_id}", summary="One dead letter with its payload")
async def show(
    parts: Parts, caller: Viewer, dead_letter_id: Annotated[int, Path(ge=1, le=2**63 - 1)]
) -> DeadLetterFull:
    """The payload is the server event: personal data in it is hashed, and what stays in clear is masked for viewers."""
    found = await find_one(parts.queue, dead_letter_id)
    if found is None:
        raise HTTPException(404, f"there is no dead letter {dead_letter_id}; it may have been requeued or discarded")
    if found.payload is not None:
        found.payload = caller.see(found.payload)
    return found


@router.post("/requeue", summary="Let dead letters wait again")
async def requeue(parts: Parts, caller: Admin, selection: Selection) -> RequeueAnswer:
    """Those that can't are refused one by one, with the reason; asking twice changes nothing more."""
    answer = await requeue_selected(parts.queue, selection)
    if answer.requeued and not selection.dry_run:
        await parts.store.write(
            lambda connection: record_decision(
                connection, caller.actor, "requeued", selection, answer.requeued, parts.now()
            )
        )
    return answer


@router.post("/discard", summary="Delete dead letters for good")
async def discard(parts: Parts, caller: Admin, selection: Selection) -> DiscardAnswer:
    """The ledger still counts them as rejected."""
    answer = await discard_selected(parts.queue, selection)
    if answer.discarded and not selection.dry_run:
        await parts.store.write(
            lambda connection: record_decision(
                connection, caller.actor, "discarded", selection, answer.discarded, parts.now()
            )
        )
    return answer


def _describe(letter: DeadLetter) -> dict[str, Any]:
    event_time = datetime.fromtimestamp(letter.event_time, UTC) if letter.event_time else None
    return {
        "id": letter.id,
        "rejected_at": letter.rejected_at,
        "source": letter.source_id,
        "destination": letter.destination_id,
        "dataset_id": letter.dataset_id,
        "event_name": letter.event_name,
        "event_id": letter.event_id,
        "message_id": letter.message_id,
        "event_time": event_time,
        "code": letter.code,
        "reason": letter.reason,
        "detail": letter.detail or _explain(letter.reason),
        "fbtrace_id": letter.fbtrace_id,
        "attempts": letter.attempts,
        "is_damaged": letter.is_damaged,
    }


def _explain(reason: str) -> str:
    return _SENTENCES.get(reason, "")


def _find_fix(letter: DeadLetter) -> str:
    if letter.is_damaged:
        return "The stored event is damaged and can't be sent: send the call again with a new messageId."
    return _FIXES.get(letter.reason, "Mend what Meta objects to, then requeue it; or discard it.")
