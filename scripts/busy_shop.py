"""A shop with real traffic for pictures of the console: a gateway that delivers to a local Meta, with some trouble.

Four destinations: one is well (Meta refuses a few of its events), one has a revoked token, one takes sales of shops,
and one is told to slow down at first. Each run sends the same calls, but for their times.
"""

import json
import math
import random
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CONVERSIONS_API, OFFLINE = "facebook-conversions-api", "facebook-offline-conversions"
DESTINATIONS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "Main pixel": (
        CONVERSIONS_API,
        {
            "pixel_id": "1234567890",
            "access_token": "EMULATOR_TOKEN",
            "standard_events": {"Trial Started": "StartTrial", "Quote Requested": "Lead"},
        },
    ),
    "EU store": (CONVERSIONS_API, {"pixel_id": "2234567890", "access_token": "EMULATOR_REVOKED"}),
    "Shop sales": (
        OFFLINE,
        {"event_sets": {"Order Completed": "3234567890"}, "access_token": "EMULATOR_TOKEN"},
    ),
    "Partner pixel": (CONVERSIONS_API, {"pixel_id": "4234567890", "access_token": "EMULATOR_TOKEN"}),
}
SOURCES: Mapping[str, tuple[str, ...]] = {
    "Website": ("Main pixel", "Partner pixel"),
    "iOS app": ("Main pixel",),
    "Store tills": ("Shop sales", "EU store"),
}
FAULTS: tuple[Mapping[str, Any], ...] = (
    {"fault": "poison", "match": {"event_name": "Lead"}, "params": {"as": "lead_id_invalid"}},
    {"fault": "throttle_app", "match": {"dataset_id": "4234567890"}, "times": 1},
)
PRODUCTS = (("Monopoly", 18.99), ("Uno", 8.5), ("Carcassonne", 32.0), ("Azul", 29.5), ("Chess set", 54.0))
NAMES = ("jo", "kim", "ines", "omar", "lena", "tariq", "mia", "noah", "ravi", "sofia")
EVENTS = (
    ("Product Viewed", 30),
    ("Product Added", 14),
    ("Products Searched", 10),
    ("Checkout Started", 8),
    ("Order Completed", 7),
    ("Trial Started", 3),
    ("Quote Requested", 1),
)


@dataclass
class Shop:
    """A running gateway with its local Meta, and ways to speak to both."""

    gateway: Mapping[str, Any]
    meta_url: str
    write_keys: dict[str, str] = field(default_factory=dict)

    @property
    def console_url(self) -> str:
        return str(self.gateway["console_url"])

    def ask_console(self, method: str, path: str, body: object = None) -> Any:
        """What the control API answers; the control token of the run opens it."""
        token = (Path(self.gateway["data_dir"]) / "control.token").read_text().split()[0]
        return _ask(method, self.console_url + path, body, f"Bearer {token}")

    def set_up(self) -> None:
        """Make the sources and destinations, and arm the trouble."""
        for name, (kind, settings) in DESTINATIONS.items():
            self.ask_console("POST", "/api/destinations", {"name": name, "type": kind, "settings": settings})
        for name, destinations in SOURCES.items():
            self.write_keys[name] = self.ask_console("POST", "/api/sources", {"name": name})["write_keys"][0]["key"]
            for destination in destinations:
                path = f"/api/sources/{name}/destinations/{destination}".replace(" ", "%20")
                self.ask_console("PUT", path)
        for fault in FAULTS:
            _ask("POST", f"{self.meta_url}/_emulator/faults", fault)

    def send(self, source: str, calls: list[Mapping[str, Any]]) -> None:
        """Send a batch as a Segment client would."""
        credentials = b64encode(f"{self.write_keys[source]}:".encode()).decode()
        _ask("POST", f"{self.gateway['tracking_url']}/v1/batch", {"batch": calls}, f"Basic {credentials}")

    def knock(self) -> None:
        """Come with a key that nobody has."""
        try:
            _ask(
                "POST",
                f"{self.gateway['tracking_url']}/v1/track",
                {"event": "x"},
                f"Basic {b64encode(b'wk_old:').decode()}",
            )
        except urllib.error.HTTPError as refusal:
            refusal.close()


