"""Half characters in texts too large for one piece; `test_decode.py` has those of a call, from any escapes at all."""

import json
import re

import pytest

from signalpost.ingest.surrogates import replace_lone_surrogates

PARTS = [r"\ud83d", r"\ude00", r"\ud83d\ude00", r"\\ud83d", r"\\", r"\u0041", r"\"", "a"]


@pytest.mark.parametrize("parts", [[part] for part in PARTS] + [PARTS, PARTS[::-1], PARTS[2:] + PARTS[:2]])
@pytest.mark.parametrize("shift", range(13))
def test_wherever_the_text_is_cut(parts, shift):
    """No cut between two pieces tears an escape, a pair, or a backslash from what it escapes."""
    text = '"' + "a" * shift + "".join(parts) * (150_000 // len("".join(parts))) + '"'
    pieces = list(replace_lone_surrogates(text.encode()))
    assert len(pieces) > 1
    assert json.loads(b"".join(pieces)) == re.sub("[\ud800-\udfff]", "\ufffd", json.loads(text))


def test_a_nul_stays_what_it_is():
    """It is in no JSON; it must not become a backslash, which could make JSON of what is none."""
    text = b'"\0\\ud83d"'
    assert b"".join(replace_lone_surrogates(text)) == text
