"""When a destination's refusals come one like the other, the events are hardly at fault. Pure."""

from typing import Final

SAME_REFUSALS: Final = 20
UNKNOWN_REFUSALS: Final = 3


class TrickleGuard:
    """Counts the single events refused in a row with one code and no delivery between, over all batches."""

    def __init__(self) -> None:
        self._code = ""
        self._is_known = True
        self._in_a_row = 0

    def reset(self) -> None:
        """Something got through, so data can; or a person wants it tried again."""
        self._in_a_row = 0

    def refused(self, code: str, *, is_known: bool) -> None:
        """Another single event was refused."""
        self._in_a_row = self._in_a_row + 1 if code == self._code else 1
        self._code, self._is_known = code, is_known

    @property
    def is_systemic(self) -> bool:
        """Twenty alike: no more of them may become dead letters."""
        return self._in_a_row >= SAME_REFUSALS

    @property
    def is_unknown(self) -> bool:
        """Three with a code that nobody knows to be about data; the third is not given up."""
        return not self._is_known and self._in_a_row >= UNKNOWN_REFUSALS
