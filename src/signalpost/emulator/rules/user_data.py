"""Checks of user_data: enough of it, hashed where it must be, and of the right shape.

Sources: "Customer Information Parameters", "Best Practices" (insufficient combinations), "fbp and fbc Parameters".
"""

import re
import socket
from collections.abc import Callable
from typing import Any

from signalpost.emulator.rules.findings import Finding, Findings, Subject

HASHED_KEYS = frozenset(
    {"em", "ph", "fn", "ln", "db", "ge", "ct", "st", "zp", "country", "f5first", "f5last", "fi", "dobd", "dobm", "doby"}
)
PLAIN_KEYS = frozenset(
    {
        "external_id",
        "client_user_agent",
        "lead_id",
        "fb_login_id",
        "subscription_id",
        "anon_id",
        "madid",
        "page_id",
        "page_scoped_user_id",
        "ctwa_clid",
        "ig_account_id",
        "ig_sid",
        "whatsapp_business_account_id",
    }
)
CHECKED_KEYS = frozenset({"client_ip_address", "fbc", "fbp"})
KNOWN_KEYS = HASHED_KEYS | PLAIN_KEYS | CHECKED_KEYS

# Every subset of one of these says too little about a person.
INSUFFICIENT_SETS = (
    frozenset({"ct", "country", "st", "zp", "ge", "client_user_agent"}),
    frozenset({"db", "client_user_agent"}),
    frozenset({"fn", "ge"}),
    frozenset({"ln", "ge"}),
)
# One of these alone is enough, so the sets need no look.
SUFFICIENT_KEYS = KNOWN_KEYS.difference(*INSUFFICIENT_SETS)

HEX_DIGITS = b"0123456789abcdef"
SHA256_LENGTH = 64
HASH_OF_NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
# The appendix after the dot is what Meta's parameter builder adds.
is_sha256 = re.compile(r"[0-9a-f]{64}(?:\.(?:.{2}|.{8}))?").fullmatch
is_sha256_in_any_case = re.compile(r"[0-9A-Fa-f]{64}(?:\.(?:.{2}|.{8}))?").fullmatch
is_other_hash = re.compile(r"[0-9A-Fa-f]{32}|[0-9A-Fa-f]{40}|[0-9A-Fa-f]{128}").fullmatch
is_fbc = re.compile(r"fb\.[0-9]+\.[0-9]+\.\S+").fullmatch
is_fbp = re.compile(r"fb\.[0-9]+\.[0-9]+\.[0-9]+(?:\.(?:\S{2}|\S{8}))?").fullmatch
is_lead_id = re.compile(r"[0-9]{15,16}").fullmatch

TOO_LITTLE = (Finding("match_keys_insufficient", "user_data", "These keys alone can't identify a person"),)
LEAD_ID_INVALID = (Finding("lead_id_invalid", "user_data.lead_id", "lead_id must have 15 or 16 digits"),)


def check_match_keys(subject: Subject) -> Findings:
    """Object when all keys with a usable value are in one of the insufficient sets. Unknown keys don't count."""
    user_data = subject.user_data
    for key, value in user_data.items():
        if key in SUFFICIENT_KEYS and has_usable_value(value):
            return ()
    keys = {key for key, value in user_data.items() if key in KNOWN_KEYS and has_usable_value(value)}
    return TOO_LITTLE if any(keys <= insufficient for insufficient in INSUFFICIENT_SETS) else ()


def has_usable_value(value: Any) -> bool:
    if type(value) is str:
        return value != ""
    if type(value) is list:
        return any(has_usable_value(element) for element in value)
    return type(value) is int or type(value) is float


def check_lead_id(subject: Subject) -> Findings:
    lead_id = subject.user_data.get("lead_id")
    if lead_id is None or lead_id in ("", []):
        return ()
    values = lead_id if isinstance(lead_id, list) else [lead_id]
    texts = [str(value) if type(value) is int else value for value in values]
    return () if all(type(text) is str and is_lead_id(text) for text in texts) else LEAD_ID_INVALID


def check_user_data_fields(subject: Subject) -> Findings:
    findings: Findings = ()
    likely_hashes = []
    for key, value in subject.user_data.items():
        if key in HASHED_KEYS:
            if type(value) is str and len(value) == SHA256_LENGTH and value != HASH_OF_NOTHING:
                likely_hashes.append(value)
            else:
                findings += _find_hash_faults(key, value)
        elif key not in PLAIN_KEYS:
            findings += FIELD_CHECKS.get(key, _find_unknown_key)(key, value)
    # One look at all of them together costs a sixth of one look at each.
    if "".join(likely_hashes).encode(errors="replace").translate(None, HEX_DIGITS):
        for key in subject.user_data.keys() & HASHED_KEYS:
            findings += _find_hash_faults(key, subject.user_data[key])
    return tuple(dict.fromkeys(findings)) if findings else ()


def _find_hash_faults(key: str, value: Any) -> Findings:
    if value is None or value == "":
        return ()
    values = value if isinstance(value, list) else [value]
    faults = (_find_hash_fault(f"user_data.{key}", single) for single in values)
    return tuple(fault for fault in faults if fault is not None)


def _find_hash_fault(field: str, value: Any) -> Finding | None:
    if type(value) is not str:
        return Finding("value_not_hashed", field, "Not text: would not match", is_red=True)
    if value[:64] == HASH_OF_NOTHING:
        return Finding("hash_unusable", field, "The hash of an empty value: would not match", is_red=True)
    if is_sha256(value):
        return None
    if is_sha256_in_any_case(value):
        return Finding("hash_unusable", field, "Upper-case hash: would not match", is_red=True)
    if is_other_hash(value):
        return Finding("hash_unusable", field, "MD5, SHA-1 or SHA-512: only SHA-256 is documented", is_red=True)
    return Finding(
        "value_not_hashed", field, "Not hashed: would not match, and it is personal data in clear", is_red=True
    )


def _find_malformed_fbc(_key: str, value: Any) -> Findings:
    if type(value) is str and is_fbc(value):
        return ()
    return (Finding("click_id_malformed", "user_data.fbc", "fbc must look like fb.1.<ms>.<fbclid>"),)


def _find_malformed_fbp(_key: str, value: Any) -> Findings:
    if type(value) is str and is_fbp(value):
        return ()
    return (Finding("click_id_malformed", "user_data.fbp", "fbp must look like fb.1.<ms>.<number>"),)


def _find_malformed_ip(_key: str, value: Any) -> Findings:
    if type(value) is str:
        family = socket.AF_INET6 if ":" in value else socket.AF_INET
        try:
            socket.inet_pton(family, value)
        except (OSError, ValueError):
            pass
        else:
            return ()
    return (Finding("ip_address_malformed", "user_data.client_ip_address", "Neither an IPv4 nor an IPv6 address"),)


def _find_unknown_key(key: str, _value: Any) -> Findings:
    return (Finding("user_data_key_unknown", f"user_data.{key}", "Not a documented key of user_data"),)


FIELD_CHECKS: dict[str, Callable[[str, Any], Findings]] = {
    "fbc": _find_malformed_fbc,
    "fbp": _find_malformed_fbp,
    "client_ip_address": _find_malformed_ip,
}
