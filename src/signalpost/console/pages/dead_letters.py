"""Dead letters: find what was rejected, look at it, let it wait again or discard it; counted before and after."""

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import Response
from pydantic import AwareDatetime, BaseModel, Field

from signalpost.console.access import Admin, Caller, Viewer
from signalpost.console.api.dead_letters import TOLD
from signalpost.console.delivery_view import explain
from signalpost.console.parts import ConsoleParts, Parts
from signalpost.console.rendering import redirect, render
from signalpost.model.dead_letters import DeadLetter, DeadLetterFilter
from signalpost.model.ids import DestinationId
from signalpost.store.audit import record_change

router = APIRouter()

ROWS: Final = 50
WITHIN: Final[Mapping[str, timedelta]] = {
    "1h": timedelta(hours=1),
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
}
Id = Annotated[int, Field(ge=1, le=2**63 - 1)]


class Search(BaseModel):
    """The fields of the search; "" is any. within: the latest hour, day or week."""

    destination: str = Field("", max_length=200)
    code: str = Field("", max_length=200)
    reason: str = Field("", max_length=200)
    event_name: str = Field("", max_length=200)
    within: Literal["", "1h", "24h", "7d"] = ""

    @property
    def given(self) -> dict[str, str]:
        """What narrows the search, for addresses and the audit log."""
        return {name: value for name, value in self.model_dump(include=set(Search.model_fields)).items() if value}


class Chosen(Search):
    """What a change is for: the ticked ids, or with `everything` whatever matches and was rejected before `until`."""

    action: Literal["requeue", "discard"]
    ids: list[Id] = Field([], max_length=1_000)
    everything: bool = False
    until: AwareDatetime | None = None


@router.get("/dead-letters")
async def show_dead_letters(
    request: Request,
    parts: Parts,
    caller: Viewer,
    search: Annotated[Search, Query()],
    beyond_id: Annotated[Id | None, Query()] = None,
) -> Response:
    """The groups, and those that match, the newest first."""
    where = _build_filter(parts, search)
    groups = await parts.queue.count_dead_letters(where)
    found = await parts.queue.browse_dead_letters(where, beyond_id=beyond_id, limit=ROWS + 1, newest_first=True)
    return render(
        request,
        "dead_letters.html",
        caller=caller,
        search=search,
        groups=[{"counted": group, "meaning": explain(group.code, group.reason)[0]} for group in groups],
        total=sum(group.count for group in groups),
        destination_options=[("", "Any"), *((entry.name, entry.name) for entry in parts.workspace.destinations)],
        letters=describe_samples(found[:ROWS], caller),
        older=found[ROWS - 1].id if len(found) > ROWS else None,
        beyond_id=beyond_id,
    )


@router.post("/dead-letters/preview")
async def preview(request: Request, parts: Parts, caller: Admin, chosen: Annotated[Chosen, Form()]) -> Response:
    """How many a change is for, and how many of them it would refuse, before it is made."""
    if not chosen.everything and not chosen.ids:
        return redirect(request, "/dead-letters", said="Tick the dead letters that you mean.", kind="bad")
    chosen = chosen.model_copy(update={"until": chosen.until or parts.now()})
    count, refused = await _apply(parts, chosen, dry_run=True)
    return render(
        request, "dead_letters_preview.html", caller=caller, chosen=chosen, count=count, refused=_tell_refused(refused)
    )


@router.post("/dead-letters/change")
async def change(request: Request, parts: Parts, caller: Admin, chosen: Annotated[Chosen, Form()]) -> Response:
    """Requeue or discard, and tell what came of it."""
    count, refused = await _apply(parts, chosen, dry_run=False)
    await _record(parts, caller, chosen, count, refused)
    if chosen.action == "discard":
        return redirect(request, "/dead-letters", said=f"{count:,} discarded. The ledger counts them as rejected.")
    said = f"{count:,} requeued: same payload, same event_id, so Meta counts none twice."
    for reason in _tell_refused(refused):
        said += f" {reason['count']:,} stay: {reason['words']}."
    return redirect(request, "/dead-letters", said=said, kind="good" if count else "bad")


def describe_samples(letters: Sequence[DeadLetter], caller: Caller) -> list[dict[str, Any]]:
    """Each with its payload as this caller may see it, and with what its reason means and asks for."""
    rows = []
    for letter in letters:
        meaning, fix = explain(letter.code, letter.reason)
        payload = caller.see(json.loads(letter.payload)) if letter.payload and not letter.is_damaged else None
        rows.append({"letter": letter, "payload": payload, "meaning": meaning, "fix": fix})
    return rows


def _build_filter(parts: ConsoleParts, search: Search) -> DeadLetterFilter:
    return DeadLetterFilter(
        destination_id=DestinationId(search.destination) if search.destination else None,
        code=search.code or None,
        reason=search.reason or None,
        event_name=search.event_name or None,
        since=parts.now() - WITHIN[search.within] if search.within else None,
        until=search.until if isinstance(search, Chosen) else None,
    )


async def _apply(parts: ConsoleParts, chosen: Chosen, *, dry_run: bool) -> tuple[int, Mapping[str, int]]:
    which = _build_filter(parts, chosen) if chosen.everything else chosen.ids
    if chosen.action == "discard":
        return await parts.queue.discard(which, dry_run=dry_run), {}
    report = await parts.queue.requeue(which, dry_run=dry_run)
    return report.requeued, report.refused


async def _record(parts: ConsoleParts, caller: Caller, chosen: Chosen, count: int, refused: Mapping[str, int]) -> None:
    after = {
        "count": count,
        "refused": dict(refused),
        "chosen": chosen.given if chosen.everything else {"ids": chosen.ids},
    }
    action, now = f"dead_letters.{chosen.action}ed", parts.now()
    await parts.store.write(
        lambda connection: record_change(
            connection, caller.actor, action, chosen.destination or "dead letters", now=now, after=after
        )
    )


def _tell_refused(refused: Mapping[str, int]) -> list[dict[str, Any]]:
    return [{"reason": reason, "count": count, "words": TOLD.get(reason, reason)} for reason, count in refused.items()]
