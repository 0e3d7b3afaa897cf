"""Halves of characters that stand alone, as browsers make them from a cut emoji: grammatical JSON, but no text.

The decoder refuses them, which would cost a whole batch, so U+FFFD takes their place. Only what was refused is looked
at, and a piece at a time: valid pairs cost nothing, and a large body does not keep others waiting.
Source: tracking API, section 9, row 10.
"""

import re
from collections.abc import Iterator
from typing import Final

_PIECE_BYTES: Final = 64 << 10
_PAIR_BYTES: Final = len(r"\ud83d\ude00")

_HIGH: Final = rb"\\u[dD][89abAB][0-9a-fA-F]{2}"
_LOW: Final = rb"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_PAIR: Final = re.compile(_HIGH + _LOW)
# In a text without escaped backslashes: a high one before no low one, or a low one behind no high one.
_ALONE: Final = re.compile(
    rb"\\u[dD](?:[89abAB][0-9a-fA-F]{2}(?!%s)|[c-fC-F][0-9a-fA-F]{2}(?<!%s%s))" % (_LOW, _HIGH, _LOW)
)


def may_have_surrogates(text: bytes) -> bool:
    """Whether it is worth looking for some."""
    return b"\\u" in text


def replace_lone_surrogates(text: bytes) -> Iterator[bytes]:
    """The pieces of a JSON text with U+FFFD for each; everything else stays, byte for byte."""
    if b"\0" in text:
        yield text  # no JSON, whatever else it says
        return
    # So a NUL can stand for an escaped backslash, which must not be taken for the begin of another escape.
    hidden = text.replace(rb"\\", b"\0")
    start = 0
    while start < len(hidden):
        end = _find_cut(hidden, start + _PIECE_BYTES)
        yield _ALONE.sub(rb"\\ufffd", hidden[start:end]).replace(b"\0", rb"\\")
        start = end


def _find_cut(text: bytes, at: int) -> int:
    """A place, at or just before this one, where a text can be cut without tearing an escape, or a pair of them."""
    if at >= len(text):
        return len(text)
    escape = text.rfind(b"\\", at - _PAIR_BYTES, at)
    if escape < 0:
        return at
    before = escape - _PAIR_BYTES // 2
    return before if _PAIR.match(text, before) else escape
