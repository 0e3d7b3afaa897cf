"""Facebook's login for apps: the address of its dialog, and the token that the code from there is worth.

OAuth 2's code flow with PKCE; Authlib writes the requests. Sources: Facebook Login, "Manually Build a Login Flow", and
"Get Long-Lived Access Tokens"; the subcodes are remembered, not documented.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import aiohttp
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from pydantic import SecretStr

from signalpost.model.errors import SignalpostError
from signalpost.redaction import MASK

SCOPES: Final = ("ads_management", "public_profile")
_MAX_ANSWER_BYTES: Final = 1 << 16
_TIMEOUT: Final = aiohttp.ClientTimeout(total=10)
_FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}

# (code, subcode) -> what to tell; subcode None: any.
_FAULTS: Final[Mapping[tuple[object, object], str]] = {
    (100, 36007): "The permission from Facebook is older than ten minutes and has expired. Connect again.",
    (
        100,
        36008,
    ): "Facebook was asked under another address than it knows: add {redirect_uri} to the Valid OAuth Redirect "
    "URIs of your Meta app.",
    (100, 36009): "The permission from Facebook was used already. Connect again.",
    (1, None): "Facebook does not take the app secret: compare meta.app_id and meta.app_secret with your Meta app.",
}


class LoginRefused(SignalpostError):
    """Facebook gave no token; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class MetaApp:
    """The operator's own Meta app, and the two addresses of Meta that it uses."""

    app_id: str
    app_secret: SecretStr
    dialog_url: str
    token_url: str


@dataclass(frozen=True, slots=True)
class GrantedToken:
    """A long-lived token. expires_in: None for one that does not end by itself."""

    access_token: SecretStr
    expires_in: timedelta | None


class FacebookLogin:
    """The two steps of a login for one app and one redirect address."""

    def __init__(self, app: MetaApp) -> None:
        self._app = app

    def build_dialog_url(self, redirect_uri: str, state: str, verifier: str) -> str:
        """Where the browser is sent. Of the verifier only a digest goes along (PKCE, S256)."""
        return str(
            prepare_grant_uri(
                self._app.dialog_url,
                self._app.app_id,
                "code",
                redirect_uri=redirect_uri,
                scope=",".join(SCOPES),
                state=state,
                code_challenge=create_s256_code_challenge(verifier),
                code_challenge_method="S256",
            )
        )

    async def redeem(self, code: str, redirect_uri: str, verifier: str) -> GrantedToken:
        """Change a code into a token of sixty days, by way of one of an hour. Raises LoginRefused."""
        async with aiohttp.ClientSession(timeout=_TIMEOUT, trust_env=False) as session:
            short = await self._ask(
                session, "authorization_code", redirect_uri=redirect_uri, code=code, code_verifier=verifier
            )
            token = short.access_token.get_secret_value()
            return await self._ask(session, "fb_exchange_token", redirect_uri=redirect_uri, fb_exchange_token=token)

    async def _ask(
        self, session: aiohttp.ClientSession, grant_type: str, *, redirect_uri: str, **secrets: str
    ) -> GrantedToken:
        """Ask the token endpoint. Everything secret travels in the body: an address ends in logs."""
        app_secret = self._app.app_secret.get_secret_value()
        own = {"client_id": self._app.app_id, "client_secret": app_secret}
        body = prepare_token_request(grant_type, redirect_uri=redirect_uri, **own, **secrets)
        try:
            async with session.post(self._app.token_url, data=body, headers=_FORM, allow_redirects=False) as response:
                content = await response.content.read(_MAX_ANSWER_BYTES)
                while len(content) < _MAX_ANSWER_BYTES and (more := await response.content.read(_MAX_ANSWER_BYTES)):
                    content += more
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise LoginRefused(f"Facebook can't be reached ({type(error).__name__}). Try again.") from None
        try:
            answer = json.loads(content)
        except (ValueError, RecursionError):
            answer = None
        answer = answer if isinstance(answer, dict) else {}
        token, seconds = answer.get("access_token"), answer.get("expires_in")
        if response.status == 200 and isinstance(token, str) and token:
            expires_in = timedelta(seconds=seconds) if isinstance(seconds, int) and seconds > 0 else None
            return GrantedToken(SecretStr(token), expires_in)
        message = _tell_fault(answer.get("error"), response.status).replace("{redirect_uri}", redirect_uri)
        for secret in (app_secret, *secrets.values()):
            message = message.replace(secret, MASK)
        raise LoginRefused(message)


def _tell_fault(error: Any, status: int) -> str:
    if not isinstance(error, dict):
        return f"Facebook answered {status} without a token. Try again later."
    code, subcode = error.get("code"), error.get("error_subcode")
    known = _FAULTS.get((code, subcode)) or _FAULTS.get((code, None))
    return known or f"Facebook gave no token: {str(error.get('message'))[:300]}"
