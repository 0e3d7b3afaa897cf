"""The verdict on a batch: every event passes every check, or the first refusal is the answer to the whole request."""

from collections.abc import Sequence

import msgspec

from signalpost.emulator.decode import Event
from signalpost.emulator.profiles import Profile, find_refused_rules, is_strict_only
from signalpost.emulator.rules.catalogue import CHECKS, RULES
from signalpost.emulator.rules.findings import Finding, Findings, Rule, Subject, open_event

UNSEEN_ENFORCEMENT = "documented requirement, enforcement not seen"
# Rows whose text for people names the field or the rule; all other rows say what Meta says, word for word.
ROWS_THAT_NAME_THE_FIELD = frozenset({"event_field_missing", "param_invalid"})


class Refusal(msgspec.Struct, frozen=True):
    """The row to answer with, the rule behind it, and the words a person reads (None: those of the row)."""

    row: str
    rule: str
    confidence: str
    title: str | None
    text: str | None


def judge_batch(events: Sequence[Event], profile: Profile, now: int) -> Refusal | list[Findings]:
    """Return the notes of each event, in order, or the refusal of the first event that is refused."""
    refused_rules = find_refused_rules(profile)
    notes_by_event: list[Findings] = []
    for event in events:
        notes = judge_event(open_event(event, now), refused_rules)
        if type(notes) is Refusal:
            return notes
        notes_by_event.append(notes)  # type: ignore[arg-type]  # the exact type test above is quicker than isinstance
    return notes_by_event


def judge_event(subject: Subject, refused_rules: frozenset[str]) -> Refusal | Findings:
    notes: Findings = ()
    for check in CHECKS:
        findings = check(subject)
        if findings:
            for finding in findings:
                if finding.rule in refused_rules:
                    return build_refusal_of(finding)
            notes += findings
    return notes


def build_refusal_of(finding: Finding) -> Refusal:
    rule = RULES[finding.rule]
    names_the_field = rule.row in ROWS_THAT_NAME_THE_FIELD
    return Refusal(
        row=rule.row,
        rule=rule.id,
        confidence=_confidence_of_refusal(rule),
        title=rule.title if rule.row == "param_invalid" else None,
        text=finding.text if names_the_field else None,
    )


def _confidence_of_refusal(rule: Rule) -> str:
    return UNSEEN_ENFORCEMENT if is_strict_only(rule.id) and rule.confidence != "ours" else rule.confidence
