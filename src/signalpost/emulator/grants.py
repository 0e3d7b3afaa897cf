"""What people granted in the dialog: codes that work once, and the tokens that came of them.

The rules are Meta's for a login flow built by hand: a code lasts ten minutes and belongs to one app and one exact
redirect address; a token can expire, and be revoked. Source: Facebook Login, "Manually Build a Login Flow" and "Access
Token Guide"; the subcodes are remembered, not documented.
"""

import base64
import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

APP_SECRET = "EMULATOR_APP_SECRET"  # noqa: S105 - the emulator's own, public on purpose
CODE_SECONDS = 600
SHORT_SECONDS = 3600
LONG_SECONDS = 5_183_944

TokenState = Literal["valid", "expired", "revoked"]
CodeFault = Literal["code_unknown", "code_used", "code_expired", "redirect_mismatch", "verifier_mismatch"]


@dataclass(slots=True)
class _Code:
    client_id: str
    redirect_uri: str
    challenge: str | None
    ends_at: float
    is_used: bool = False


@dataclass(slots=True)
class _Token:
    ends_at: float
    is_revoked: bool = False


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A token and for how many seconds it works."""

    access_token: str
    expires_in: int


class Grants:
    """Codes and tokens of one emulator."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._codes: dict[str, _Code] = {}
        self._tokens: dict[str, _Token] = {}

    def allow(self, client_id: str, redirect_uri: str, challenge: str | None) -> str:
        """Somebody pressed Allow: the code for the redirect. challenge: of PKCE, S256; None without it."""
        code = secrets.token_urlsafe(24)
        self._codes[code] = _Code(client_id, redirect_uri, challenge, self._now() + CODE_SECONDS)
        return code

    def redeem(self, code: str, client_id: str, redirect_uri: str, verifier: str | None) -> IssuedToken | CodeFault:
        """Change a code into a token of an hour."""
        known = self._codes.get(code)
        if known is None or known.client_id != client_id:
            return "code_unknown"
        if known.is_used:
            return "code_used"
        if self._now() >= known.ends_at:
            return "code_expired"
        if known.redirect_uri != redirect_uri:
            return "redirect_mismatch"
        if known.challenge is not None and known.challenge != _challenge(verifier or ""):
            return "verifier_mismatch"
        known.is_used = True
        return self._issue(SHORT_SECONDS)

    def prolong(self, token: str) -> IssuedToken | None:
        """A token of sixty days for one that works; None for another."""
        return self._issue(LONG_SECONDS) if self.find_state(token) == "valid" else None

    def find_state(self, token: str) -> TokenState | None:
        """None for a token that never came from here."""
        known = self._tokens.get(token)
        if known is None:
            return None
        if known.is_revoked:
            return "revoked"
        return "expired" if self._now() >= known.ends_at else "valid"

    def revoke_all(self) -> int:
        """Somebody removed the app: no token works any more. How many there were."""
        for token in self._tokens.values():
            token.is_revoked = True
        return len(self._tokens)

    def reset(self) -> None:
        """Forget everything."""
        self._codes.clear()
        self._tokens.clear()

    def _issue(self, seconds: int) -> IssuedToken:
        token = "EAA" + secrets.token_hex(24)
        self._tokens[token] = _Token(self._now() + seconds)
        return IssuedToken(token, seconds)


def _challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
