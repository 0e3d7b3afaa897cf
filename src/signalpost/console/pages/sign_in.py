"""First-run setup, sign-in, sign-out, and the password asked for again."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from signalpost.console.access import Anyone, Viewer, find_address, is_loopback
from signalpost.console.browsers import cookie_name
from signalpost.console.parts import ConsoleParts, Parts
from signalpost.console.passwords import MAX_CHARACTERS, MIN_CHARACTERS
from signalpost.console.refusals import Refusal
from signalpost.console.rendering import redirect, render
from signalpost.store.audit import Actor
from signalpost.store.sessions import LASTS_FOR
from signalpost.store.users import User
from signalpost.workspace.changes import ChangeRefused

router = APIRouter()

_SETUP: Final = "(first-run setup)"
_SETUP_FAULT: Final = (
    "is not the one that was printed, was used, or is over an hour old: restart the gateway for a new one"
)

Text = Annotated[str, Form(max_length=2 * MAX_CHARACTERS)]


@router.get("/setup")
async def show_setup(request: Request, parts: Parts, _: Anyone, token: str = "") -> Response:
    """The form for the first admin, while there is none."""
    if not parts.people.is_empty:
        return RedirectResponse("/sign-in", 303)
    return render(request, "setup.html", token=token, name="", faults={}, min_characters=MIN_CHARACTERS)


@router.post("/setup")
async def set_up(request: Request, parts: Parts, _: Anyone, name: Text, password: Text, token: Text = "") -> Response:
    """Create the first admin and sign it in."""
    if not parts.people.is_empty:
        return RedirectResponse("/sign-in", 303)
    _check_transport(request, parts)
    address = find_address(request)
    context: dict[str, Any] = {"token": token, "name": name, "min_characters": MIN_CHARACTERS}
    _check_pause(parts, _SETUP, address)
    if not parts.setup_token.is_good(token, parts.now()):
        parts.sign_in_limits.failed(_SETUP, address, parts.now())
        return render(request, "setup.html", status=401, faults={"token": _SETUP_FAULT}, **context)
    try:
        user = await parts.people.add_user(name, password, "admin", Actor("first-run setup", address))
    except ChangeRefused as refused:
        return render(request, "setup.html", status=422, faults=refused.faults, **context)
    parts.setup_token.use_up()
    return await start_session(request, parts, user, "/welcome")


@router.get("/sign-in")
async def show_sign_in(request: Request, parts: Parts, _: Anyone, next: str = "/") -> Response:  # noqa: A002 - in the address
    """The form, or on to where the browser is already signed in."""
    if parts.people.is_empty:
        return RedirectResponse("/setup", 303)
    if await parts.access.find_caller(request):
        return RedirectResponse(_check_next(next), 303)
    return render(request, "sign_in.html", name="", next=_check_next(next), objection="")


@router.post("/sign-in")
async def sign_in(
    request: Request,
    parts: Parts,
    _: Anyone,
    name: Text,
    password: Text,
    next: Text = "/",  # noqa: A002 - a field
) -> Response:
    """Start a session. One answer for a wrong name and a wrong password."""
    _check_transport(request, parts)
    user = await check_password_of(request, parts, name, password)
    if user is None:
        objection = "The name or the password is wrong."
        return render(request, "sign_in.html", status=401, name=name, next=_check_next(next), objection=objection)
    return await start_session(request, parts, user, _check_next(next))


@router.post("/sign-out")
async def sign_out(request: Request, parts: Parts, caller: Viewer) -> Response:
    """End the session on the server, too."""
    await parts.people.sign_out(caller.session_id)
    response = redirect(request, "/sign-in", said="You are signed out.")
    response.delete_cookie(cookie_name(request), path="/", secure=request.url.scheme == "https")
    return response


@router.get("/confirm")
async def show_confirm(request: Request, caller: Viewer, next: str = "/") -> Response:  # noqa: A002 - in the address
    """Ask for the password again."""
    return render(request, "confirm.html", caller=caller, next=_check_next(next), objection="")


@router.post("/confirm")
async def confirm(
    request: Request,
    parts: Parts,
    caller: Viewer,
    password: Text,
    next: Text = "/",  # noqa: A002 - a field
) -> Response:
    """Go on with what needed the password."""
    user = await check_password_of(request, parts, caller.actor.name, password)
    if user is None:
        context = {"next": _check_next(next), "objection": "The password is wrong."}
        return render(request, "confirm.html", caller=caller, status=401, **context)
    await parts.people.confirm(caller.session_id)
    return redirect(request, _check_next(next))


async def check_password_of(request: Request, parts: ConsoleParts, name: str, password: str) -> User | None:
    """The user, if this is the password. Raises Refusal when there were too many attempts."""
    address = find_address(request)
    _check_pause(parts, name, address)
    user = await parts.people.find_by_password(name, password)
    if user is None:
        parts.sign_in_limits.failed(name, address, parts.now())
    else:
        parts.sign_in_limits.succeeded(name, address)
    return user


def _check_pause(parts: ConsoleParts, name: str, address: str) -> None:
    pause = parts.sign_in_limits.find_pause(name, address, parts.now())
    if pause:
        message = f"Too many attempts. Try again in {pause} seconds."
        raise Refusal(429, "too_many_attempts", message, headers={"Retry-After": str(pause)})


def _check_transport(request: Request, parts: ConsoleParts) -> None:
    """A password must not cross a network in clear."""
    if request.url.scheme != "https" and not is_loopback(request.url.hostname) and not parts.allow_http:
        message = "Sign in over HTTPS, or from this machine. (server.console_allow_http lifts this rule.)"
        raise Refusal(403, "https_needed", message)


async def start_session(request: Request, parts: ConsoleParts, user: User, path: str, *, said: str = "") -> Response:
    """Sign somebody in, in this browser, and go on to a page."""
    session_id = await parts.people.sign_in(user, find_address(request))
    response = redirect(request, path, said=said)
    is_secure = request.url.scheme == "https"
    max_age = int(LASTS_FOR.total_seconds())
    response.set_cookie(
        cookie_name(request), session_id, max_age=max_age, httponly=True, samesite="lax", secure=is_secure, path="/"
    )
    return response


def _check_next(path: str) -> str:
    """Only a page of this console, whatever the address says."""
    is_ours = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if is_ours else "/"
