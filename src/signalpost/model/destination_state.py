"""How delivery to one destination stands: what console, doctor and metrics show."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from signalpost.model.delivery import PauseReason
from signalpost.model.ids import DestinationId


@dataclass(frozen=True, slots=True)
class Pause:
    """Why nothing is sent to a destination, and until when.

    detail: what Meta said. next_probe_at: None when only changed settings or a person end the pause.
    """

    reason: PauseReason
    detail: str
    since: datetime
    next_probe_at: datetime | None


@dataclass(frozen=True, slots=True)
class Damage:
    """What damaged pages of the queue's file keep from a destination.

    out_of_reach: events that can't be read, or whose end can't be noted. is_blind: what waits can't even be found.
    """

    out_of_reach: int = 0
    is_blind: bool = False

    @property
    def human(self) -> str:
        """In a sentence."""
        if self.is_blind:
            return "The queue's file is damaged: what waits can't be found, so nothing is delivered."
        if not self.out_of_reach:
            return "The queue's file is damaged: what is over can't all be deleted. Everything is delivered."
        return (
            f"The queue's file is damaged: {self.out_of_reach:,} events can't be read or settled; the others are sent."
        )


DAMAGE_FIX = (
    "Stop the gateway, let `signalpost recover queue.db new.db` save what is intact, put new.db in place of queue.db "
    "(and delete queue.db-wal), then start again."
)


@dataclass(frozen=True, slots=True)
class DestinationState:
    """How delivery to one destination stands at this moment; nothing of it outlives the process.

    rests_until, rests_because: a wait that ends by itself, after a failure or because Meta asked for it.
    is_breaker_open: Meta was out of reach several times in a row; one batch at a time is tried, seconds apart.
    usage: the highest share of Meta's rate limits that its last answer called used up; 1.0 is all of it.
    events_per_second: what the pace allows now; None when nothing limits it.
    suspects: events that were in a refused request and are not settled yet.
    damage: None while all that waits could be read so far.
    last_outcome: "accepted", "unclear", "throttled", "unavailable", "unauthorized" or "rejected"; "" before the first.
    """

    destination_id: DestinationId
    pause: Pause | None
    rests_until: datetime | None
    rests_because: str
    is_breaker_open: bool
    consecutive_failures: int
    usage: float | None
    events_per_second: float | None
    batches_in_flight: int
    suspects: int
    last_outcome: str
    last_detail: str
    last_answer_at: datetime | None
    damage: Damage | None = None


class PauseText(NamedTuple):
    """What a pause means, and what to do."""

    human: str
    fix: str


PAUSE_TEXTS: Mapping[PauseReason, PauseText] = {
    "token": PauseText(
        "Meta does not accept the access token any more; the events wait.",
        "Make a new system-user token in Meta's Events Manager and put it in place of the old one. When Meta says "
        "104, compare the app secret too.",
    ),
    "permission": PauseText(
        "The access token is valid but may not send events to this dataset; the events wait.",
        "In Meta's Business settings, give the system user access to the dataset, then resume the destination.",
    ),
    "dataset": PauseText(
        "Meta does not know this dataset, or the token may not see it; the events wait.",
        "Compare pixel_id with the dataset id in Meta's Events Manager, and the token's business with the dataset's.",
    ),
    "api_version": PauseText(
        "The Graph API version has ended; the events wait.",
        "Set meta.api_version (or the destination's api_version) to a current version.",
    ),
    "blocked": PauseText(
        "Meta has blocked the account for its policies; the events wait, and Meta is asked again every hour.",
        "Look into Meta's Business Support; nothing here can lift the block.",
    ),
    "clock_skew": PauseText(
        "This machine's clock and Meta's are more than five minutes apart, so no age can be judged; the events wait.",
        "Correct the clock (NTP). Delivery goes on by itself within a minute.",
    ),
    "systemic_rejection": PauseText(
        "Meta refuses nearly everything that is sent, so the fault is hardly in the single events; the events wait.",
        "Read what Meta says, mend the settings, and resume the destination.",
    ),
    "unknown_error": PauseText(
        "Meta answers with something that no document describes; the events wait.",
        "Read what Meta says; when it is settled, resume the destination.",
    ),
}
