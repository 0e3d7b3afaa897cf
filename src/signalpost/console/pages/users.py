"""People and tokens: who may sign in, and which programs may use the control API."""

from datetime import timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from signalpost.console.access import Admin, Caller, ConfirmedAdmin
from signalpost.console.parts import ConsoleParts, Parts
from signalpost.console.passwords import MIN_CHARACTERS
from signalpost.console.rendering import redirect, render
from signalpost.store.users import Role
from signalpost.workspace.changes import ChangeRefused

router = APIRouter()

Text = Annotated[str, Form(max_length=2_000)]
_LIFETIMES: Final = ((30, "30 days"), (90, "90 days"), (365, "a year"), (0, "never"))


@router.get("/users")
async def show_users(request: Request, parts: Parts, caller: Admin) -> Response:
    """Everybody, and every token."""
    return _render(request, parts, caller)


@router.post("/users")
async def add_user(
    request: Request, parts: Parts, caller: ConfirmedAdmin, name: Text, password: Text, role: Annotated[Role, Form()]
) -> Response:
    """Add a person."""
    try:
        user = await parts.people.add_user(name, password, role, caller.actor)
    except ChangeRefused as refused:
        return _render(request, parts, caller, status=422, user_faults=refused.faults, user_name=name)
    return redirect(request, "/users", said=f"{user.name} can sign in now.")


@router.post("/users/{user_id}/role")
async def set_role(
    request: Request, parts: Parts, caller: ConfirmedAdmin, user_id: int, role: Annotated[Role, Form()]
) -> Response:
    """Make somebody an admin or a viewer."""
    user = parts.people.find_user(user_id)
    try:
        await parts.people.set_role(user, role, caller.actor)
    except ChangeRefused as refused:
        return redirect(request, "/users", said=refused.message, kind="bad")
    return redirect(request, "/users", said=f"{user.name} is {'an admin' if role == 'admin' else 'a viewer'} now.")


@router.post("/users/{user_id}/password")
async def set_password(
    request: Request, parts: Parts, caller: ConfirmedAdmin, user_id: int, password: Text
) -> Response:
    """Give somebody another password."""
    user = parts.people.find_user(user_id)
    try:
        await parts.people.set_password(user, password, caller.actor)
    except ChangeRefused as refused:
        return redirect(request, "/users", said=refused.message, kind="bad")
    return redirect(request, "/users", said=f"{user.name} has a new password and is signed out everywhere.")


@router.post("/users/{user_id}/sign-out")
async def end_sessions(request: Request, parts: Parts, caller: ConfirmedAdmin, user_id: int) -> Response:
    """Sign somebody out everywhere."""
    user = parts.people.find_user(user_id)
    count = await parts.people.sign_out_everywhere(user, caller.actor)
    return redirect(request, "/users", said=f"{user.name} is signed out in {count} browser{'s' if count != 1 else ''}.")


@router.post("/users/{user_id}/remove")
async def remove_user(request: Request, parts: Parts, caller: ConfirmedAdmin, user_id: int) -> Response:
    """Remove somebody."""
    user = parts.people.find_user(user_id)
    try:
        await parts.people.remove_user(user, caller.actor)
    except ChangeRefused as refused:
        return redirect(request, "/users", said=refused.message, kind="bad")
    return redirect(request, "/users", said=f"{user.name} is removed and signed out.")


@router.post("/tokens")
async def add_token(
    request: Request,
    parts: Parts,
    caller: ConfirmedAdmin,
    name: Text,
    role: Annotated[Role, Form()],
    days: Annotated[int, Form(ge=0, le=3_650)] = 90,
) -> Response:
    """Make a token; the page of the answer is the only one that shows its text."""
    ends_at = parts.now() + timedelta(days=days) if days else None
    try:
        token, text = await parts.people.add_token(name, role, ends_at, caller.actor)
    except ChangeRefused as refused:
        return _render(request, parts, caller, status=422, token_faults=refused.faults, token_name=name)
    return _render(request, parts, caller, made_token=token, made_text=text)


@router.post("/tokens/{token_id}/remove")
async def remove_token(request: Request, parts: Parts, caller: ConfirmedAdmin, token_id: int) -> Response:
    """Refuse a token from now on."""
    await parts.people.remove_token(token_id, caller.actor)
    return redirect(request, "/users", said="The token is removed: requests with it are refused.")


def _render(request: Request, parts: ConsoleParts, caller: Caller, *, status: int = 200, **context: Any) -> Response:
    empty: dict[str, Any] = {
        "user_faults": {}, "user_name": "", "token_faults": {}, "token_name": "", "made_token": None, "made_text": ""
    }  # fmt: skip
    return render(
        request,
        "users.html",
        caller=caller,
        status=status,
        users=parts.people.list_users(),
        tokens=parts.people.list_tokens(),
        lifetimes=_LIFETIMES,
        min_characters=MIN_CHARACTERS,
        **(empty | context),
    )
