"""One person and one token, unlike any other, through every path; afterwards they are nowhere outside of memory.

The gateway is a real process; three of its functions are made to fail with an error that quotes what they were given,
as a bug of ours might.
"""

import gzip
import hashlib
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.acceptance.commands import run
from tests.acceptance.echoing_meta import BUSY, DOWN, GOOD, REFUSED, REVOKED, SILENT, EchoingMeta
from tests.acceptance.processes import WRITE_KEY, Program, running

EMAIL, PHONE = "canary.zephyrine@birdcage-mail.example", "+442079460318"
FIRST_NAME, LAST_NAME, STREET = "Zephyrine", "Quillfeather", "17 Birdcage Terrace"
TOKEN = "tokenCanary4Zq8wXv2LpN6"

PLAIN = {
    "e-mail": [EMAIL, EMAIL.upper(), EMAIL.replace("@", "%40"), "canary.zephyrine", "birdcage-mail"],
    "phone": [PHONE, PHONE[1:], "02079460318", "2079460318", "020 7946 0318"],
    "name": [FIRST_NAME, FIRST_NAME.lower(), LAST_NAME, LAST_NAME.lower()],
    "street": [STREET, STREET.lower(), "Birdcage%20Terrace"],
    "token": [TOKEN],
}
NAMED = re.compile(rf"(first|last)_?name(<[^>]*>|&#?\w+;|\W)*({FIRST_NAME}|{LAST_NAME})", re.IGNORECASE)
HASHED = hashlib.sha256(EMAIL.encode()).hexdigest()

TRAITS = {
    "email": EMAIL,
    "phone": "020 7946 0318",
    "firstName": FIRST_NAME,
    "lastName": LAST_NAME,
    "address": {"street": STREET, "city": "London", "country": "GB"},
}
CONTEXT = {
    "traits": TRAITS,
    "ip": "203.0.113.9",
    "userAgent": "Mozilla/5.0",
    "page": {"url": f"https://shop.example/thanks?email={EMAIL.replace('@', '%40')}&page=1"},
}
PROPERTIES = {"revenue": 5, "currency": "GBP", "email": EMAIL, "query": EMAIL, "note": {"phone": PHONE}}

FAULTY = """
import sys
from signalpost.cli import main
from signalpost.ingest import intake
from signalpost.meta.client import MetaClient

def fail_for(name, function):
    def wrapped(subject, *arguments, **options):
        if name in str(getattr(subject, "event", subject)):
            raise ValueError(f"cannot work with {subject}, {arguments}")
        return function(subject, *arguments, **options)
    return wrapped

intake.parse_call = fail_for("Crash Parsing", intake.parse_call)
intake.map_event = fail_for("Crash Mapping", intake.map_event)
sys.argv[0] = "signalpost"
main()
"""


def write_configuration(folder: Path, meta_url: str) -> Path:
    """A source and a destination for each behaviour of Meta's."""
    datasets = {"good": GOOD, "refused": REFUSED, "revoked": REVOKED, "down": DOWN, "busy": BUSY, "silent": SILENT}
    (folder / "token.txt").write_text(TOKEN)
    (folder / "token.txt").chmod(0o600)
    text = f"""
        [server]
        host = "127.0.0.1"
        port = 0
        console_port = 0
        data_dir = "{folder / "data"}"
        [meta]
        base_url = "{meta_url}"
        [delivery]
        linger_seconds = 0.05
        [log]
        level = "debug"
        format = "json"
        """
    for number, (name, dataset) in enumerate(datasets.items()):
        text += f"""
        [[sources]]
        name = "shop-{name}"
        write_keys = ["{build_key(number)}"]
        destinations = ["{name}"]
        [[destinations]]
        name = "{name}"
        type = "facebook-conversions-api"
        pixel_id = "{dataset}"
        access_token_file = "token.txt"
        """
    file = folder / "signalpost.toml"
    file.write_text(text)
    return file


def build_key(number: int) -> str:
    return f"{WRITE_KEY}_{number}"


def build_call(**fields: Any) -> dict[str, Any]:
    call = {"userId": EMAIL, "event": "Order Completed", "properties": PROPERTIES, "context": CONTEXT, **fields}
    return {name: value for name, value in call.items() if value is not ...}


