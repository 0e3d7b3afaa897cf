"""Whether Meta would take events: the API version, and for each dataset the token, the access and the clock.

Meta is asked with a request without events: it looks at the token and the dataset first, and only then says that `data`
must not be empty. So nothing is recorded.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Final

from signalpost.catalog import Catalog
from signalpost.doctor.check import Check
from signalpost.mapping.destinations.destination_type import Destination
from signalpost.meta.api_versions import API_VERSION_ENDS, LATEST_API_VERSION
from signalpost.meta.client import MetaClient
from signalpost.model.delivery import Answer, Throttled, Unauthorized, Unavailable
from signalpost.model.destination_state import PAUSE_TEXTS

_WARN_BEFORE_END: Final = timedelta(days=90)
_LARGEST_SKEW: Final = timedelta(minutes=5)
_NOTICED_SKEW: Final = timedelta(seconds=30)


def check_api_version(version: str, today: date) -> Check:
    """Whether a version of the Graph API is in force, and for how long."""
    name = f"API {version}"
    fix = f'Set meta.api_version (or the destination\'s own api_version) to "{LATEST_API_VERSION}".'
    if version not in API_VERSION_ENDS:
        return Check(name, "warning", "not among the versions known to this release", fix)
    end = API_VERSION_ENDS[version]
    if end is None:
        return Check(name, "ok", "in force; Meta has announced no end")
    if end < today:
        return Check(name, "broken", f"ended on {end}", fix)
    if end - today <= _WARN_BEFORE_END:
        return Check(name, "warning", f"ends on {end}, in {(end - today).days} days", fix)
    return Check(name, "ok", f"in force until {end}")


async def check_destination(
    destination: Destination, catalog: Catalog, meta: MetaClient
) -> tuple[list[Check], datetime | None]:
    """The token, and every dataset of a destination; and what Meta's clock said in its latest answer."""
    name = f"destination {destination.name}"
    if not destination.is_enabled:
        return [Check(name, "ok", "switched off: calls are not mapped for it")], None
    settings = destination.settings
    if settings.access_token is None:
        fix = "Set its access_token or access_token_file to a system user's token, or connect it: `signalpost connect`."
        return [Check(name, "broken", "has no access token", fix)], None
    if not settings.dataset_ids:
        fix = "Name its dataset (pixel_id, or the event sets); Meta's Events Manager shows the ids."
        return [Check(name, "broken", "names no dataset, so every event is rejected", fix)], None
    checks: list[Check] = []
    meta_time: datetime | None = None
    for dataset in settings.dataset_ids:
        target = catalog.find_target(destination.id, dataset)
        assert target is not None, "it has a token"  # noqa: S101
        answer = await meta.probe(target)
        if not isinstance(answer.outcome, Unavailable):  # whoever else answers may have any clock
            meta_time = answer.answered_at or meta_time
        checks.append(_judge(f"{name}, dataset {dataset}", answer))
    return checks, meta_time


def check_clock(now: datetime, meta_times: Sequence[datetime]) -> Check:
    """Whether this machine's clock agrees with Meta's, to judge which events are too old. meta_times: whole seconds."""
    if not meta_times:
        return Check(
            "clock", "warning", "not compared: no answer of Meta's named the time", "Mend what is broken here."
        )
    skew = now - max(meta_times)
    told = f"{abs(skew).total_seconds():.0f} s {'ahead of' if skew > timedelta() else 'behind'} Meta's"
    fix = "Set the clock, best by a time service (NTP): ages of events are judged by it."
    if abs(skew) > _LARGEST_SKEW:
        return Check("clock", "broken", f"{told}; delivery pauses above 5 minutes", fix)
    if abs(skew) > _NOTICED_SKEW:
        return Check("clock", "warning", told, fix)
    return Check("clock", "ok", "agrees with Meta's")


def _judge(name: str, answer: Answer) -> Check:
    match answer.outcome:
        case Unauthorized(reason, detail):
            text = PAUSE_TEXTS[reason]
            return Check(name, "broken", f"{text.human} Meta says: {detail}", text.fix)
        case Unavailable(detail):
            fix = "Look at the network, the name server and meta.base_url. Events wait, and are tried again."
            return Check(name, "broken", f"Meta is out of reach: {detail}", fix)
        case Throttled(_, detail):
            return Check(name, "warning", f"Meta asks to slow down: {detail}", "Nothing; delivery waits by itself.")
        case _:
            return Check(name, "ok", "Meta takes the token and knows the dataset")
