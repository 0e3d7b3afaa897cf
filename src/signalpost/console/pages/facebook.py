"""Connect with Facebook in the browser: the page before it, the way there, and the way back."""

from typing import Annotated

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import RedirectResponse, Response

from signalpost.console.access import Anyone, ConfirmedAdmin
from signalpost.console.facebook import ATTEMPT_LASTS, CALLBACK_PATH, CONNECT_COOKIE
from signalpost.console.pages.paths import path_of
from signalpost.console.parts import Parts
from signalpost.console.rendering import redirect, render

router = APIRouter()

Text = Annotated[str, Query(max_length=4_000)]


@router.get("/destinations/{name}/facebook")
async def show_connect(request: Request, parts: Parts, caller: ConfirmedAdmin, name: str) -> Response:
    """What will happen, and the link to it; without a Meta app, how to make one."""
    entry = parts.workspace.find_destination(name)
    facebook = parts.facebook
    url = facebook.build_start_url(facebook.start(name, caller)) if facebook.has_app else ""
    return render(request, "connect.html", caller=caller, entry=entry, url=url, redirect_uri=facebook.redirect_uri)


@router.post("/destinations/{name}/facebook/token")
async def paste_token(
    request: Request, parts: Parts, caller: ConfirmedAdmin, name: str, access_token: Annotated[str, Form()]
) -> Response:
    """The other way: a system user's token."""
    await parts.workspace.change_settings(name, {"access_token": access_token}, caller.actor)
    return redirect(request, path_of("destinations", name), said="Saved. Events that waited are sent now.")


@router.post("/destinations/{name}/facebook/disconnect")
async def disconnect(request: Request, parts: Parts, caller: ConfirmedAdmin, name: str) -> Response:
    """Forget the token."""
    await parts.workspace.forget_token(name, caller.actor)
    said = f"{name} is disconnected: its events wait until it has a token again."
    return redirect(request, path_of("destinations", name), said=said)


@router.get("/oauth/start")
async def go_to_facebook(request: Request, parts: Parts, _: Anyone, ticket: Text = "") -> Response:
    """The ticket is the right to pass; the cookie ties what comes back to this browser."""
    caller = await parts.access.find_caller(request)
    dialog_url, browser = parts.facebook.open(ticket, caller.session_id if caller is not None else "")
    response = RedirectResponse(dialog_url, 303)
    response.set_cookie(
        CONNECT_COOKIE,
        browser,
        max_age=int(ATTEMPT_LASTS.total_seconds()),
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
        path=CALLBACK_PATH,
    )
    return response


@router.get(CALLBACK_PATH)
async def come_back(
    request: Request, parts: Parts, _: Anyone, state: Text = "", code: Text = "", error: Text = ""
) -> Response:
    """Facebook sends the browser here; a state that is wrong or was used is 400 and changes nothing."""
    attempt = await parts.facebook.finish(state, request.cookies.get(CONNECT_COOKIE, ""), code, error)
    status = 200 if attempt.state == "connected" else 400
    response = render(request, "connected.html", status=status, attempt=attempt)
    response.delete_cookie(CONNECT_COOKIE, path=CALLBACK_PATH)
    return response
