"""What a check says: of the doctor, and of a destination's connection with Meta."""

from typing import Literal

import msgspec

Verdict = Literal["ok", "warning", "broken"]


class Check(msgspec.Struct, frozen=True):
    """One finding. detail: what was found, in a sentence; fix: what to do, "" when nothing is to be done."""

    name: str
    verdict: Verdict
    detail: str
    fix: str = ""
