"""How delivery to each destination stands, and letting a destination that waits try again."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import AwareDatetime, BaseModel, ConfigDict

from signalpost.console.access import Admin, Caller, Viewer
from signalpost.console.parts import ConsoleParts, Parts
from signalpost.console.refusals import Refusal
from signalpost.model.delivery import PauseReason
from signalpost.model.destination_state import DAMAGE_FIX, PAUSE_TEXTS, DestinationState, Pause
from signalpost.model.ids import DestinationId
from signalpost.store.audit import record_change

router = APIRouter(prefix="/api/delivery", tags=["delivery"])


class PauseView(BaseModel):
    """Why nothing is sent. detail: what Meta said. next_probe_at: null when only a change or a person ends it."""

    reason: PauseReason
    human: str
    fix: str
    detail: str
    since: datetime
    next_probe_at: datetime | None


class DeliveryView(BaseModel):
    """Delivery to one destination at this moment.

    rests_until: a wait that ends by itself, and why. breaker_open: Meta was out of reach several times in a row.
    damage: what of the queue's file can't be read, and what to do; null when all is well.
    usage: the share of Meta's rate limit that is used up, 1.0 being all of it. events_per_second: null when unlimited.
    """

    destination: str
    pause: PauseView | None
    rests_until: datetime | None
    rests_because: str
    breaker_open: bool
    consecutive_failures: int
    usage: float | None
    events_per_second: float | None
    batches_in_flight: int
    suspects: int
    last_outcome: str
    last_detail: str
    last_answer_at: datetime | None
    damage: str | None


def describe_delivery(state: DestinationState) -> DeliveryView:
    """A state as JSON, with the words that go with a pause."""
    return DeliveryView(
        destination=state.destination_id,
        pause=_describe_pause(state.pause) if state.pause is not None else None,
        rests_until=state.rests_until,
        rests_because=state.rests_because,
        breaker_open=state.is_breaker_open,
        consecutive_failures=state.consecutive_failures,
        usage=state.usage,
        events_per_second=state.events_per_second,
        batches_in_flight=state.batches_in_flight,
        suspects=state.suspects,
        last_outcome=state.last_outcome,
        last_detail=state.last_detail,
        last_answer_at=state.last_answer_at,
        damage=f"{state.damage.human} {DAMAGE_FIX}" if state.damage is not None else None,
    )


def _describe_pause(pause: Pause) -> PauseView:
    text = PAUSE_TEXTS[pause.reason]
    return PauseView(
        reason=pause.reason,
        human=text.human,
        fix=text.fix,
        detail=pause.detail,
        since=pause.since,
        next_probe_at=pause.next_probe_at,
    )


@router.get("", summary="How delivery to each destination stands")
async def list_states(parts: Parts, _: Viewer) -> list[DeliveryView]:
    """Nothing of it outlives the process: after a start everything is tried again."""
    return [describe_delivery(state) for state in parts.list_states()]


@router.post("/{name}/resume", status_code=204, summary="Try a destination again at once")
async def resume(parts: Parts, caller: Admin, name: Annotated[str, Path(max_length=200)]) -> None:
    """Whatever holds it back: a pause, a wait that would end by itself, the time of its events' next attempt.

    If the trouble is still there, it pauses again.
    """
    if not await parts.resume(DestinationId(name)):
        raise Refusal(404, "not_found", f'There is no destination named "{name}".')
    await parts.store.write(
        lambda connection: record_change(connection, caller.actor, "destination.resumed", name, now=parts.now())
    )


class Discarding(BaseModel):
    """What is given up: all that waits and was received before `until`, or before now. `dry_run` only counts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    until: AwareDatetime | None = None
    dry_run: bool = False


class Discarded(BaseModel):
    """discarded: gone for good; the ledger counts them as rejected (with `dry_run`: they would be)."""

    dry_run: bool
    discarded: int
    until: datetime


@router.post("/{name}/discard", summary="Give up what waits for a paused destination")
async def discard(
    parts: Parts, caller: Admin, name: Annotated[str, Path(max_length=200)], discarding: Discarding
) -> Discarded:
    """For good, and without dead letters. Refused while events are being delivered to the destination."""
    return await discard_waiting(parts, caller, name, discarding)


async def discard_waiting(parts: ConsoleParts, caller: Caller, name: str, discarding: Discarding) -> Discarded:
    """Count, or give up and write it in the audit log. Raises Refusal unless the destination is paused."""
    until = discarding.until or parts.now()
    count = await parts.discard(DestinationId(name), until, dry_run=discarding.dry_run)
    if count is None:
        raise Refusal(409, "not_paused", f"{name} is not paused: what waits for it is being delivered.")
    if count and not discarding.dry_run:
        after = {"discarded": count, "received_before": until.isoformat()}
        await parts.store.write(
            lambda connection: record_change(
                connection, caller.actor, "destination.events_discarded", name, now=parts.now(), after=after
            )
        )
    return Discarded(dry_run=discarding.dry_run, discarded=count, until=until)
