"""When a paused destination is asked, with an empty request, whether it is well again. Pure.

An empty request (`"data": []`) records nothing: Meta looks at the token and the dataset first, then says that `data`
must not be empty.
"""

from collections.abc import Mapping
from datetime import timedelta

from signalpost.model.delivery import PauseReason

_ONCE: Mapping[PauseReason, timedelta] = dict.fromkeys(
    ("token", "permission", "dataset", "api_version"), timedelta(seconds=10)
)
"""Asked one time, in case it was a slip of Meta's; then only changed settings or a person end the pause."""

_AGAIN_AND_AGAIN: Mapping[PauseReason, timedelta] = {
    "blocked": timedelta(hours=1),
    "clock_skew": timedelta(minutes=1),
}

# An empty request tells nothing of data that is refused: `systemic_rejection` and `unknown_error` have no probe.

PROBE_UNANSWERED_DELAY = timedelta(seconds=30)
"""When the probe itself gets no answer it has told nothing, and does not count."""


def find_probe_delay(reason: PauseReason, probes_made: int) -> timedelta | None:
    """How long to wait for the next probe of a pause; None when there is none."""
    if reason in _ONCE:
        return _ONCE[reason] if probes_made == 0 else None
    return _AGAIN_AND_AGAIN.get(reason)
