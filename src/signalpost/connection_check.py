"""Whether Meta would take the events of a destination: its token, and its access to each dataset.

Meta is asked with a request without events: it looks at the token and the dataset first, and only then says that `data`
must not be empty. So nothing is recorded.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

from signalpost.catalog import Catalog
from signalpost.mapping.destinations.destination_type import Destination
from signalpost.meta.response import PROOF_PARAMETER
from signalpost.model.check import Check
from signalpost.model.delivery import (
    Accepted,
    Answer,
    Rejected,
    Target,
    Throttled,
    Unauthorized,
    Unavailable,
    Unclear,
)
from signalpost.model.destination_state import PAUSE_TEXTS

Probe = Callable[[Target], Awaitable[Answer]]

_PROVE = (
    "Set the destination's app_secret to the secret of the Meta app that the token belongs to (App settings, Basic); "
    "or switch off Require app secret there (Advanced)."
)
_SEND_ONE = "Send an event from the console's Event Tester: Meta's answer to it says more."


async def check_connection(
    destination: Destination, catalog: Catalog, probe: Probe
) -> tuple[list[Check], datetime | None]:
    """The token, and every dataset of a destination; and what Meta's clock said in its latest answer."""
    name = f"destination {destination.name}"
    settings = destination.settings
    if settings.access_token is None:
        fix = "Set its access_token or access_token_file to a system user's token, or connect it: `signalpost connect`."
        return [Check(name, "broken", "has no access token", fix)], None
    if not settings.dataset_ids:
        fix = "Name its dataset (pixel_id, or the event sets); Meta's Events Manager shows the ids."
        return [Check(name, "broken", "names no dataset, so every event is rejected", fix)], None
    targets = [catalog.find_target(destination.id, dataset) for dataset in settings.dataset_ids]
    answers = await asyncio.gather(*(probe(target) for target in targets if target is not None))
    checks = [
        _judge(f"{name}, dataset {dataset}", answer)
        for dataset, answer in zip(settings.dataset_ids, answers, strict=True)
    ]
    # Whoever else answers in Meta's place may have any clock.
    times = [answer.answered_at for answer in answers if not isinstance(answer.outcome, Unavailable)]
    return checks, max((moment for moment in times if moment is not None), default=None)


def _judge(name: str, answer: Answer) -> Check:
    match answer.outcome:
        case Accepted():
            return Check(name, "ok", "Meta takes the token and knows the dataset")
        case Unauthorized(_, detail) if PROOF_PARAMETER in detail:
            return Check(
                name, "broken", f"the token's app demands a proof with each request. Meta says: {detail}", _PROVE
            )
        case Unauthorized(reason, detail):
            text = PAUSE_TEXTS[reason]
            return Check(name, "broken", f"{text.human} Meta says: {detail}", text.fix)
        case Unavailable(detail):
            fix = "Look at the network, the name server and meta.base_url. Events wait, and are tried again."
            return Check(name, "broken", f"Meta is out of reach: {detail}", fix)
        case Throttled(_, detail):
            return Check(name, "warning", f"Meta asks to slow down: {detail}", "Nothing; delivery waits by itself.")
        case Rejected(_, detail):
            return Check(name, "warning", f"Meta refuses more than that the request is empty: {detail}", _SEND_ONE)
        case Unclear():
            return Check(name, "warning", "Meta counts events in a request that has none", _SEND_ONE)
