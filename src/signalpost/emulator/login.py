"""The dialog in which a person lets an app act for them, and the endpoint that gives tokens for it.

Source: Facebook Login, "Manually Build a Login Flow". `auto=allow` and `auto=deny` press the buttons, for tests.
"""

from collections.abc import Awaitable, Callable, Mapping
from html import escape
from urllib.parse import urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from signalpost.emulator.grants import APP_SECRET, CodeFault, IssuedToken
from signalpost.emulator.state import Emulator

_CODE_FAULTS: Mapping[CodeFault, tuple[int | None, str]] = {
    "code_unknown": (None, "Invalid verification code format."),
    "code_used": (36009, "This authorization code has been used."),
    "code_expired": (36007, "This authorization code has expired."),
    "redirect_mismatch": (
        36008,
        "Error validating verification code. Please make sure your redirect_uri is identical to the one you used.",
    ),
    "verifier_mismatch": (None, "Invalid code_verifier."),
}

_PAGE = """<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>Local emulator, not Meta</title>
  <link rel="icon" type="image/svg+xml" href="/static/icon.svg">
  <link rel="stylesheet" href="/static/emulator.css">
</head>
<body>
  <main>
    <h1>Local emulator, not Meta</h1>
    <p>The app {app} asks whether it may act for you: {scope}. Here anybody may say yes.</p>
    <p>{links}</p>
  </main>
</body>
</html>
"""


def build_login_routes(emulator: Emulator) -> list[Route]:
    """The dialog and the token endpoint, under any version."""

    def bind(endpoint: Callable[[Emulator, Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def bound(request: Request) -> Response:
            return await endpoint(emulator, request)

        return bound

    return [
        Route("/{version}/dialog/oauth", bind(show_dialog), methods=["GET"]),
        Route("/{version}/oauth/access_token", bind(give_token), methods=["GET", "POST"]),
    ]


async def show_dialog(emulator: Emulator, request: Request) -> Response:
    """A page with two buttons; pressed, the browser goes back to the app."""
    asked = request.query_params
    redirect_uri, state = asked.get("redirect_uri", ""), asked.get("state", "")
    if not asked.get("client_id") or not redirect_uri or asked.get("response_type", "code") != "code":
        return HTMLResponse("<h1>This app asks in a way that is not allowed</h1>", 400)
    match asked.get("auto"):
        case "allow":
            code = emulator.grants.allow(asked["client_id"], redirect_uri, asked.get("code_challenge"))
            return _go_back(redirect_uri, {"code": code, "state": state})
        case "deny":
            answer = {"error": "access_denied", "error_code": "200", "error_reason": "user_denied"}
            return _go_back(redirect_uri, {**answer, "state": state})
    links = " ".join(
        f'<a class="chip" id="{press}" href="?{escape(urlencode({**asked, "auto": press}))}">{label}</a>'
        for press, label in (("allow", "Allow"), ("deny", "Deny"))
    )
    return HTMLResponse(_PAGE.format(app=escape(asked["client_id"]), scope=escape(asked.get("scope", "")), links=links))


def _go_back(redirect_uri: str, answer: Mapping[str, str]) -> Response:
    joint = "&" if "?" in redirect_uri else "?"
    return RedirectResponse(f"{redirect_uri}{joint}{urlencode(answer)}", 302)


async def give_token(emulator: Emulator, request: Request) -> Response:
    """A code becomes a token of an hour, a token one of sixty days."""
    fields = dict(request.query_params)
    if request.method == "POST":
        async with request.form() as form:
            fields.update({name: str(value) for name, value in form.items()})
    if fields.get("client_secret") != APP_SECRET:
        return _refuse(emulator, 1, None, "Error validating client secret.")
    if fields.get("grant_type") == "fb_exchange_token":
        issued = emulator.grants.prolong(fields.get("fb_exchange_token", ""))
        if issued is None:
            return _refuse(emulator, 190, 463, "Error validating access token.")
        return _give(issued)
    redeemed = emulator.grants.redeem(
        fields.get("code", ""), fields.get("client_id", ""), fields.get("redirect_uri", ""), fields.get("code_verifier")
    )
    if isinstance(redeemed, IssuedToken):
        return _give(redeemed)
    return _refuse(emulator, 100, *_CODE_FAULTS[redeemed])


def _give(issued: IssuedToken) -> Response:
    answer = {"access_token": issued.access_token, "token_type": "bearer", "expires_in": issued.expires_in}
    return Response(msgspec.json.encode(answer), media_type="application/json")


def _refuse(emulator: Emulator, code: int, subcode: int | None, message: str) -> Response:
    error = {"message": message, "type": "OAuthException", "code": code, "fbtrace_id": emulator.trace_ids.next()}
    if subcode is not None:
        error["error_subcode"] = subcode
    return Response(msgspec.json.encode({"error": error}), 400, media_type="application/json")
