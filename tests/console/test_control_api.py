"""The control API: the same abilities as the pages, in force at once, audited, and without a secret in any answer."""

import tomllib
from pathlib import Path

import pytest

from signalpost.config.building import build_destinations, build_sources
from signalpost.config.sections import Config
from tests.console.conftest import Gateway

TOKEN = "EAABcanary0123456789"
SETTINGS = {
    "pixel_id": "1234567890",
    "access_token": TOKEN,
    "standard_events": {"Signed Up": "Lead", "a.b \"c'": "Search"},
}
SLUG = "facebook-conversions-api"


async def make_all(gateway: Gateway) -> str:
    """A source connected to a destination; its write key."""
    program = gateway.program
    source = await program.send("POST", "/api/sources", json={"name": "web"})
    body = {"name": "main pixel", "type": SLUG, "settings": SETTINGS}
    assert (await program.send("POST", "/api/destinations", json=body)).status == 201
    assert (await program.send("PUT", "/api/sources/web/destinations/main%20pixel")).status == 204
    return str(source.json["write_keys"][0]["key"])


async def test_what_is_made_takes_calls_at_once(gateway: Gateway) -> None:
    """The next call with the new key is accepted and mapped with the new settings."""
    key = await make_all(gateway)
    call = {"userId": "u1", "event": "Signed Up", "context": {"traits": {"email": "a@example.com"}}}
    url = f"{gateway.service.tracking_url}/v1/track"
    async with gateway.http.post(url, json={**call, "writeKey": key}) as response:
        assert response.status == 200
    (entry,) = gateway.service.history.recent()
    assert [event.event_name for event in entry.events] == ["Lead"]


async def test_secrets_go_in_and_never_come_out(gateway: Gateway) -> None:
    """No answer of the API, no page, and no row of the audit log holds the token."""
    await make_all(gateway)
    browser = await gateway.sign_in("admin")
    for path in ("/api/destinations", "/api/destinations/main%20pixel", "/api/audit", "/api/export"):
        answer = await gateway.program.get(path)
        assert (answer.status, TOKEN in answer.text) == (200, False), path
    for path in ("/destinations/main%20pixel", "/audit", "/sources/web", "/export", "/destinations"):
        answer = await browser.get(path)
        assert (answer.status, TOKEN in answer.text) == (200, False), path
    assert (await gateway.program.get("/api/destinations")).json[0]["secrets"]["access_token"] is True


async def test_every_change_leaves_one_row(gateway: Gateway) -> None:
    """Who, what and from where, newest first."""
    await make_all(gateway)
    rows = (await gateway.program.get("/api/audit")).json
    assert [row["action"] for row in rows] == ["source.connected", "destination.added", "source.added"]
    assert {(row["actor"], row["address"]) for row in rows} == {("command line", "127.0.0.1")}


async def test_the_export_can_be_served(gateway: Gateway, tmp_path: Path) -> None:
    """Read as signalpost.toml it puts the same in force, once the token's file is written."""
    key = await make_all(gateway)
    exported = tomllib.loads((await gateway.program.get("/api/export")).text)
    (tmp_path / exported["destinations"][0]["access_token_file"]).write_text(TOKEN)
    config = Config.model_validate(exported)
    (destination,) = build_destinations(config, tmp_path)
    (source,) = build_sources(config, [destination])
    assert (source.name, source.write_keys, source.destinations) == ("web", (key,), (destination,))
    assert destination.settings == gateway.service.workspace.find_destination("main pixel").settings


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", "/api/sources", {"name": "a/b"}, 422, "invalid"),
        ("POST", "/api/sources", {"name": "web"}, 409, "name_taken"),
        ("POST", "/api/sources", {"name": 1}, 422, "invalid"),
        ("POST", "/api/sources", {"name": "x", "extra": 1}, 422, "invalid"),
        ("GET", "/api/sources/none", None, 404, "not_found"),
        ("POST", "/api/destinations", {"name": "x", "type": "none"}, 422, "invalid"),
        ("PATCH", "/api/destinations/main%20pixel/settings", {"settings": {"pixel_id": "../x"}}, 422, "invalid"),
        ("PATCH", "/api/destinations/main%20pixel/settings", {"settings": {"base_url": "http://x"}}, 422, "invalid"),
        ("DELETE", "/api/users/999", None, 404, "not_found"),
        ("POST", "/api/users", {"name": "x", "password": "123456789012", "role": "admin"}, 422, "invalid"),
        ("POST", "/api/users", {"name": "x", "password": "long enough indeed", "role": "root"}, 422, "invalid"),
    ],
)
async def test_a_wrong_request_is_told_why(
    gateway: Gateway, method: str, path: str, body: object, status: int, code: str
) -> None:
    """A code and a sentence, and the fields at fault; nothing that was sent is repeated."""
    await make_all(gateway)
    answer = await gateway.program.send(method, path, json=body)
    assert (answer.status, answer.json["code"]) == (status, code)
    assert answer.json["message"]


async def test_the_last_admin_stays(gateway: Gateway) -> None:
    """Neither removed nor made a viewer."""
    await gateway.sign_in("admin")
    (user,) = (await gateway.program.get("/api/users")).json
    refused = await gateway.program.send("DELETE", f"/api/users/{user['id']}")
    assert (refused.status, refused.json["code"]) == (409, "in_use")
    refused = await gateway.program.send("PATCH", f"/api/users/{user['id']}", json={"role": "viewer"})
    assert refused.status == 409


async def test_a_viewer_sees_no_whole_key(gateway: Gateway) -> None:
    """Neither in the API nor on the pages."""
    key = await make_all(gateway)
    browser = await gateway.sign_in("viewer")
    for path in ("/api/sources", "/sources/web", "/welcome", "/sources"):
        answer = await browser.get(path)
        assert (answer.status, key in answer.text) == (200, False), path
