"""Trouble on request: which fault, if any, befalls a request. What a fault then does is in `fault_effects.py`.

Four ways to ask, the first that fits wins: a request header, a token, the control API, a file at the start. The last
two give plans, which are tried in the order they were armed.
"""

import itertools
import random
from collections.abc import Callable, Collection, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any

import msgspec

from signalpost.emulator.access import FAULT_TOKEN_PREFIX
from signalpost.emulator.decode import Event

# Faults of the connection or of the answer; every row of graph_errors.json is a fault too, under its id.
TRANSPORT_FAULTS: dict[str, str] = {
    "reset_before": "Resets the connection; nothing is recorded.",
    "blackhole": "Reads the request and never answers; nothing is recorded.",
    "slow": "Waits `ms` (1000), then records and answers.",
    "drip": "Records, then answers at `bytes_per_second` (20).",
    "lost_answer": "Records, then cuts the connection.",
    "late_answer": "Records at once, answers after `ms` (15000).",
    "truncated": "Records, then ends the connection in the middle of the answer.",
    "garbage": "Records, then answers with bytes that are no JSON.",
    "wrong_length": "Records, then names a Content-Length shorter than its answer.",
    "bad_gzip": "Records, then answers with a body that is gzip by name only.",
    "close_keepalive": "Records and answers, then closes the kept connection without notice.",
    "poison": "Refuses, with the row named by `as`, every batch that holds a matching event.",
    "usage": "Records and answers with the usage numbers given in `headers`.",
    "quota": "Accepts `n` (1000) events a minute, then throttles and says how long.",
}


class FaultMatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which requests a plan is for. A field that is not given matches all; for events, one of the batch is enough."""

    dataset_id: str | None = None
    event_name: str | list[str] | None = None
    event_id: str | list[str] | None = None
    token: str | None = None
    min_batch: int | None = None
    path: str | None = None


class FaultPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A fault, for whom and how often: `times` in all, after the first `skip`, then at each `every`-th match."""

    fault: str
    match: FaultMatch = msgspec.field(default_factory=FaultMatch)
    times: Annotated[int, msgspec.Meta(ge=1)] | None = None
    skip: Annotated[int, msgspec.Meta(ge=0)] = 0
    every: Annotated[int, msgspec.Meta(ge=1)] = 1
    probability: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0
    for_seconds: float | None = None
    params: dict[str, Any] = msgspec.field(default_factory=dict)


class Fault(msgspec.Struct, frozen=True):
    """A fault that befalls one request. `window` names the quota it shares with others of the same plan."""

    name: str
    params: dict[str, Any]
    window: str


class RequestFacts(msgspec.Struct, frozen=True):
    """What plans can match on."""

    dataset_id: str
    token: str | None
    path: str
    events: Sequence[Event]


class ArmedFault(msgspec.Struct):
    """A plan in force, with what it has seen so far."""

    fault_id: str
    plan: FaultPlan
    armed_at: float
    matched: int = 0
    fired: int = 0


class UnknownFaultError(ValueError):
    """Somebody asked for a fault that does not exist; the message lists nothing but its name."""


class FaultBook:
    """The plans in force and the two ways to ask without one.

    known: every name that may be asked for. Random plans draw from `seed`, so that a run repeats.
    """

    def __init__(self, known: Collection[str], seed: int | None, now: Callable[[], float]) -> None:
        self._known = known
        self._now = now
        self._random = random.Random(seed)  # noqa: S311 - chance that can be repeated is wanted
        self._numbers = itertools.count(1)
        self.armed: dict[str, ArmedFault] = {}

    def arm(self, plan: FaultPlan) -> str:
        """Put a plan in force and return its fault_id. Raises UnknownFaultError."""
        self._check_known(plan.fault, plan.params)
        fault_id = f"fault-{next(self._numbers)}"
        self.armed[fault_id] = ArmedFault(fault_id, plan, self._now())
        return fault_id

    def disarm(self, fault_id: str) -> bool:
        return self.armed.pop(fault_id, None) is not None

    def disarm_all(self) -> None:
        self.armed.clear()

    def find_asked_by_header(self, header: str | None) -> Fault | None:
        """Return what `X-Emulator-Fault: <id>[;key=value]` asks for. Raises UnknownFaultError."""
        if not header:
            return None
        name, *pairs = (part.strip() for part in header.split(";"))
        params = {key.strip(): _read_param(text) for key, _, text in (pair.partition("=") for pair in pairs if pair)}
        self._check_known(name, params)
        return Fault(name, params, "header")

    def find_asked_by_token(self, token: str | None) -> Fault | None:
        """Return what a token EMULATOR_FAULT_<id> asks for; a token that names no fault is simply no valid token."""
        if token is None or not token.startswith(FAULT_TOKEN_PREFIX):
            return None
        name = token.removeprefix(FAULT_TOKEN_PREFIX)
        return Fault(name if name in self._known else "token_unparsable", {}, "token")

    def find_planned(self, facts: RequestFacts) -> Fault | None:
        """Return the fault of the first plan that fits and is due."""
        for armed in self.armed.values():
            if self._is_due(armed, facts):
                armed.fired += 1
                return Fault(armed.plan.fault, armed.plan.params, armed.fault_id)
        return None

    def _is_due(self, armed: ArmedFault, facts: RequestFacts) -> bool:
        plan = armed.plan
        is_over = plan.for_seconds is not None and self._now() - armed.armed_at > plan.for_seconds
        if is_over or not matches(plan.match, facts):
            return False
        armed.matched += 1
        turn = armed.matched - plan.skip - 1
        if turn < 0 or turn % plan.every or (plan.times is not None and armed.fired >= plan.times):
            return False
        return plan.probability >= 1 or self._random.random() < plan.probability

    def _check_known(self, name: str, params: dict[str, Any]) -> None:
        for wanted in (name, params.get("as", name)):
            if wanted not in self._known or (wanted != name and wanted in TRANSPORT_FAULTS):
                raise UnknownFaultError(f"There is no fault {wanted!r}")


def matches(match: FaultMatch, facts: RequestFacts) -> bool:
    return (
        match.dataset_id in {None, facts.dataset_id}
        and match.token in {None, facts.token}
        and (match.min_batch is None or len(facts.events) >= match.min_batch)
        and (match.path is None or fnmatchcase(facts.path, match.path))
        and _has_event_with(facts.events, "event_name", match.event_name)
        and _has_event_with(facts.events, "event_id", match.event_id)
    )


def read_faults_file(path: Path) -> tuple[FaultPlan, ...]:
    """Return the plans of a JSON file: an array of the objects that the control API takes.

    Raises OSError when it can't be read and ValueError when it is not such an array.
    """
    return tuple(msgspec.json.decode(path.read_bytes(), type=list[FaultPlan]))


def _has_event_with(events: Sequence[Event], key: str, wanted: str | list[str] | None) -> bool:
    if wanted is None:
        return True
    accepted = {wanted} if isinstance(wanted, str) else set(wanted)
    return any(isinstance(event.get(key), str) and event[key] in accepted for event in events)


def _read_param(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except ValueError:
        return text.strip()
