"""Stored things in the shape that the control API and the pages show, worked out when somebody looks."""

from typing import Any

import msgspec

from signalpost.emulator.clock import format_instant
from signalpost.emulator.rules.catalogue import RULES
from signalpost.emulator.rules.findings import Finding
from signalpost.emulator.store import EventStore, LoggedRequest, StoredEvent

REPEAT_REASON = "Meta does not promise to discard it"


def describe_event(stored: StoredEvent, store: EventStore) -> dict[str, Any]:
    """Return one stored event with its verdict, its notes and its body."""
    twin = store.find_first_twin(stored)
    return {
        "seq": stored.seq,
        "received_at": format_instant(stored.received_at),
        "channel": "server",
        "dataset_id": stored.dataset_id,
        "event_name": stored.event_name,
        "event_id": stored.event_id,
        "event_time": stored.body["event_time"],
        "action_source": stored.body.get("action_source"),
        "test_event_code": stored.test_event_code,
        "request_seq": stored.request_seq,
        "verdict": find_verdict(stored),
        "method": None,
        "against": twin.seq if twin else None,
        "window_ends_at": None,
        "reason": REPEAT_REASON if stored.is_repeat else None,
        "confidence": "documented",
        "notes": [describe_finding(finding) for finding in stored.notes],
        "body": stored.body,
    }


def find_verdict(stored: StoredEvent) -> str:
    """Return ambiguous for a server event whose name and id came before, else kept."""
    return "ambiguous" if stored.is_repeat else "kept"


def describe_finding(finding: Finding) -> dict[str, Any]:
    rule = RULES[finding.rule]
    return {
        "rule": finding.rule,
        "field": finding.field,
        "text": finding.text,
        "is_red": finding.is_red,
        "title": rule.title,
        "confidence": rule.confidence,
        "source": rule.source,
    }


def describe_request(logged: LoggedRequest) -> dict[str, Any]:
    return {**msgspec.structs.asdict(logged), "received_at": format_instant(logged.received_at)}
