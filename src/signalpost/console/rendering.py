"""How a page becomes HTML: Jinja templates, escaped everywhere, with the frame of the console around them."""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, unquote

import jinja2
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from markupsafe import Markup

from signalpost.console.call_steps import Step
from signalpost.console.delivery_figures import format_change, format_seconds, format_share
from signalpost.console.static_files import static_url
from signalpost.turns import Turn

if TYPE_CHECKING:
    from signalpost.console.access import Caller

FLASH_COOKIE: Final = "signalpost_flash"
_FLASH_CHARACTERS: Final = 600

# Address, words, icon, and whether only admins have a use for it. A page is found here by its first path part.
NAVIGATION: Final = (
    ("/overview", "Overview", "pulse", False),
    ("/sources", "Sources", "source", False),
    ("/destinations", "Destinations", "destination", False),
    ("/debugger", "Debugger", "debugger", False),
    ("/find", "Find an event", "search", False),
    ("/tester", "Event Tester", "tester", False),
    ("/delivery", "Delivery", "delivery", False),
    ("/dead-letters", "Dead letters", "dead-letter", False),
    ("/users", "People & tokens", "users", True),
    ("/audit", "Audit log", "audit", True),
)


def _build_environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "ago": format_ago,
        "breakable": format_breakable,
        "change": format_change,
        "count": format_count,
        "instant": format_instant,
        "pretty": format_json,
        "seconds": format_seconds,
        "share": format_share,
        "urlencode_part": lambda name: quote(str(name), safe=""),
    }
    environment.globals |= {"static_url": static_url, "tracker": _draw_tracker}
    return environment


def format_count(number: float) -> str:
    """1234567 -> "1,234,567"."""
    return f"{number:,}"


def format_instant(moment: datetime) -> str:
    """UTC to the second, as it stands in tables and titles."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def format_ago(moment: datetime, now: datetime) -> str:
    """How long ago, in the largest unit that says enough."""
    seconds = max(0, int((now - moment).total_seconds()))
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size:
            number = seconds // size
            return f"{number} {unit}{'s' if number > 1 else ''} ago"
    return "just now" if seconds < 5 else f"{seconds} seconds ago"


def format_breakable(text: str) -> Markup:
    """A long name that may go on in the next line after each of its parts: some_code, user_data.em."""
    return Markup("<wbr>").join(re.split(r"(?<=[_./])(?=.)", text))


def format_json(value: Any) -> str:
    """JSON for people to read."""
    return json.dumps(value, indent=2, ensure_ascii=False)


@cache
def _draw_tracker(state: str, steps: tuple[Step, ...]) -> Markup:
    """Where a call is now, as four dots. A long list has few that differ."""
    drawn: Markup = _environment.get_template("journey.html").module.tracker(state, steps)  # type: ignore[attr-defined]
    return drawn


_environment: Final = _build_environment()


def list_templates() -> Sequence[str]:
    """The names of all templates."""
    return _environment.list_templates()


def compile_template(name: str) -> None:
    """Compile a template now, which takes some 10 ms, instead of when it is first rendered."""
    _environment.get_template(name)


def _build_navigation(app: FastAPI, *, is_admin: bool) -> list[tuple[str, str, str]]:
    return [
        (path, words, icon)
        for path, words, icon, is_for_admins in NAVIGATION
        if path in app.state.page_paths and (is_admin or not is_for_admins)
    ]


def render(
    request: Request, template: str, *, caller: "Caller | None" = None, status: int = 200, **context: Any
) -> HTMLResponse:
    """Render a template with its context and the frame's: `me` (who asks), navigation, flash, now."""
    flash = _read_flash(request)
    html = _environment.get_template(template).render(_build_frame(request, caller, flash), **context)
    return _respond(html, status, flash)


async def render_in_turns(
    request: Request, template: str, *, caller: "Caller", turn: Turn | None = None, **context: Any
) -> HTMLResponse:
    """The same for what is read again and again: nobody waits for it for more than a moment.

    A piece is what stands between two tags of the template itself; what a macro makes is one piece.
    """
    flash = _read_flash(request)
    pieces, turn = [], turn or take_turn()
    for piece in _environment.get_template(template).generate(_build_frame(request, caller, flash), **context):
        pieces.append(piece)
        if turn.is_over:
            await turn.give_way()
    return _respond("".join(pieces), 200, flash)


def take_turn() -> Turn:
    """For what an open page asks again and again: a call that comes meanwhile waits for a fifth of a millisecond."""
    return Turn(longest_seconds=0.0002, rest_seconds=0.002)


def _build_frame(request: Request, caller: "Caller | None", flash: Mapping[str, str] | None) -> dict[str, Any]:
    parts = request.app.state.parts
    return {
        "me": caller,
        "form_token": caller.form_token if caller is not None and caller.session is not None else "",
        "navigation": [] if caller is None else _build_navigation(request.app, is_admin=caller.is_admin),
        "section": "/" + request.url.path.split("/")[1],
        "path": request.url.path,
        "flash": flash,
        "now": parts.now(),
        "version": parts.build.version,
    }


def _respond(html: str, status: int, flash: Mapping[str, str] | None) -> HTMLResponse:
    response = HTMLResponse(html, status)
    if flash is not None:
        response.delete_cookie(FLASH_COOKIE, path="/")
    return response


def render_refusal(
    request: Request, status: int, message: str, faults: Mapping[str, str], way_back: str
) -> HTMLResponse:
    """The page of a request that is refused. way_back: the page where somebody can go on."""
    words = next((words for path, words, *_ in NAVIGATION if path == way_back), "")
    context: dict[str, Any] = {"code": status, "message": message, "faults": faults}
    return render(request, "refusal.html", status=status, way_back=way_back, way_back_words=words, **context)


def _read_flash(request: Request) -> dict[str, str] | None:
    """What the page before has to say. It comes from a cookie, so it is shown as text and never trusted."""
    kind, _, text = request.cookies.get(FLASH_COOKIE, "").partition(":")
    if not text:
        return None
    return {"kind": kind if kind in {"good", "bad", "note"} else "good", "text": unquote(text)[:_FLASH_CHARACTERS]}


def redirect(request: Request, path: str, *, said: str = "", kind: str = "good") -> RedirectResponse:
    """Send the browser to a page that says what was done, once."""
    response = RedirectResponse(path, 303)
    if said:
        text = f"{kind}:{quote(said[:_FLASH_CHARACTERS])}"
        is_secure = request.url.scheme == "https"
        response.set_cookie(FLASH_COOKIE, text, max_age=60, httponly=True, samesite="lax", secure=is_secure, path="/")
    return response
