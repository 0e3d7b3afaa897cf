"""Whether the API version is in force, connected tokens go on working, and this machine's clock agrees with Meta's."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Final

from signalpost.meta.api_versions import API_VERSION_ENDS, LATEST_API_VERSION
from signalpost.model.check import Check
from signalpost.store.connected_tokens import ConnectedToken

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


def check_token(destination: str, token: ConnectedToken, now: datetime) -> Check:
    """How long the token works that somebody gave by connecting with Facebook."""
    name = f"destination {destination}, token"
    warning = token.find_warning(now)
    if warning is not None:
        return Check(name, "warning", warning, f"signalpost connect {destination}, or the destination's page.")
    until = "until it is revoked" if token.expires_at is None else f"until {token.expires_at:%Y-%m-%d}"
    return Check(name, "ok", f"connected by {token.connected_by}, works {until}")


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
