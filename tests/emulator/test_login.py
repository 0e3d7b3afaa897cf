"""The dialog and its tokens, as an app's author meets them."""

import base64
import hashlib
from urllib.parse import parse_qs, urlsplit

import pytest

BACK = "http://127.0.0.1:8081/oauth/callback"
APP = {"client_id": "4711", "client_secret": "EMULATOR_APP_SECRET"}
TOKEN_PATH = "/v26.0/oauth/access_token"


async def press(client, button, **asked):
    """Ask the dialog and press; the answer in the address that the browser is sent back to."""
    params = {
        "client_id": "4711", "redirect_uri": BACK, "state": "s-1", "response_type": "code", "auto": button,
        "scope": "ads_management,public_profile", **asked,
    }  # fmt: skip
    async with client.session.get(f"{client.url}/v26.0/dialog/oauth", params=params, allow_redirects=False) as answer:
        assert answer.status == 302
        back = urlsplit(answer.headers["Location"])
    assert f"{back.scheme}://{back.netloc}{back.path}" == BACK
    return {name: value for name, (value,) in parse_qs(back.query).items()}


async def redeem(client, code, **changes):
    return await client.post(TOKEN_PATH, data={**APP, "redirect_uri": BACK, "code": code, **changes})


async def test_allow(client, make_event):
    """The code becomes a token, the token a long one, and both may send events; revoked, they may not."""
    granted = await press(client, "allow")
    assert granted["state"] == "s-1"
    status, short = await redeem(client, granted["code"])
    assert (status, short["token_type"], short["expires_in"]) == (200, "bearer", 3600)
    exchange = {"grant_type": "fb_exchange_token", "fb_exchange_token": short["access_token"]}
    status, long = await client.post(TOKEN_PATH, data={**APP, **exchange})
    assert (status, long["expires_in"]) == (200, 5183944)
    for token in (short["access_token"], long["access_token"]):
        assert (await client.send(make_event(), token=token))[0] == 200
    await client.control("/clock", {"advance": 7200})
    status, body, _ = await client.send(make_event(), token=short["access_token"])
    assert (body["error"]["code"], body["error"]["error_subcode"]) == (190, 463)
    assert (await client.send(make_event(), token=long["access_token"]))[0] == 200
    assert await client.control("/revoke") == (200, {"revoked": 2})
    status, body, _ = await client.send(make_event(), token=long["access_token"])
    assert body["error"]["code"] == 190


async def test_deny(client):
    """No code, but the reason and the same state."""
    answer = await press(client, "deny")
    assert answer == {
        "error": "access_denied", "error_code": "200", "error_reason": "user_denied", "state": "s-1",
    }  # fmt: skip


async def test_a_person_sees_two_buttons(client):
    """What the app asked for is shown as text."""
    params = {"client_id": "4711", "redirect_uri": BACK, "scope": "<script>"}
    async with client.session.get(f"{client.url}/v26.0/dialog/oauth", params=params) as answer:
        page = await answer.text()
    assert 'id="allow"' in page
    assert 'id="deny"' in page
    assert "<script>" not in page
    async with client.session.get(f"{client.url}/v26.0/dialog/oauth") as answer:
        assert answer.status == 400


@pytest.mark.parametrize(
    ("changes", "code", "subcode"),
    [
        ({"client_secret": "guessed"}, 1, None),
        ({"client_id": "4712"}, 100, None),
        ({"redirect_uri": BACK + "/"}, 100, 36008),
    ],
)
async def test_a_code_is_for_one_app_and_address(client, changes, code, subcode):
    """Anything else is refused, and the code still works for its owner."""
    granted = await press(client, "allow")
    status, body = await redeem(client, granted["code"], **changes)
    assert (status, body["error"]["code"], body["error"].get("error_subcode")) == (400, code, subcode)
    assert (await redeem(client, granted["code"]))[0] == 200


async def test_a_code_works_once_and_for_ten_minutes(client):
    """Used and expired are told apart."""
    used, late = (await press(client, "allow"))["code"], (await press(client, "allow"))["code"]
    await redeem(client, used)
    assert (await redeem(client, used))[1]["error"]["error_subcode"] == 36009
    await client.control("/clock", {"advance": 600})
    assert (await redeem(client, late))[1]["error"]["error_subcode"] == 36007


async def test_pkce(client):
    """A code that was asked for with a challenge needs its verifier."""
    verifier = "v" * 43
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    code = (await press(client, "allow", code_challenge=challenge, code_challenge_method="S256"))["code"]
    assert (await redeem(client, code))[0] == 400
    assert (await redeem(client, code, code_verifier=verifier))[0] == 200
