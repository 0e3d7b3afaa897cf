"""Who may do what: every route of the table, as a stranger, a viewer and an admin; and every way to forge a change."""

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

import pytest
from fastapi import APIRouter

from signalpost.console import app as console_app
from signalpost.console import routes
from signalpost.console.access import admin, anyone, confirmed_admin, viewer, viewer_or_loopback
from signalpost.console.browsers import SECURITY_HEADERS
from tests.console.conftest import Answer, Browser, Gateway

OPEN = {
    ("GET", "/"),
    ("GET", "/health"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/version"),
    ("GET", "/setup"),
    ("POST", "/setup"),
    ("GET", "/sign-in"),
    ("POST", "/sign-in"),
    ("GET", "/oauth/start"),
    ("GET", "/oauth/callback"),
    ("GET", "/tracking-openapi.json"),
}
STREAMS = {"/api/calls/live"}
SIGNING_OUT = {"/sign-out", "/account/sign-out"}


def list_routes(gateway: Gateway) -> list[tuple[str, str, set[object]]]:
    """Method, path and role checks of every route; each path parameter is a name that nothing has."""
    rows = []
    for route in routes.list_routes(gateway.service.console_app):
        path = route.path
        for name in route.parameters:
            path = path.replace("{" + name + "}", "999" if name.endswith("_id") or name == "number" else "nothing")
        rows += [(method, path, set(route.checks)) for method in sorted(route.methods)]
    return rows


async def test_every_route_asks_for_its_role(gateway: Gateway) -> None:
    """A stranger gets 401, a viewer 403 where changes are made, and an admin is let in, on every route there is."""
    someone, reader, writer = gateway.stranger, await gateway.sign_in("viewer"), await gateway.sign_in("admin")
    program = await make_viewing_program(gateway)
    for browser in (someone, reader, writer, program):
        browser.headers["Accept"] = "application/json"
    seen = 0
    for method, path, checks in list_routes(gateway):
        where = f"{method} {path}"
        if anyone in checks or viewer_or_loopback in checks:
            assert (method, path) in OPEN or path == "/metrics", where
            continue
        seen += 1
        assert (await ask(someone, method, path)).status == 401, where
        for who in (reader, program):
            if {admin, confirmed_admin} & checks:
                answer = await ask(who, method, path)
                assert (answer.status, answer.json["code"]) == (403, "admins_only"), where
            elif viewer in checks and path not in STREAMS and path not in SIGNING_OUT:
                assert (await ask(who, method, path)).status not in {401, 403}, where
        if path not in STREAMS and path not in {*SIGNING_OUT, "/confirm"}:
            answer = await ask(writer, method, path)
            assert answer.status not in {401, 403}, where
            assert answer.status < 500, where
    assert seen > 40


async def make_viewing_program(gateway: Gateway) -> Browser:
    """What sends a viewer's API token."""
    made = await gateway.program.send("POST", "/api/tokens", json={"name": "reports", "role": "viewer"})
    program = gateway.stranger
    program.headers |= {"Authorization": f"Bearer {made.json['token']}"}
    return program


async def ask(browser: Browser, method: str, path: str) -> Any:
    if method in {"GET", "HEAD"}:
        return await browser.send(method, path)
    own = {"Origin": browser.url, "Sec-Fetch-Site": "same-origin", "X-CSRF-Token": browser.form_token}
    return await browser.send(method, path, headers=own)


async def test_a_route_without_a_role_stops_the_start(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forgetting it is no way to open a page."""
    router = APIRouter()

    @router.get("/forgotten")
    async def forgotten() -> None: ...

    monkeypatch.setattr(console_app, "PAGES", (*console_app.PAGES, router))
    with pytest.raises(RuntimeError, match="/forgotten"):
        console_app.build_console_app(gateway.service.console_app.state.parts)


async def test_every_answer_carries_the_security_headers(gateway: Gateway) -> None:
    """Pages, JSON, refusals and static files; what is not static is never stored."""
    browser = await gateway.sign_in("admin")
    for path in ("/sources", "/api/sources", "/nothing", "/healthz", "/sign-in", "/static/console.css"):
        answer = await browser.get(path)
        assert {key: answer.headers[key] for key in SECURITY_HEADERS} == SECURITY_HEADERS, path
        assert ("no-store" in answer.headers["Cache-Control"]) == (not path.startswith("/static")), path


async def test_only_the_consoles_own_names_are_answered(gateway: Gateway) -> None:
    """A page under another name gets 421, unless it is a probe or a program with a token."""
    for host, status in (("evil.example", 421), ("localhost:1", 401), ("[::1]:8081", 401), ("", 421), ("a@b:c", 421)):
        answer = await gateway.stranger.get("/api/sources", Host=host, Accept="application/json")
        assert answer.status == status, host
    assert (await gateway.stranger.get("/healthz", Host="evil.example")).status == 200
    assert (await gateway.program.get("/api/sources", Host="10.0.0.1:8081")).status == 200


@pytest.mark.parametrize(
    ("headers", "token", "status"),
    [
        ({}, "right", 303),
        ({"Origin": "null"}, "right", 303),
        ({"Origin": "http://evil.example"}, "right", 403),
        ({"Origin": "null", "Sec-Fetch-Site": "cross-site"}, "right", 403),
        ({"Sec-Fetch-Site": "cross-site"}, "right", 403),
        ({"Sec-Fetch-Site": "same-site"}, "right", 403),
        ({"Origin": ""}, "right", 403),
        ({}, "wrong", 403),
        ({}, "", 403),
        ({"Origin": "http://evil.example"}, "", 403),
    ],
)
async def test_a_change_from_another_site_is_refused(
    gateway: Gateway, headers: dict[str, str], token: str, status: int
) -> None:
    """Origin, the browser's word on the site, and the form token of this session must all be right."""
    browser = await gateway.sign_in("admin")
    data = {"name": "web", "csrf_token": browser.form_token if token == "right" else token}
    assert (await browser.post("/sources/new", data, headers=headers)).status == status
    assert len(gateway.service.workspace.sources) == (1 if status == 303 else 0)


async def test_what_a_browser_is_refused_is_a_page_that_leads_on(gateway: Gateway) -> None:
    """A forged form, another name, a button's own address, what is not there: what happened, and the page above it."""
    browser, viewer = await gateway.sign_in("admin"), await gateway.sign_in("viewer")
    forged = {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"}
    answers = {
        'href="/sources"': (403, "own pages only", await browser.post("/sources/new", {"name": "x"}, headers=forged)),
        'href="/sources/web"': (403, "another sign-in", await browser.post("/sources/web/remove", {"csrf_token": ""})),
        'href="/dead-letters"': (405, "button on the page above", await browser.get("/dead-letters/preview")),
        'href="/destinations"': (404, "no destination named", await browser.get("/destinations/nobody")),
        'href="/"': (403, "Ask an admin", await viewer.get("/users")),
    }
    for way_back, (status, words, answer) in answers.items():
        assert (answer.status, words in answer.text, way_back in answer.text) == (status, True, True), way_back
    other_name = await browser.get("/sources", Host="evil.example")
    assert (other_name.status, "console_public_url" in other_name.text, 'href="/"' in other_name.text) == (
        421,
        True,
        False,
    )
    assert (await browser.get("/static/console.css", Host="evil.example")).status == 200


async def test_what_a_program_is_refused_is_json(gateway: Gateway) -> None:
    """Under /api always, elsewhere unless HTML is asked for."""
    browser = await gateway.sign_in("admin")
    forged = {"Origin": "http://evil.example"}
    for path, accept in (("/api/sources", "text/html"), ("/sources/new", "*/*")):
        answer = await browser.post(path, {"name": "x"}, headers={**forged, "Accept": accept})
        assert (answer.status, answer.json["code"]) == (403, "wrong_origin"), path
    answer = await browser.get("/sources", Host="evil.example", Accept="*/*")
    assert (answer.status, answer.json["code"]) == (421, "wrong_host")


async def test_a_fault_of_ours_is_told_without_its_text(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a page or as JSON, with the security headers."""
    browser = await gateway.sign_in("admin")

    def fail(_: object) -> None:
        raise ZeroDivisionError("a secret")

    monkeypatch.setattr("signalpost.console.pages.delivery.list_troubles", fail)
    page, answer = await browser.get("/delivery"), await browser.get("/delivery", Accept="*/*")
    assert (page.status, "The log says where" in page.text, answer.status, answer.json["code"]) == (
        500,
        True,
        500,
        "fault",
    )
    assert "secret" not in page.text + answer.text
    assert {key: page.headers[key] for key in SECURITY_HEADERS} == SECURITY_HEADERS


async def test_a_form_of_an_ended_session_leads_through_the_sign_in_to_its_page(gateway: Gateway) -> None:
    """And says that nothing was changed."""
    ended = await gateway.sign_in("admin", datetime.now(UTC) - timedelta(minutes=31))
    answer = await ended.post("/destinations/Main%20pixel/settings", {"pixel_id": "1"})
    assert (answer.status, answer.headers["Location"]) == (303, "/sign-in?next=/destinations/Main%2520pixel")
    assert "Nothing was changed" in unquote(answer.headers["Set-Cookie"])
    assert "Your session has ended" in unquote((await ended.get("/sources")).headers["Set-Cookie"])
    assert "Set-Cookie" not in (await gateway.stranger.get("/sources")).headers
    stale = await gateway.sign_in("admin", datetime.now(UTC) - timedelta(minutes=11))
    answer = await stale.post("/destinations/new/facebook-conversions-api", {"name": "x"})
    assert answer.headers["Location"] == "/confirm?next=/destinations/new/facebook-conversions-api"


async def test_another_sessions_form_token_is_refused(gateway: Gateway) -> None:
    """Even one of the same person."""
    first, second = await gateway.sign_in("admin"), await gateway.sign_in("admin")
    answer = await first.post("/sources/new", {"name": "web", "csrf_token": second.form_token})
    assert answer.status == 403


async def test_sign_in_is_checked_for_its_origin_too(gateway: Gateway) -> None:
    """Or another site could sign somebody in as somebody else."""
    answer = await gateway.stranger.post("/sign-in", {"name": "a", "password": "b"}, headers={"Origin": "http://x"})
    assert answer.status == 403


async def test_the_first_admin_signs_in_and_out(gateway: Gateway) -> None:
    """The printed token makes one account; the session that follows works until it is ended, on the server too."""
    token = gateway.service.setup_url.split("token=")[1]
    account = {"name": "Ann", "password": "four words make one"}
    assert (await gateway.stranger.post("/setup", {**account, "token": "wrong"})).status == 401
    weak = await gateway.stranger.post("/setup", {**account, "password": "short", "token": token})
    assert (weak.status, "at least 12 characters" in weak.text) == (422, True)
    done = await gateway.stranger.post("/setup", {**account, "token": token})
    cookie = done.headers["Set-Cookie"]
    assert (done.status, done.headers["Location"]) == (303, "/welcome")
    assert all(part in cookie for part in ("HttpOnly", "SameSite=lax", "Path=/"))
    assert (await gateway.stranger.post("/setup", {**account, "token": token})).headers["Location"] == "/sign-in"
    wrong = await gateway.stranger.post("/sign-in", {**account, "password": "not this one at all"})
    unknown = await gateway.stranger.post("/sign-in", {**account, "name": "Bob"})
    assert wrong.status == unknown.status == 401
    assert wrong.text.replace("Ann", "") == unknown.text.replace("Bob", "")
    signed_in = await gateway.stranger.post("/sign-in", {**account, "next": "/sources"})
    assert signed_in.headers["Location"] == "/sources"
    browser = gateway.stranger
    browser.session_id = signed_in.headers["Set-Cookie"].split(";")[0].split("=")[1]
    assert (await browser.get("/sources")).status == 200
    assert (await browser.post("/sign-out")).status == 303
    assert (await browser.get("/sources")).headers["Location"] == "/sign-in?next=/sources"


async def test_everybody_changes_the_own_password_with_the_old_one(gateway: Gateway) -> None:
    """A viewer too. Other browsers are signed out, this one goes on; a guess counts as one at the sign-in."""
    old, new = "four words make one", "five words make another one"
    await gateway.program.send("POST", "/api/users", json={"name": "Ben", "password": old, "role": "viewer"})
    browser, other = await sign_in_with(gateway, old), await sign_in_with(gateway, old)
    change = {"current": old, "password": new}
    wrong = await browser.post("/account/password", {**change, "current": "not this one at all"})
    assert (wrong.status, "Is not your password" in wrong.text) == (401, True)
    weak = await browser.post("/account/password", {**change, "password": "short"})
    assert (weak.status, "at least 12 characters" in weak.text) == (422, True)
    done = await browser.post("/account/password", change)
    assert (done.status, done.headers["Location"]) == (303, "/account")
    browser.session_id = read_session(done)
    assert (await browser.get("/account")).status == 200
    assert (await other.get("/account")).status == 303
    assert (await gateway.stranger.post("/sign-in", {"name": "Ben", "password": old})).status == 401
    other = await sign_in_with(gateway, new)
    kept = await browser.post("/account/sign-out")
    browser.session_id = read_session(kept)
    assert [(await each.get("/account")).status for each in (browser, other)] == [200, 303]
    actions = [row["action"] for row in (await gateway.program.get("/api/audit")).json]
    assert {"user.password_changed", "user.signed_out_everywhere"} <= set(actions)
    assert (await gateway.program.get("/account")).status == 404


async def sign_in_with(gateway: Gateway, password: str) -> Browser:
    browser = gateway.stranger
    browser.session_id = read_session(await browser.post("/sign-in", {"name": "Ben", "password": password}))
    return browser


def read_session(answer: Answer) -> str:
    """Of the cookies that an answer sets."""
    texts = answer.headers.getall("Set-Cookie")  # type: ignore[attr-defined]
    return str(next(text for text in texts if text.startswith("signalpost=")).split(";")[0].split("=")[1])


async def test_guessing_is_slowed_down(gateway: Gateway) -> None:
    """The sixth attempt within a minute is not looked at; the answer says when the next one is."""
    guess = {"name": "ann", "password": "a wrong guess indeed"}
    await gateway.sign_in("admin")
    assert [(await gateway.stranger.post("/sign-in", guess)).status for _ in range(5)] == [401] * 5
    answer = await gateway.stranger.post("/sign-in", guess)
    assert (answer.status, 1 <= int(answer.headers["Retry-After"]) <= 60) == (429, True)


@pytest.mark.parametrize("path", ["//evil.example", "/\\evil.example", "https://evil.example", "javascript:x", ""])
async def test_sign_in_leads_nowhere_else(gateway: Gateway, path: str) -> None:
    """Whatever the address asks for, only a page of this console follows."""
    browser = await gateway.sign_in("viewer")
    assert (await browser.send("GET", "/sign-in", params={"next": path})).headers["Location"] == "/"


async def test_an_ended_session_is_asked_to_sign_in(gateway: Gateway) -> None:
    """After 30 idle minutes; a page leads to the sign-in and back, an API request is told."""
    browser = await gateway.sign_in("admin", datetime.now(UTC) - timedelta(minutes=31))
    assert (await browser.get("/sources")).headers["Location"] == "/sign-in?next=/sources"
    assert (await browser.get("/api/sources")).status == 401


async def test_what_needs_the_password_asks_for_it(gateway: Gateway) -> None:
    """A session older than ten minutes may look and connect, and must confirm before it touches a token."""
    browser = await gateway.sign_in("admin", datetime.now(UTC) - timedelta(minutes=11))
    assert (await browser.get("/sources/new")).status == 200
    assert (await browser.get("/destinations/new")).headers["Location"] == "/confirm?next=/destinations/new"
    body = {"name": "ci", "role": "viewer"}
    own = {"Origin": browser.url, "Sec-Fetch-Site": "same-origin", "X-CSRF-Token": browser.form_token}
    answer = await browser.send("POST", "/api/tokens", json=body, headers={**own, "Accept": "application/json"})
    assert (answer.status, answer.json["code"]) == (403, "password_needed")


async def test_api_tokens_have_a_role_and_an_end(gateway: Gateway) -> None:
    """A viewer's token reads; a removed one is refused; it rides on no cookie, so it needs no form token."""
    made = await gateway.program.send("POST", "/api/tokens", json={"name": "ci", "role": "viewer"})
    program = gateway.stranger
    program.headers |= {"Authorization": f"Bearer {made.json['token']}", "Accept": "application/json"}
    assert (await program.get("/api/sources")).status == 200
    assert (await program.send("POST", "/api/sources", json={"name": "x"})).status == 403
    assert made.json["token"] not in (await gateway.program.get("/api/tokens")).text
    assert (await gateway.program.send("DELETE", f"/api/tokens/{made.json['id']}")).status == 204
    assert (await program.get("/api/sources")).status == 401
