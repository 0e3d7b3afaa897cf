"""Who may do what on the console port. Every route asks for a role by depending on one of the names at the end.

Two roles: a viewer sees, an admin changes too. Three ways in: a browser's session, an API token (`spk_...`), and the
control token of the run, which the command line reads from the data folder. A change that rides on a session carries
that session's form token, too, so that no other site can make it.
"""

import hashlib
import hmac
import ipaddress
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

from fastapi import Depends, Request

from signalpost.console.browsers import SAFE_METHODS, cookie_name
from signalpost.console.refusals import Refusal
from signalpost.history.views import mask_server_event
from signalpost.store.api_tokens import PREFIX, find_token, mark_used
from signalpost.store.audit import Actor
from signalpost.store.database import SettingsStore
from signalpost.store.sessions import Session, find_session, touch_session
from signalpost.store.users import Role

FORM_TOKEN: Final = "csrf_token"  # noqa: S105 - the name of a field
FORM_TOKEN_HEADER: Final = "X-CSRF-Token"  # noqa: S105 - the name of a header
_USED_STEP: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking. `session` is None for programs; `actor` is how the audit log names the caller."""

    actor: Actor
    role: Role
    session: Session | None = None
    session_id: str = field(default="", repr=False)

    @property
    def is_admin(self) -> bool:
        """Whether changes are allowed."""
        return self.role == "admin"

    def see(self, server_event: dict[str, Any]) -> dict[str, Any]:
        """A stored server event as this caller may see it: hashes for everybody, what is in clear for admins."""
        return server_event if self.is_admin else mask_server_event(server_event)

    @property
    def form_token(self) -> str:
        """What a form of this session carries; another session's, or none, is refused."""
        return hmac.digest(self.session_id.encode(), b"signalpost form token", hashlib.sha256).hex()


class Access:
    """Tells who is asking."""

    def __init__(self, control_token: str, store: SettingsStore, now: Callable[[], datetime]) -> None:
        self._control_token = control_token
        self._store = store
        self._now = now

    async def find_caller(self, request: Request) -> Caller | None:
        """Whoever sent the request, or None for a stranger."""
        if "authorization" in request.headers:
            return await self._find_by_token(request)
        return await self._find_by_session(request)

    def is_fresh(self, session: Session) -> bool:
        """Whether the password was given within the last ten minutes."""
        return session.is_fresh(self._now())

    async def _find_by_token(self, request: Request) -> Caller | None:
        scheme, _, text = request.headers["authorization"].partition(" ")
        if scheme.lower() != "bearer":
            return None
        if hmac.compare_digest(text.encode(), self._control_token.encode()):
            return Caller(Actor("command line", find_address(request)), "admin")
        if not text.startswith(PREFIX):
            return None
        now = self._now()
        token = self._store.read(lambda connection: find_token(connection, text, now))
        if token is None:
            return None
        if token.used_at is None or now - token.used_at >= _USED_STEP:
            await self._store.write(lambda connection: mark_used(connection, token.id, now))
        return Caller(Actor(f"token {token.name}", find_address(request)), token.role)

    async def _find_by_session(self, request: Request) -> Caller | None:
        session_id = request.cookies.get(cookie_name(request))
        if not session_id:
            return None
        now = self._now()
        session = self._store.read(lambda connection: find_session(connection, session_id, now))
        if session is None:
            return None
        if session.needs_touch(now):
            await self._store.write(lambda connection: touch_session(connection, session_id, now))
        return Caller(Actor(session.user.name, find_address(request)), session.user.role, session, session_id)


def find_address(request: Request) -> str:
    """Where the request came from, as far as trusted proxies tell."""
    return request.client.host if request.client else ""


def is_loopback(address: str | None) -> bool:
    """Whether an address or host name is this machine."""
    if address is None:
        return False
    try:
        return ipaddress.ip_address(address.strip("[]")).is_loopback
    except ValueError:
        return address == "localhost"


async def _require(request: Request, *, needs_admin: bool = False, needs_password: bool = False) -> Caller:
    access: Access = request.app.state.parts.access
    caller = await access.find_caller(request)
    if caller is None:
        raise Refusal(401, "not_signed_in", "Sign in, or send an API token as `Authorization: Bearer spk_...`.")
    if caller.session is not None and request.method not in SAFE_METHODS:
        await _check_form_token(request, caller)
    if needs_admin and not caller.is_admin:
        raise Refusal(403, "admins_only", "Your role is viewer: it may look, and not change. Ask an admin.")
    if needs_password and caller.session is not None and not access.is_fresh(caller.session):
        raise Refusal(403, "password_needed", "Give your password again: it is more than ten minutes ago.")
    return caller


async def _check_form_token(request: Request, caller: Caller) -> None:
    given = request.headers.get(FORM_TOKEN_HEADER)
    if given is None and request.headers.get("content-type", "").startswith(
        ("application/x-www-form-urlencoded", "multipart/form-data")
    ):
        given = str((await request.form()).get(FORM_TOKEN, ""))
    if not hmac.compare_digest((given or "").encode(), caller.form_token.encode()):
        raise Refusal(403, "form_token_wrong", "This form is of another sign-in. Load the page again.")


async def anyone() -> None:
    """No sign-in is needed: for health, sign-in, first-run setup and static files only."""


async def viewer(request: Request) -> Caller:
    """Whoever is signed in, or has a token."""
    return await _require(request)


async def viewer_or_loopback(request: Request) -> None:
    """Who asks from this machine needs no role."""
    if not is_loopback(find_address(request)):
        await _require(request)


async def admin(request: Request) -> Caller:
    """An admin."""
    return await _require(request, needs_admin=True)


async def confirmed_admin(request: Request) -> Caller:
    """An admin who has given the password within the last ten minutes, or has a token."""
    return await _require(request, needs_admin=True, needs_password=True)


ROLE_CHECKS: Final = (anyone, viewer, viewer_or_loopback, admin, confirmed_admin)
Anyone = Annotated[None, Depends(anyone)]
Viewer = Annotated[Caller, Depends(viewer)]
Admin = Annotated[Caller, Depends(admin)]
ConfirmedAdmin = Annotated[Caller, Depends(confirmed_admin)]
