"""How many batches may be under way to a destination: all, or one at a time while it is not well. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """opens_after: failures in a row. limit: batches in flight when all is well."""

    opens_after: int = 5
    limit: int = 2


class Breaker:
    """Opens after some failures in a row; then one batch at a time tries whether Meta is back.

    The first success closes it: again one batch, then twice as many with each success, up to the limit. How long it
    waits between two tries is the back-off's business (`retry.py`).
    """

    def __init__(self, policy: BreakerPolicy) -> None:
        self._policy = policy
        self.allowed_in_flight = policy.limit
        self.is_open = False

    def failed(self, in_a_row: int) -> None:
        """Meta was out of reach, for the n-th time in a row."""
        if in_a_row >= self._policy.opens_after:
            self.is_open = True
            self.allowed_in_flight = 1

    def answered(self) -> bool:
        """Meta answered, whatever it said: it is there again. True when that closes the breaker."""
        was_open, self.is_open = self.is_open, False
        return was_open

    def succeeded(self) -> None:
        """Meta took a batch."""
        self.allowed_in_flight = min(self._policy.limit, self.allowed_in_flight * 2)