BAD_CALLS: Mapping[str, dict[str, Any]] = {
    "missing value": build_call(properties={"currency": "GBP", "email": EMAIL}),
    "invalid currency": build_call(properties={**PROPERTIES, "currency": EMAIL}),
    "invalid action source": build_call(properties={**PROPERTIES, "action_source": FIRST_NAME}),
    "too old": build_call(timestamp="2020-01-01T00:00:00Z"),
    "name too long": build_call(event="Signed up to the newsletter of a shop for hats and coats"),
    "nothing to match": build_call(userId=EMAIL, anonymousId=..., context={"traits": {"address": {"street": STREET}}}),
    "excluded": build_call(integrations={"All": False, "note": EMAIL}),
    "unmapped": build_call(event="Hat Tried On"),
    "mapping crashes": build_call(event="Crash Mapping"),
    "parsing crashes": build_call(event="Crash Parsing"),
    "no user": build_call(userId=..., anonymousId=...),
    "event is no text": build_call(event={"email": EMAIL, "name": LAST_NAME}),
    "traits are no object": build_call(context={"traits": EMAIL}),
    "bad timestamp": build_call(timestamp=EMAIL),
}
BAD_BODIES: Mapping[str, bytes] = {
    "not JSON": f'{{"email": "{EMAIL}", "name": "{LAST_NAME}", '.encode(),
    "no object": json.dumps([EMAIL, PHONE, STREET]).encode(),
    "invalid UTF-8": b'{"event": "\xff' + EMAIL.encode() + b'"}',
    "too large": json.dumps({"note": f"{EMAIL} {STREET} " * 20_000}).encode(),
    "too large a call": json.dumps(build_call(properties={"note": f"{EMAIL} " * 2_000})).encode(),
    "deep": b"[" * 2_000 + EMAIL.encode(),
}


TO_MAP = (build_call(messageId="mapped"), *BAD_CALLS.values())


