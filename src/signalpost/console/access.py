"""Who may do what on the console port. A route asks for a role by depending on `viewer` or `admin`.

Two roles: a viewer sees, an admin changes too. Today the control token of the run is the only way in.
"""

import hmac
from typing import Annotated, Literal

from fastapi import Depends, HTTPException, Request

Role = Literal["viewer", "admin"]


class Access:
    """Tells who is asking."""

    def __init__(self, control_token: str) -> None:
        self._control_token = control_token

    def find_role(self, request: Request) -> Role | None:
        """The role of whoever sent the request, or None for a stranger."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and hmac.compare_digest(token.encode(), self._control_token.encode()):
            return "admin"
        return None


def _require(request: Request, allowed: tuple[Role, ...]) -> Role:
    role = request.app.state.parts.access.find_role(request)
    if role is None:
        raise HTTPException(401, "sign in, or send an API token as `Authorization: Bearer ...`")
    if role not in allowed:
        raise HTTPException(403, "your role may not do this; ask an admin")
    return role  # type: ignore[no-any-return]


def _as_viewer(request: Request) -> Role:
    return _require(request, ("viewer", "admin"))


def _as_admin(request: Request) -> Role:
    return _require(request, ("admin",))


Viewer = Annotated[Role, Depends(_as_viewer)]
Admin = Annotated[Role, Depends(_as_admin)]


def require_viewer_or_loopback(request: Request) -> None:
    """Who asks from this machine needs no role."""
    host = request.client.host if request.client else ""
    if host not in {"127.0.0.1", "::1"}:
        _require(request, ("viewer", "admin"))
