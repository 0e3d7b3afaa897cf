"""Connect with Facebook: from the press of a button to a sealed token, over the browser of whoever pressed it.

An attempt has a ticket, which opens it in a browser and tells how it ended. Opening it gives that browser a cookie and
Facebook a state; who comes back must bring both, once. So nobody can slip in a permission of their own.
"""

import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal

from signalpost.console.access import Caller
from signalpost.console.refusals import Refusal
from signalpost.meta.login import FacebookLogin, LoginRefused
from signalpost.store.audit import Actor
from signalpost.store.connected_tokens import ConnectedToken
from signalpost.workspace.changes import ChangeRefused
from signalpost.workspace.workspace import Workspace

CONNECT_COOKIE: Final = "signalpost_connect"
CALLBACK_PATH: Final = "/oauth/callback"
ATTEMPT_LASTS: Final = timedelta(minutes=15)
_MAX_ATTEMPTS: Final = 200

NO_APP: Final = (
    "Connect with Facebook needs a Meta app of your own: docs/howto/connect-with-facebook.md shows how to make one. "
    "Put its id and secret into [meta] app_id and app_secret_file and restart. Without an app, give the destination a "
    "system user's token (access_token_file, or Access token in the console)."
)
_STATE_WRONG: Final = (
    "This answer of Facebook's belongs to no attempt of this browser, or was used already. Nothing was changed. "
    "Connect again from the destination."
)

AttemptState = Literal["waiting", "connected", "denied", "expired", "failed"]


@dataclass(slots=True)
class Attempt:
    """One try to connect a destination. `message` tells how it ended."""

    ticket: str = field(repr=False)
    destination: str
    actor: Actor
    session_id: str = field(repr=False)
    ends_at: datetime
    state: AttemptState = "waiting"
    message: str = "Waiting for somebody to press Continue at Facebook."
    oauth_state: str = field(default="", repr=False)
    verifier: str = field(default="", repr=False)
    browser: str = field(default="", repr=False)


class FacebookConnect:
    """The attempts under way, and what each leads to. They are in memory: a restart ends them."""

    def __init__(
        self,
        login: FacebookLogin | None,
        workspace: Workspace,
        find_console_url: Callable[[], str],
        now: Callable[[], datetime],
    ) -> None:
        """login: None without a Meta app. find_console_url: scheme and host under which browsers reach the console."""
        self._login = login
        self._workspace = workspace
        self._find_console_url = find_console_url
        self._now = now
        self._attempts: dict[str, Attempt] = {}

    @property
    def has_app(self) -> bool:
        """Whether a Meta app is configured."""
        return self._login is not None

    @property
    def redirect_uri(self) -> str:
        """The one address that Facebook sends browsers back to."""
        return self._find_console_url() + CALLBACK_PATH

    def start(self, destination: str, caller: Caller) -> Attempt:
        """Begin an attempt. Raises ChangeRefused, or Refusal when there is no Meta app."""
        self._workspace.check_connectable(destination)
        if self._login is None:
            raise Refusal(409, "no_meta_app", NO_APP)
        now = self._now()
        self._attempts = {key: each for key, each in self._attempts.items() if each.ends_at + ATTEMPT_LASTS > now}
        if len(self._attempts) >= _MAX_ATTEMPTS:
            del self._attempts[next(iter(self._attempts))]
        ticket = secrets.token_urlsafe(32)
        attempt = Attempt(ticket, destination, caller.actor, caller.session_id, now + ATTEMPT_LASTS)
        self._attempts[ticket] = attempt
        return attempt

    def build_start_url(self, attempt: Attempt) -> str:
        """What a person opens in a browser."""
        return f"{self._find_console_url()}/oauth/start?ticket={attempt.ticket}"

    def find(self, ticket: str) -> Attempt:
        """The attempt of this ticket. Raises Refusal."""
        attempt = self._attempts.get(ticket)
        if attempt is None:
            raise Refusal(404, "not_found", "This attempt to connect is over. Begin again from the destination.")
        if attempt.state == "waiting" and self._now() >= attempt.ends_at:
            _end(attempt, "expired", "Nobody pressed Continue at Facebook within 15 minutes. Connect again.")
        return attempt

    def open(self, ticket: str, session_id: str) -> tuple[str, str]:
        """The address of Facebook's dialog, and what the browser must bring back as a cookie. Raises Refusal.

        session_id: of the browser that asks; an attempt that was begun in a session is opened in that session only.
        """
        attempt = self.find(ticket)
        if attempt.state != "waiting" or self._login is None:
            raise Refusal(409, "attempt_over", attempt.message)
        if attempt.session_id and not hmac.compare_digest(attempt.session_id.encode(), session_id.encode()):
            raise Refusal(403, "other_session", f"Sign in at {self._find_console_url()} and connect from there.")
        attempt.oauth_state, attempt.browser = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        attempt.verifier = secrets.token_urlsafe(48)
        dialog = self._login.build_dialog_url(self.redirect_uri, attempt.oauth_state, attempt.verifier)
        return dialog, attempt.browser

    async def finish(self, oauth_state: str, browser: str, code: str, error: str) -> Attempt:
        """Take what Facebook sent the browser back with. Raises Refusal (400) for a state that is wrong or was used."""
        attempt = self._use_state(oauth_state, browser)
        if attempt.state == "expired":
            return attempt
        if error or not code or self._login is None:
            message = "The permission was denied at Facebook. Nothing was changed."
            return _end(attempt, "denied" if error == "access_denied" else "failed", message if error else _STATE_WRONG)
        try:
            granted = await self._login.redeem(code, self.redirect_uri, attempt.verifier)
            now = self._now()
            expires_at = None if granted.expires_in is None else now + granted.expires_in
            token = ConnectedToken(granted.access_token, attempt.actor.name, now, expires_at)
            await self._workspace.connect_token(attempt.destination, token, attempt.actor)
        except (LoginRefused, ChangeRefused) as refused:
            return _end(attempt, "failed", str(refused))
        until = "" if expires_at is None else f", until {expires_at:%Y-%m-%d}"
        return _end(
            attempt, "connected", f"{attempt.destination} is connected{until}. Events that waited are sent now."
        )

    def _use_state(self, oauth_state: str, browser: str) -> Attempt:
        for attempt in self._attempts.values():
            if attempt.oauth_state and hmac.compare_digest(attempt.oauth_state.encode(), oauth_state.encode()):
                if not hmac.compare_digest(attempt.browser.encode(), browser.encode()):
                    break
                attempt.oauth_state = ""
                return self.find(attempt.ticket)
        raise Refusal(400, "state_wrong", _STATE_WRONG)


def _end(attempt: Attempt, state: AttemptState, message: str) -> Attempt:
    attempt.state, attempt.message = state, message
    return attempt
