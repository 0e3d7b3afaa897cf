"""Meta's click id (fbc) and browser id (fbp): found, checked, never hashed; fbc built from the page address.

Source: Meta, "fbp and fbc Parameters"; the patterns are this project's, a little wider than Meta's text so that the
appendix of Meta's parameter builder passes.
"""

import re
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote

from signalpost.mapping.findings import Findings
from signalpost.model.results import WarningCode
from signalpost.model.segment_event import SegmentEvent

_FBC = re.compile(r"fb\.[0-9]+\.[0-9]+\.\S+")
_FBP = re.compile(r"fb\.[0-9]+\.[0-9]+\.[0-9]+(?:\.(?:\S{2}|\S{8}))?")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def find_fbc(event: SegmentEvent, findings: Findings) -> str | None:
    """Return the caller's well-formed fbc, else one built from the page address's fbclid, else None.

    Malformed counts as absent and is warned about. A well-formed fbc is never replaced.
    """
    return _find_well_formed(event, "fbc", _FBC, findings, "invalid_fbc") or _build_fbc(event)


def find_fbp(event: SegmentEvent, findings: Findings) -> str | None:
    """Return the caller's well-formed fbp, else None."""
    return _find_well_formed(event, "fbp", _FBP, findings, "invalid_fbp")


def _find_well_formed(
    event: SegmentEvent, name: str, form: re.Pattern[str], findings: Findings, warning: WarningCode
) -> str | None:
    in_properties, context = event.properties.get(name), event.context
    if in_properties is None:
        if name not in context and "clientIds" not in context:
            return None
    elif isinstance(in_properties, str) and form.fullmatch(in_properties):
        return in_properties
    client_ids = context.get("clientIds")
    in_client_ids = client_ids.get(name) if isinstance(client_ids, dict) else None
    for given in (in_properties, in_client_ids, context.get(name)):
        if given is None:
            continue
        text = given.strip() if isinstance(given, str) else ""
        if form.fullmatch(text):
            return text
        findings.warn(warning)
    return None


def _build_fbc(event: SegmentEvent) -> str | None:
    """Subdomain index 1 is Meta's for an fbc built on a server; the time is the event's, as event_time has it."""
    page = event.context.get("page")
    url = page.get("url") if isinstance(page, dict) else None
    fbclid = _find_fbclid(url) if isinstance(url, str) and "fbclid=" in url else None
    if not fbclid:
        return None
    happened_at = min(event.timestamp, event.received_at)
    built = f"fb.1.{(happened_at - _EPOCH) // _MILLISECOND}.{fbclid}"
    return built if _FBC.fullmatch(built) else None


def _find_fbclid(url: str) -> str:
    """Return the first fbclid of the query, percent-decoded once."""
    query = url.partition("#")[0].partition("?")[2]
    values = (pair.removeprefix("fbclid=") for pair in query.split("&") if pair.startswith("fbclid="))
    return unquote(next(values, ""))
