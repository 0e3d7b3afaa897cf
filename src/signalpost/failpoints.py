"""Named places at which a fault test lets the process die as if it had been killed there. Inert unless armed.

`SIGNALPOST_FAILPOINT=in_settle:2` ends the process with 137 when `in_settle` is reached for the second time, but only
together with `SIGNALPOST_TESTING=1`. The names are in NAMES, so that a test can visit each.
"""

import os
from collections.abc import Mapping
from typing import Final, Literal, get_args

FailpointName = Literal[
    "after_parse",
    "in_group",
    "after_commit_before_answer",
    "after_lease",
    "after_send_before_read",
    "after_answer_before_settle",
    "in_settle",
    "mid_bisect",
    "in_dead_letter",
    "in_checkpoint",
    "in_retention",
    "in_requeue",
    "ballast_release",
    "in_migration",
]
NAMES: Final[tuple[str, ...]] = get_args(FailpointName)
EXIT_CODE: Final = 137


class _Armed:
    """The one failpoint of this process; a process that is not tested never has one."""

    name: str | None = None
    hits_left: int = 0


def arm(environment: Mapping[str, str]) -> None:
    """Arm the failpoint that the environment names, if this is a test. ValueError when there is none of that name."""
    text = environment.get("SIGNALPOST_FAILPOINT", "")
    if environment.get("SIGNALPOST_TESTING") != "1" or not text:
        return
    name, _, hits = text.partition(":")
    if name not in NAMES:
        raise ValueError(f"SIGNALPOST_FAILPOINT: there is no failpoint {name!r}; there are {', '.join(NAMES)}")
    _Armed.name, _Armed.hits_left = name, int(hits or 1)


def reach(name: FailpointName) -> None:
    """Die here, when this failpoint is armed and reached often enough."""
    if _Armed.name == name:
        _Armed.hits_left -= 1
        if _Armed.hits_left == 0:
            os._exit(EXIT_CODE)
