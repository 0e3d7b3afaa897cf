"""How often somebody may ask: token buckets, each kept as one number, the time at which it will be full again."""

import math
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

LONGEST_WAIT_SECONDS: Final = 60
_MOST_BUCKETS: Final = 10_000
_ROUNDING: Final = 1e-6


class TokenBuckets:
    """A bucket for each name, refilled at `per_second` up to `burst`. `per_second` 0 lets everybody through.

    Of more than 10,000 buckets the one asked for longest ago is forgotten, that is, full again.
    """

    def __init__(self, per_second: float, burst: float, monotonic: Callable[[], float]) -> None:
        self._seconds_each = 1 / per_second if per_second else 0.0
        self._tolerance = self._seconds_each * max(burst - 1, 0)
        self._monotonic = monotonic
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def take(self, name: str) -> int:
        """Take a token. 0, or when there is none the whole seconds until there will be one, 1 to 60."""
        if not self._seconds_each:
            return 0
        now = self._monotonic()
        full_at = max(self._full_at.get(name, now), now)
        missing = full_at - now - self._tolerance
        if missing > _ROUNDING:
            return _whole_seconds(missing)
        self._full_at[name] = full_at + self._seconds_each
        self._full_at.move_to_end(name)
        if len(self._full_at) > _MOST_BUCKETS:
            self._full_at.popitem(last=False)
        return 0

    def find_wait(self, name: str) -> int:
        """What `take` would return, without taking."""
        missing = self._full_at.get(name, 0.0) - self._monotonic() - self._tolerance
        return _whole_seconds(missing) if self._seconds_each and missing > _ROUNDING else 0


def _whole_seconds(seconds: float) -> int:
    return min(max(math.ceil(seconds), 1), LONGEST_WAIT_SECONDS)
