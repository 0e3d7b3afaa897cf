"""What the pages say of a destination's standing: what a person must do something about comes first."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from signalpost.console.delivery_view import describe_standing
from signalpost.model.destination_state import Damage, DestinationState, Pause
from signalpost.model.ids import DestinationId

WELL = DestinationState(
    destination_id=DestinationId("main-pixel"),
    pause=None,
    rests_until=None,
    rests_because="",
    is_breaker_open=False,
    consecutive_failures=0,
    usage=None,
    events_per_second=None,
    batches_in_flight=0,
    suspects=0,
    last_outcome="accepted",
    last_detail="",
    last_answer_at=None,
)
PAUSE = Pause("token", "190", datetime(2026, 11, 27, tzinfo=UTC), None)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (Damage(out_of_reach=1_234), "1,234 events can't be read"),
        (Damage(is_blind=True), "nothing is delivered"),
        (Damage(), "Everything is delivered"),
    ],
)
def test_damage_is_told_with_what_to_do(damage: Damage, told: str) -> None:
    """Also while everything else is well."""
    standing = describe_standing(replace(WELL, damage=damage))
    assert (standing.tone, told in standing.sentence, "recover" in standing.fix) == ("red", True, True)


def test_a_pause_comes_before_damage() -> None:
    """Ending it is quicker, and needs its button."""
    standing = describe_standing(replace(WELL, pause=PAUSE, damage=Damage(out_of_reach=1)))
    assert (standing.word, standing.can_resume) == ("Paused", True)
    assert describe_standing(WELL).tone == "green"