@contextmanager
def running_shop() -> Iterator[Shop]:
    """A shop in a folder of its own, without any source yet."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        meta = stack.enter_context(_running(folder, "emulator", "--port", "0"))
        file = folder / "signalpost.toml"
        file.write_text(
            f'[server]\nhost = "127.0.0.1"\nport = 0\nconsole_port = 0\ndata_dir = "{folder / "data"}"\n'
            f'[meta]\nbase_url = "{meta["url"]}"\napp_id = "123456789"\napp_secret = "EMULATOR_APP_SECRET"\n'
        )
        yield Shop(stack.enter_context(_running(folder, "serve", "--config", str(file))), str(meta["url"]))


@contextmanager
def busy(shop: Shop, pause: float = 1.0) -> Iterator[None]:
    """Customers come, a batch of each source every `pause` seconds, while this is entered."""
    closed = threading.Event()
    thread = threading.Thread(target=_serve_customers, args=(shop, closed, pause))
    thread.start()
    try:
        yield
    finally:
        closed.set()
        thread.join()


def _serve_customers(shop: Shop, closed: threading.Event, pause: float) -> None:
    chance = random.Random(7)  # noqa: S311 - the same customers each time
    number = 0
    while not closed.is_set():
        for source in SOURCES:
            crowd = 5 + 4 * math.sin(time.monotonic() / 60)  # customers come in waves
            calls = [build_call(chance, source, number + index) for index in range(chance.randint(1, round(crowd) + 1))]
            number += len(calls)
            shop.send(source, calls)
        if number % 5 == 0:
            shop.knock()
        closed.wait(pause)


def build_call(chance: random.Random, source: str, number: int) -> dict[str, Any]:
    """One customer's call, mostly well, sometimes with what goes wrong in life."""
    names, weights = zip(*EVENTS, strict=True)
    name, (product, price) = chance.choices(names, weights)[0], chance.choice(PRODUCTS)
    if source == "Store tills":
        name = "Order Completed"
    person = chance.choice(NAMES)
    traits: dict[str, Any] = {"email": f"{person}{number}@mail.example"}
    if chance.random() < 0.6:
        traits |= {"phone": f"+44 20 7946 0{chance.randint(100, 999)}", "address": {"country": "GB", "city": "London"}}
    properties: dict[str, Any] = {
        "product_id": product.lower().replace(" ", "-"), "name": product, "price": price, "quantity": 1,
        "currency": "GBP", "revenue": price, "order_id": f"A-{1000 + number}",
    }  # fmt: skip
    call: dict[str, Any] = {
        "type": "track",
        "event": name,
        "messageId": f"shop-{number}",
        "userId": f"{person}-{number}",
        "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "properties": properties,
        "context": {
            "traits": traits,
            "ip": f"203.0.113.{chance.randint(1, 254)}",
            "userAgent": "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_1) AppleWebKit/605.1.15 Safari/605.1",
            "page": {"url": "https://shop.example/games"},
        },
    }
    return _add_a_fault(chance, call)


def _add_a_fault(chance: random.Random, call: dict[str, Any]) -> dict[str, Any]:
    fate = chance.random()
    if fate < 0.03 and call["event"] == "Order Completed":
        del call["properties"]["revenue"], call["properties"]["price"]
    elif fate < 0.05:
        call["integrations"] = {"All": False}
    elif fate < 0.06:
        del call["event"]
    elif fate < 0.09:
        call |= {"type": "identify", "traits": call["context"]["traits"]}
    return call


@contextmanager
def _running(folder: Path, *arguments: str) -> Iterator[Mapping[str, Any]]:
    command = [sys.executable, "-m", "signalpost", *arguments, "--json"]
    log = (folder / f"{arguments[0]}.log").open("ab")
    with log, subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=log, text=True) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            if not line:
                sys.exit((folder / f"{arguments[0]}.log").read_text())
            yield json.loads(line)
        finally:
            process.terminate()


def _ask(method: str, url: str, body: object = None, authorization: str = "") -> Any:
    request = urllib.request.Request(url, json.dumps(body).encode() if body is not None else None, method=method)  # noqa: S310 - its own processes
    request.add_header("Content-Type", "application/json")
    if authorization:
        request.add_header("Authorization", authorization)
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        text = answer.read()
    return json.loads(text) if text else None
