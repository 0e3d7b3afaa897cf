"""Your account: another password, and an end to your sessions in other browsers. For everybody, viewers too."""

from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from signalpost.console.access import Caller, Viewer
from signalpost.console.pages.sign_in import check_password_of, start_session
from signalpost.console.parts import Parts
from signalpost.console.passwords import MAX_CHARACTERS, MIN_CHARACTERS
from signalpost.console.refusals import Refusal
from signalpost.console.rendering import render
from signalpost.store.users import User
from signalpost.workspace.changes import ChangeRefused

router = APIRouter()

Password = Annotated[str, Form(max_length=2 * MAX_CHARACTERS)]


@router.get("/account")
async def show_account(request: Request, caller: Viewer) -> Response:
    """The forms."""
    return _render(request, caller)


@router.post("/account/password")
async def change_password(
    request: Request, parts: Parts, caller: Viewer, current: Password, password: Password
) -> Response:
    """Put another password in place of the current one; other browsers are signed out."""
    user = _find_user(caller)
    if await check_password_of(request, parts, user.name, current) is None:
        return _render(request, caller, status=401, faults={"current": "is not your password"})
    try:
        await parts.people.set_password(user, password, caller.actor)
    except ChangeRefused as refused:
        return _render(request, caller, status=422, faults=refused.faults)
    said = "You have a new password. Other browsers are signed out."
    return await start_session(request, parts, user, "/account", said=said)


@router.post("/account/sign-out")
async def sign_out_elsewhere(request: Request, parts: Parts, caller: Viewer) -> Response:
    """End every session but this browser's, which gets a new one."""
    user = _find_user(caller)
    count = await parts.people.sign_out_everywhere(user, caller.actor) - 1
    said = f"Signed out in {count} other browser{'s' if count != 1 else ''}." if count else "No other browser was open."
    return await start_session(request, parts, user, "/account", said=said)


def _find_user(caller: Caller) -> User:
    if caller.session is None:
        raise Refusal(404, "not_found", "A token has no account: it belongs to no person.")
    return caller.session.user


def _render(request: Request, caller: Caller, *, status: int = 200, faults: dict[str, str] | None = None) -> Response:
    context: dict[str, Any] = {"faults": faults or {}, "min_characters": MIN_CHARACTERS}
    return render(request, "account.html", caller=caller, status=status, user=_find_user(caller), **context)