def start_faulty(folder: Path, config: Path) -> Program:
    """A gateway with three faults of ours; its standard error goes to serve.log."""
    command = [sys.executable, "-c", FAULTY, "serve", "--config", str(config), "--json"]
    with (folder / "serve.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, cwd=folder, text=True)
    assert process.stdout is not None
    return Program(process, json.loads(process.stdout.readline()))


def send_everything(gateway: Program) -> list[str]:
    """Every call and body by every way in; what was answered."""
    url, key = gateway.announced["tracking_url"], (build_key(0), "")
    answers = []

    def post(path: str, body: bytes, **options: Any) -> None:
        answer = requests.post(url + path, data=body, timeout=15, **options)
        answers.append(f"{answer.status_code} {answer.headers} {answer.text}")

    for call in BAD_CALLS.values():
        post("/v1/track", json.dumps(call).encode(), auth=key)
        post("/v1/batch", json.dumps({"batch": [{"type": "track", **call}]}).encode(), auth=key)
    for body in BAD_BODIES.values():
        post("/v1/track", body, auth=key)
        post("/v1/batch", body, auth=key)
    post("/v1/track", gzip.compress(BAD_BODIES["not JSON"])[:-9], auth=key, headers={"Content-Encoding": "gzip"})
    post("/v1/track", EMAIL.encode(), auth=key, headers={"Content-Encoding": LAST_NAME})
    post("/v1/track", json.dumps(build_call()).encode(), auth=(EMAIL, ""))
    post("/v1/track", json.dumps({**build_call(), "writeKey": PHONE}).encode())
    post("/v1/track", json.dumps(build_call()).encode())
    post(f"/v1/{LAST_NAME}?email={EMAIL}", b"{}", auth=key)
    post(f"/v1/track?writeKey={EMAIL}", b"{}")
    for call_type in ("identify", "page", "screen", "group", "alias"):
        call = build_call(traits=TRAITS, name="Checkout", groupId=EMAIL, previousId=EMAIL)
        post(f"/v1/{call_type}", json.dumps(call).encode(), auth=key)
    for number in range(6):
        post("/v1/track", json.dumps(build_call(messageId=f"good-{number}")).encode(), auth=(build_key(number), ""))
    post("/v1/track", json.dumps(build_call(messageId="good-0")).encode(), auth=key)
    return answers


def wait_until_every_destination_was_asked(meta: EchoingMeta) -> None:
    deadline = time.monotonic() + 30
    while set(meta.asked) != {GOOD, REFUSED, REVOKED, DOWN, BUSY, SILENT}:
        assert time.monotonic() < deadline, meta.asked
        time.sleep(0.02)


def ask_console(gateway: Program) -> Iterator[str]:
    """What machines and people read of a running gateway: every page, every call in the debugger, the API, metrics."""
    letters = gateway.read_api("/api/dead-letters?limit=1000")["dead_letters"]
    calls = [call["number"] for call in gateway.read_api("/api/calls")]
    assert len(letters) > 10
    assert len(calls) > 50
    control_token = (Path(gateway.announced["data_dir"]) / "control.token").read_text().split()[0]
    paths = [
        *CONSOLE_PATHS,
        *(f"/debugger/calls/{number}" for number in calls),
        *(path.format(number) for number in calls[::10] for path in EXPLAINING_PATHS),
        *(f"/api/dead-letters/{letter['id']}" for letter in letters),
    ]
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {control_token}"
        for path in paths:
            answer = session.get(gateway.announced["console_url"] + path, timeout=15)
            assert answer.status_code == 200, (path, answer.status_code, answer.text[:1_000])
            yield f"{path} {answer.headers} {answer.text}"


EXPLAINING_PATHS = ("/debugger/calls/{}/steps", "/tester?call={}")
CONSOLE_PATHS = (
    "/metrics",
    "/readyz",
    "/openapi.json",
    *(f"/api/{name}" for name in ("ledger", "calls", "refused-requests", "delivery", "audit", "export", "users")),
    *(f"/api/{name}" for name in ("sources", "destinations", "tokens", "dead-letters", "dead-letters/groups")),
    "/api/events?message_id=good-0",
    *("/overview", "/delivery", "/delivery/now", "/delivery/ledger", "/delivery/trend"),
    *("/delivery/discard?destination=refused", "/dead-letters", "/debugger", "/debugger/calls", "/find?id=good-1"),
    *(
        "/sources",
        "/sources/shop-good",
        "/destinations",
        "/destinations/good",
        "/tester",
        "/users",
        "/audit",
        "/export",
    ),
)

COMMANDS: tuple[tuple[str, ...], ...] = (
    ("dead-letters", "list"),
    ("dead-letters", "list", "--json"),
    ("dead-letters", "show", "1"),
    ("dead-letters", "requeue", "--all", "--yes"),
    ("dead-letters", "discard", "--code", "400", "--yes", "--json"),
    ("status",),
    ("status", "--json"),
    ("doctor",),
    ("doctor", "--json"),
    ("backup", "backup"),
)

_MAP = ("map", "calls.jsonl", "--destination", "facebook-conversions-api", "--settings", "settings.json")
MAPPINGS: tuple[tuple[str, ...], ...] = (_MAP, (*_MAP, "--explain", "--json"), (*_MAP, "--explain"))


@pytest.fixture
def meta(tmp_path: Path) -> Iterator[EchoingMeta]:
    with running("emulator", "--port", "0", folder=tmp_path) as emulator:
        echoing = EchoingMeta(emulator.announced["url"])
        yield echoing
        echoing.close()


def test_nobody_is_found_outside_of_memory(tmp_path: Path, meta: EchoingMeta) -> None:
    """Plain personal data and the token are in no file, log, metric, answer or output of a command; hashes are."""
    config = write_configuration(tmp_path, meta.url)
    told: list[str] = []
    gateway = start_faulty(tmp_path, config)
    told += send_everything(gateway)
    wait_until_every_destination_was_asked(meta)
    shown = list(ask_console(gateway))
    gateway.kill()
    told.append(gateway.rest)
    files_after_the_kill = read_files(tmp_path / "data")

    gateway = start_faulty(tmp_path, config)
    told += send_everything(gateway)
    for command in COMMANDS:
        ended = run(*command, "--config", str(config), folder=tmp_path)
        told.append(f"{command}\n{ended.stdout.decode()}{ended.stderr.decode()}")
    (tmp_path / "settings.json").write_text(json.dumps({"pixel_id": GOOD}))
    (tmp_path / "calls.jsonl").write_text("".join(json.dumps({"type": "track", **call}) + "\n" for call in TO_MAP))
    for command in MAPPINGS:
        shown.append(f"{command}\n{run(*command, folder=tmp_path).stdout.decode()}")
        assert HASHED in shown[-1] or command[-1] == "--explain"  # whose tables break it
    limits = Path(f"/proc/{gateway.process.pid}/limits").read_text()
    assert gateway.stop() == 0
    told.append(gateway.rest)
    log = (tmp_path / "serve.log").read_text()

    files = {
        **{f"{name} (killed)": data for name, data in files_after_the_kill.items()},
        **read_files(tmp_path / "data"),
        **{f"backup/{name}": data for name, data in read_files(tmp_path / "backup").items()},
    }
    assert "backup/queue.db" in files
    places = {**files, "log": log.encode(), "told": "\n".join(told).encode(), "shown": "\n".join(shown).encode()}
    found = [
        f"{kind} in {place}: ...{data[max(0, at - 60) : at + 60]!r}..."
        for place, data in places.items()
        for kind, forms in PLAIN.items()
        for form in forms
        # Calls are shown as they came, masked: what is a name is known by where it stands.
        if (place, kind) != ("shown", "name") and (at := data.find(form.encode())) >= 0
    ]
    assert not found, "\n".join(found)
    assert "firstName" in places["shown"].decode()
    assert not NAMED.search(places["shown"].decode())
    assert re.search(r"^Max core file size +0 +0 ", limits, re.MULTILINE)

    # The search looks where the events are, and every path was walked.
    assert any(HASHED.encode() in data for data in files.values())
    actions = {json.loads(line)["action"] for line in log.splitlines()}
    assert {"request_failed", "mapping_failed", "dead_lettered", "retry_scheduled", "destination_paused"} <= actions
    for code in (
        "missing_write_key",
        "invalid_json",
        "payload_too_large",
        "no_user_anon_id",
        "temporarily_unavailable",
    ):
        assert code in places["told"].decode()


def read_files(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
