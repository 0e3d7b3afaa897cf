"""Whose address a request comes from: the peer's, or what a trusted proxy says; and how much of it may be kept."""

import ipaddress
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_KEPT_BITS: Final = {4: 24, 6: 48}
_SUBSCRIBER_BITS: Final = 64
"""One subscriber is given this much of the IPv6 space, so a limit for one address counts all of it."""


class TrustedProxies:
    """The proxies whose X-Forwarded-For and X-Forwarded-Proto count. Source: tracking API, section 6."""

    def __init__(self, networks: Sequence[Network] = ()) -> None:
        self._networks = tuple(networks)
        self._is_trusted = lru_cache(maxsize=1_024)(self._search)

    def __contains__(self, ip: str) -> bool:
        return bool(self._networks) and self._is_trusted(ip)

    def _search(self, ip: str) -> bool:
        address = read_address(ip)
        return address is not None and any(address in network for network in self._networks)

    def find_client(self, peer: str, forwarded_for: str) -> str:
        """Read X-Forwarded-For from the right, skip trusted hops; the first other one is the client.

        An entry that is no address ends the walk: what is left of it was written by nobody we trust.
        """
        client = peer
        if peer in self:
            for entry in reversed(forwarded_for.split(",")):
                address = read_address(entry.strip())
                if address is None:
                    break
                client = str(address)
                if client not in self:
                    break
        return client


def read_address(text: str) -> Address | None:
    """An IPv4 or IPv6 address, or None. An IPv4 address in IPv6 clothes is IPv4; a zone (`%eth0`) tells us nothing."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if address.version == 6 else None
    return mapped or address


@lru_cache(maxsize=4_096)
def cut_to_network(ip: str) -> str:
    """The address as it may be kept and shown: /24 or /48; "" when it is none."""
    return _cut(ip, _KEPT_BITS)


@lru_cache(maxsize=4_096)
def find_subscriber(ip: str) -> str:
    """What a limit for one address counts: the IPv4 address, or the /64 of an IPv6 one."""
    return _cut(ip, {6: _SUBSCRIBER_BITS}) if ":" in ip else ip


def _cut(ip: str, bits: dict[int, int]) -> str:
    address = read_address(ip)
    if address is None:
        return ""
    if address.version not in bits:
        return str(address)
    return str(ipaddress.ip_network((address, bits[address.version]), strict=False))
