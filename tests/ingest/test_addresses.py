"""Whose address a request comes from, and how much of it is kept."""

from ipaddress import ip_network

import pytest

from signalpost.ingest.addresses import TrustedProxies, cut_to_network, find_subscriber
from signalpost.ingest.routes import TrackingSettings
from tests.ingest.gateway import CALL, running_gateway

PROXIES = TrustedProxies([ip_network("10.0.0.0/8"), ip_network("fd00::/8")])


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "client"),
    [
        ("198.51.100.9", "203.0.113.7", "198.51.100.9"),
        ("10.0.0.1", "203.0.113.7", "203.0.113.7"),
        ("10.0.0.1", "1.2.3.4, 203.0.113.7", "203.0.113.7"),
        ("10.0.0.1", "203.0.113.7, 10.0.0.2", "203.0.113.7"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "203.0.113.7, evil, 10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", "evil", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.7,", "10.0.0.1"),
        ("fd00::1", "2001:db8::7", "2001:db8::7"),
        ("10.0.0.1", "::ffff:203.0.113.7", "203.0.113.7"),
        ("10.0.0.1", "2001:db8::7%eth0", "2001:db8::7"),
    ],
)
def test_the_first_untrusted_hop_from_the_right(peer, forwarded_for, client):
    """What stands left of it was written by the client, and proves nothing; a malformed entry ends the walk."""
    assert PROXIES.find_client(peer, forwarded_for) == client


def test_what_is_kept():
    """An address is kept as its /24 or /48; a limit counts IPv6 by the /64 that one subscriber has."""
    assert [cut_to_network(ip) for ip in ("203.0.113.7", "2001:db8:1:2::3", "evil", "")] == [
        "203.0.113.0/24",
        "2001:db8:1::/48",
        "",
        "",
    ]
    assert [find_subscriber(ip) for ip in ("203.0.113.7", "2001:db8:1:2::3")] == ["203.0.113.7", "2001:db8:1:2::/64"]


@pytest.mark.asyncio
async def test_a_forged_address_reaches_nobody(tmp_path):
    """Without a trusted proxy X-Forwarded-For, Forwarded and X-Real-IP are not read; with one the first is."""
    forged = {"X-Forwarded-For": "203.0.113.7", "Forwarded": "for=203.0.113.7", "X-Real-IP": "203.0.113.7"}
    headers = {**forged, "Origin": "https://shop.example", "User-Agent": "Mozilla/5.0"}
    for trusted, address in (([], None), ([ip_network("127.0.0.1")], "203.0.113.7")):
        settings = TrackingSettings(trusted_proxies=trusted)
        async with running_gateway(tmp_path / str(len(trusted)), settings=settings) as gateway:
            await gateway.track(CALL, headers=headers)
            (event,) = await gateway.pending()
        # The test's own address is a loopback one, which mapping drops.
        assert event["user_data"].get("client_ip_address") == address


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("kind", "headers", "context", "is_filled"),
    [
        (None, {}, {}, False),
        (None, {"Origin": "https://shop.example"}, {}, True),
        (None, {}, {"direct": True}, True),
        (None, {}, {"library": {"name": "analytics-kotlin"}}, True),
        (None, {}, {"library": {"name": "analytics-python"}}, False),
        ("browser", {}, {}, True),
        ("mobile", {}, {}, True),
        ("server", {"Origin": "https://shop.example"}, {"library": {"name": "analytics.js"}}, False),
        ("server", {}, {"direct": True}, True),
    ],
)
async def test_whose_browser_it_is(tmp_path, kind, headers, context, is_filled):
    """Address and agent of the connection are a person's only for client-side calls; the source's kind decides."""
    async with running_gateway(tmp_path, kind=kind) as gateway:
        await gateway.track({**CALL, "context": context}, headers={"User-Agent": "Mozilla/5.0", **headers})
        (event,) = await gateway.pending()
    assert event["user_data"].get("client_user_agent") == ("Mozilla/5.0" if is_filled else None)
