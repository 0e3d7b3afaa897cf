"""Connect with Facebook, for programs: begin, watch, disconnect. The permission itself is given in a browser."""

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel

from signalpost.console.access import Admin, ConfirmedAdmin
from signalpost.console.facebook import AttemptState
from signalpost.console.parts import Parts

router = APIRouter(prefix="/api", tags=["destinations"])

Name = Annotated[str, Path(max_length=200)]


class StartedAttempt(BaseModel):
    """Open `url` in a browser within 15 minutes; `ticket` tells how it went."""

    ticket: str
    url: str
    redirect_uri: str


class AttemptView(BaseModel):
    """How far an attempt is; `message` says it in a sentence."""

    destination: str
    state: AttemptState
    message: str


@router.post("/destinations/{name}/facebook", status_code=201, summary="Begin to connect with Facebook")
async def start_connecting(parts: Parts, caller: ConfirmedAdmin, name: Name) -> StartedAttempt:
    """409 with what to do when no Meta app is configured, or the file gives the destination a token."""
    attempt = parts.facebook.start(name, caller)
    return StartedAttempt(
        ticket=attempt.ticket, url=parts.facebook.build_start_url(attempt), redirect_uri=parts.facebook.redirect_uri
    )


@router.delete("/destinations/{name}/facebook", status_code=204, summary="Forget the token of the connection")
async def disconnect(parts: Parts, caller: ConfirmedAdmin, name: Name) -> None:
    """Events wait from then on. Facebook itself is not told: remove the app there to end the permission."""
    await parts.workspace.forget_token(name, caller.actor)


@router.get("/facebook-attempts/{ticket}", summary="How an attempt to connect went")
async def read_attempt(parts: Parts, _: Admin, ticket: Annotated[str, Path(max_length=100)]) -> AttemptView:
    """`state` is waiting until the person has decided."""
    attempt = parts.facebook.find(ticket)
    return AttemptView(destination=attempt.destination, state=attempt.state, message=attempt.message)
