"""The pages a person looks at: events, one event, requests. Rendered here, readable without scripts.

Each page has the word of its template. Numbers come from the ledger, so they count what is no longer kept, too.
"""

from collections.abc import Awaitable, Callable
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jinja2
import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from signalpost.emulator.access import VALID_TOKEN
from signalpost.emulator.body_fields import list_body_fields
from signalpost.emulator.clock import format_instant
from signalpost.emulator.ledger import NameLedger
from signalpost.emulator.state import Emulator
from signalpost.emulator.store import StoredEvent
from signalpost.emulator.views import describe_event, describe_request, find_verdict

FOLDER = Path(__file__).parent
STATIC_FOLDER = FOLDER / "static"
SHOWN_EVENTS = 50
SHOWN_REQUESTS = 100
SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

# The words for how sure the emulator is, as they stand beside everything it decides.
CONFIDENCE_WORDS = {
    "documented": "on a public page of Meta's developer documentation",
    "observed": "in an answer of the real Graph API that somebody published",
    "fixture": "in the test data of an established open-source integration",
    "reported": "a developer's description; the code is credible, the text may differ",
    "remembered": "common knowledge, not checked against a page",
    "ours": "a decision of this project; Meta says nothing about it",
}

PageContext = Callable[[Emulator, Request], dict[str, Any] | None]


def build_page_routes(emulator: Emulator) -> list[Route]:
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER / "templates"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return [
        Route(path, _build_page(emulator, templates, template, build_context), methods=["GET"])
        for path, template, build_context in PAGES
    ]


def show_events(emulator: Emulator, request: Request) -> dict[str, Any]:
    """Return totals, one row for each event name, and the newest events; `dataset` and `name` narrow both."""
    dataset_id, event_name = request.query_params.get("dataset"), request.query_params.get("name")
    ledger = emulator.store.ledger
    now = emulator.clock.now()
    names = [
        describe_name(dataset, name, named, now)
        for dataset, by_name in ledger.datasets.items()
        for name, named in by_name.items()
        if named.accepted and dataset_id in {None, dataset}
    ]
    newest = (
        stored
        for stored in reversed(emulator.store.events)
        if dataset_id in {None, stored.dataset_id} and event_name in {None, stored.event_name}
    )
    return {
        "totals": ledger.totals,
        "datasets": _describe_datasets(emulator, now),
        "names": sorted(names, key=lambda name: name["count"], reverse=True),
        "events": [describe_row(stored) for stored in islice(newest, SHOWN_EVENTS)],
        "dataset": dataset_id,
        "name": event_name,
        "token": VALID_TOKEN,
        "base_url": str(request.base_url).rstrip("/"),
        "link": build_link,
    }


def show_event(emulator: Emulator, request: Request) -> dict[str, Any] | None:
    stored = emulator.store.find_event(request.path_params["seq"])
    if stored is None:
        return None
    described = describe_event(stored, emulator.store)
    return {
        "event": described,
        "fields": list_body_fields(stored.body, described["notes"]),
        "json": msgspec.json.format(msgspec.json.encode(stored.body), indent=2).decode(),
        "has_previous": emulator.store.find_event(stored.seq - 1) is not None,
        "has_next": emulator.store.find_event(stored.seq + 1) is not None,
    }


def show_requests(emulator: Emulator, _request: Request) -> dict[str, Any]:
    newest = islice(reversed(emulator.store.requests), SHOWN_REQUESTS)
    return {"requests": [describe_request(logged) for logged in newest], "rows": emulator.rows}


PAGES: tuple[tuple[str, str, PageContext], ...] = (
    ("/", "events.html", show_events),
    ("/events/{seq:int}", "event.html", show_event),
    ("/requests", "requests.html", show_requests),
)


def describe_name(dataset_id: str, event_name: str, named: NameLedger, now: float) -> dict[str, Any]:
    return {
        "dataset_id": dataset_id,
        "event_name": event_name,
        "count": named.accepted,
        "repeats": named.repeats,
        "with_notes": named.with_notes,
        "last_received": format_instant(named.last_received_at),
        "ago": format_ago(now - named.last_received_at),
    }


def describe_row(stored: StoredEvent) -> dict[str, Any]:
    return {
        "seq": stored.seq,
        "received_at": format_instant(stored.received_at),
        "event_name": stored.event_name,
        "event_id": stored.event_id,
        "dataset_id": stored.dataset_id,
        "test_event_code": stored.test_event_code,
        "verdict": find_verdict(stored),
        "notes": len(stored.notes),
        "has_red": any(note.is_red for note in stored.notes),
    }


def format_ago(seconds: float) -> str:
    """Return a short distance in time, for example "12 s ago"; what lies ahead is "just now"."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{int(seconds // length)} {unit} ago"
    return f"{int(seconds)} s ago" if seconds >= 1 else "just now"


def build_link(dataset: str | None, name: str | None = None) -> str:
    """Return the address of the events page narrowed to a dataset, and to a name in it."""
    query = urlencode({key: value for key, value in (("dataset", dataset), ("name", name)) if value is not None})
    return f"/?{query}" if query else "/"


def _describe_datasets(emulator: Emulator, now: float) -> list[dict[str, Any]]:
    described = []
    for dataset_id, names in emulator.store.ledger.datasets.items():
        count = sum(named.accepted for named in names.values())
        if count:
            last_received_at = max(named.last_received_at for named in names.values())
            described.append({"dataset_id": dataset_id, "count": count, "ago": format_ago(now - last_received_at)})
    return described


def _build_page(
    emulator: Emulator, templates: jinja2.Environment, template: str, build_context: PageContext
) -> Callable[[Request], Awaitable[Response]]:
    async def show(request: Request) -> Response:
        context = build_context(emulator, request)
        page = templates.get_template(template).render(
            {
                "profile": emulator.profile,
                "now": format_instant(emulator.clock.now()),
                "armed_faults": len(emulator.faults.armed),
                "version": f"{emulator.store.accepted_count}-{emulator.store.request_count}",
                "confidence_words": CONFIDENCE_WORDS,
                "is_missing": context is None,
                **(context or {}),
            }
        )
        return HTMLResponse(page, 404 if context is None else 200, SECURITY_HEADERS)

    return show
