"""What to paste into a website, an app, a server or a shell, with the real address and write key in it.

The code is in `snippet_texts`, one file for each sender, as docs/sdks explains it.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

_FOLDER: Final = Path(__file__).with_name("snippet_texts")


@dataclass(frozen=True, slots=True)
class Snippet:
    """One way to send a call. `name` is what the tab says; `where` tells where the code belongs."""

    id: str
    name: str
    where: str
    code: str


class _Sender(NamedTuple):
    id: str
    name: str
    where: str
    needs_https: bool = False


SENDERS: Final = (
    _Sender("curl", "curl", "In any shell; the quickest way to see a call arrive."),
    _Sender("browser", "Browser", "In your website's bundle (Analytics.js 2)."),
    _Sender("node", "Node.js", "On your server."),
    _Sender("python", "Python", "On your server."),
    _Sender("ruby", "Ruby", "On your server.", needs_https=True),
    _Sender("php", "PHP", "On your server.", needs_https=True),
    _Sender("go", "Go", "On your server."),
    _Sender("java", "Java", "On your server."),
    _Sender("dotnet", ".NET", "On your server, or in an app.", needs_https=True),
    _Sender("android", "Android", "In your app.", needs_https=True),
    _Sender("ios", "iOS", "In your app.", needs_https=True),
    _Sender("react-native", "React Native", "In your app.", needs_https=True),
)
_NEEDS_HTTPS: Final = (
    "This SDK speaks https only, and the address here is http: put TLS in front, and set server.public_url."
)


def build_snippets(tracking_url: str, write_key: str) -> list[Snippet]:
    """Return a snippet for each kind of sender."""
    scheme, _, host = tracking_url.partition("://")
    name, _, port = host.partition(":")
    values = {
        "YOUR_GATEWAY_URL": tracking_url,
        "YOUR_GATEWAY_HOST": host,
        "YOUR_GATEWAY_NAME": name,
        "YOUR_GATEWAY_PORT": port or ("443" if scheme == "https" else "80"),
        "YOUR_WRITE_KEY": write_key,
    }
    return [_build(sender, values, is_http=scheme == "http") for sender in SENDERS]


def _build(sender: _Sender, values: dict[str, str], *, is_http: bool) -> Snippet:
    code = _read(sender.id)
    for placeholder, value in values.items():
        code = code.replace(placeholder, value)
    where = f"{sender.where} {_NEEDS_HTTPS}" if sender.needs_https and is_http else sender.where
    return Snippet(sender.id, sender.name, where, code)


@cache
def _read(sender_id: str) -> str:
    return (_FOLDER / f"{sender_id}.txt").read_text()
