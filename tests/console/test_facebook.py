"""Connect with Facebook in the console: tied to the session that began it; without a Meta app, the way to one."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
from pydantic import SecretStr

from signalpost.config.sections import Config
from signalpost.console.access import Caller
from signalpost.console.facebook import FacebookConnect
from signalpost.console.refusals import Refusal
from signalpost.control_token import find_running_gateway
from signalpost.meta.login import FacebookLogin, MetaApp
from signalpost.service import running_service
from signalpost.store.audit import Actor
from signalpost.store.connected_tokens import ConnectedToken
from tests.acceptance.commands import run
from tests.acceptance.processes import running
from tests.console.conftest import Browser, Gateway

SLUG = "facebook-conversions-api"


@pytest.fixture
async def connectable(tmp_path: Path) -> AsyncIterator[Gateway]:
    """A gateway with a Meta app, beside the local Meta."""
    with running("emulator", "--port", "0", folder=tmp_path) as meta:
        url = meta.announced["url"]
        server = {"host": "127.0.0.1", "port": 0, "console_port": 0, "data_dir": tmp_path / "data"}
        app = {"base_url": url, "dialog_url": url, "app_id": "4711", "app_secret": "EMULATOR_APP_SECRET"}
        config = Config.model_validate({"server": server, "meta": app})
        jar = aiohttp.DummyCookieJar()
        async with running_service(config) as service, aiohttp.ClientSession(cookie_jar=jar) as http:
            control = find_running_gateway(tmp_path / "data")
            assert control is not None
            yield Gateway(service, http, service.store, control.control_token)


async def make_destination(gateway: Gateway, **settings: str) -> None:
    body = {"name": "shop", "type": SLUG, "settings": {"pixel_id": "1234567890", **settings}}
    assert (await gateway.program.send("POST", "/api/destinations", json=body)).status == 201


async def open_link(browser: Browser, path: str) -> tuple[int, str, str]:
    """Status, where Facebook is, and the cookie."""
    answer = await browser.get(path)
    return answer.status, answer.headers.get("Location", ""), answer.headers.get("Set-Cookie", "").split(";")[0]


async def test_the_way_through_facebook(connectable: Gateway) -> None:
    """The page's link leads to Facebook in this session alone; back from there the pasted token has given way."""
    await make_destination(connectable, access_token="EMULATOR_EXPIRED")
    admin, other = await connectable.sign_in("admin"), connectable.stranger
    page = await admin.get("/destinations/shop/facebook")
    path = page.text.split(connectable.url, 1)[1].split('"', 1)[0]
    assert path.startswith("/oauth/start?ticket=")
    assert (await open_link(other, path))[0] == 403
    status, dialog, cookie = await open_link(admin, path)
    assert status == 303
    asked = parse_qs(urlsplit(dialog).query)
    assert asked["redirect_uri"] == [f"{connectable.url}/oauth/callback"]
    async with connectable.http.get(f"{dialog}&auto=allow", allow_redirects=False) as pressed:
        back = pressed.headers["Location"].removeprefix(connectable.url)
    assert (await admin.get(back)).status == 400  # without the cookie
    answer = await admin.get(back, Cookie=f"signalpost={admin.session_id}; {cookie}")
    assert (answer.status, "shop is connected, until" in answer.text) == (200, True)
    shown = (await connectable.program.get("/api/destinations/shop")).json
    assert (shown["secrets"]["access_token"], shown["connected"]["by"]) == (True, "admin")
    assert "Connected by admin" in (await admin.get("/destinations/shop")).text
    row = (await connectable.program.get("/api/audit")).json[0]
    assert (row["action"], row["actor"], row["subject"]) == ("destination.connected", "admin", "shop")
    assert "EAA" not in str(row)

    change = {"settings": {"pixel_id": "9876543210"}}
    changed = await connectable.program.send("PATCH", "/api/destinations/shop/settings", json=change)
    assert changed.json["connected"] is not None
    assert (await admin.post("/destinations/shop/facebook/disconnect")).status == 303
    shown = (await connectable.program.get("/api/destinations/shop")).json
    assert (shown["secrets"]["access_token"], shown["connected"]) == (False, None)


async def test_a_pasted_token_takes_the_place_of_a_connection(gateway: Gateway) -> None:
    """The last one given counts."""
    await make_destination(gateway)
    now = datetime.now(UTC)
    token = ConnectedToken(SecretStr("EAAconnected"), "admin", now, now + timedelta(days=60))
    await gateway.service.workspace.connect_token("shop", token, Actor("admin"))
    assert (await gateway.program.get("/api/destinations/shop")).json["connected"] is not None
    change = {"settings": {"access_token": "EAApasted"}}
    changed = await gateway.program.send("PATCH", "/api/destinations/shop/settings", json=change)
    assert (changed.json["connected"], changed.json["secrets"]["access_token"]) == (None, True)
    settings = gateway.service.workspace.find_destination("shop").settings
    assert settings.access_token == SecretStr("EAApasted")


async def test_without_an_app_the_page_explains_and_takes_a_token(gateway: Gateway) -> None:
    """How to make an app, with the redirect address to copy; and the field for a token."""
    await make_destination(gateway)
    admin = await gateway.sign_in("admin")
    page = await admin.get("/destinations/shop/facebook")
    assert f"{gateway.url}/oauth/callback" in page.text
    answer = await admin.post("/destinations/shop/facebook/token", {"access_token": "EAApasted"})
    assert answer.status == 303
    assert (await gateway.program.get("/api/destinations/shop")).json["secrets"]["access_token"] is True


@pytest.mark.parametrize(
    ("left", "words"),
    [
        (timedelta(days=8), None),
        (timedelta(days=6, hours=1), "expires in 6 days, on"),
        (timedelta(days=1, hours=1), "expires in 1 day, on"),
        (timedelta(hours=1), "expires in less than a day, on"),
        (timedelta(0), "expired on"),
    ],
)
async def test_the_end_of_a_token_is_told_a_week_before(gateway: Gateway, left: timedelta, words: str | None) -> None:
    """In the API, and as a note on the page."""
    await make_destination(gateway)
    now = datetime.now(UTC)
    token = ConnectedToken(SecretStr("EAAconnected"), "admin", now, now + left)
    await gateway.service.workspace.connect_token("shop", token, Actor("admin"))
    warning = (await gateway.program.get("/api/destinations/shop")).json["connected"]["warning"]
    assert warning is None if words is None else words in warning
    page = (await (await gateway.sign_in("viewer")).get("/destinations/shop")).text
    assert ("Connect with Facebook again" in page) == (words is not None)


async def test_the_end_of_a_token_is_told_in_the_terminal(gateway: Gateway, tmp_path: Path) -> None:
    """`signalpost status` and `signalpost doctor` warn, and say how to connect again."""
    await make_destination(gateway)
    now = datetime.now(UTC)
    (tmp_path / "signalpost.toml").write_text(
        f'[server]\ndata_dir = "{tmp_path / "data"}"\n[meta]\nbase_url = "http://127.0.0.1:9"\n'
    )
    for left, is_told in ((timedelta(days=30), False), (timedelta(days=3, hours=1), True)):
        token = ConnectedToken(SecretStr("EAAconnected"), "admin", now, now + left)
        await gateway.service.workspace.connect_token("shop", token, Actor("admin"))
        status, doctor = [
            (await asyncio.to_thread(run, command, "--json", folder=tmp_path)).stdout
            for command in ("status", "doctor")
        ]
        assert (b"expires in 3 days" in status) == is_told
        (check,) = [each for each in json.loads(doctor)["checks"] if each["name"] == "destination shop, token"]
        assert (check["verdict"], "signalpost connect shop" in check["fix"]) == (
            ("warning", True) if is_told else ("ok", False)
        )
    shown = (await asyncio.to_thread(run, "status", folder=tmp_path)).stdout.decode()
    assert "shop: The token expires in 3 days" in " ".join(shown.split())


async def test_an_attempt_lasts_a_quarter_of_an_hour(gateway: Gateway) -> None:
    """After it the link leads nowhere, and whoever waits is told."""
    await make_destination(gateway)
    moment = [datetime.now(UTC)]
    login = FacebookLogin(MetaApp("4711", SecretStr("secret"), "http://127.0.0.1:9/d", "http://127.0.0.1:9/t"))
    facebook = FacebookConnect(login, gateway.service.workspace, lambda: "http://127.0.0.1", lambda: moment[0])
    attempt = facebook.start("shop", Caller(Actor("command line"), "admin"))
    dialog, browser = facebook.open(attempt.ticket, "")
    (state,) = parse_qs(urlsplit(dialog).query)["state"]
    moment[0] += timedelta(minutes=15)
    with pytest.raises(Refusal) as refused:
        facebook.open(attempt.ticket, "")
    assert refused.value.status == 409
    assert (await facebook.finish(state, browser, "code", "")).state == "expired"
