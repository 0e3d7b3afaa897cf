"""How often somebody may guess: five times a minute for an account from one address, then with growing pauses.

Nobody is locked out: the right password from another address always works.
"""

import math
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, TypeVar

_WINDOW: Final = timedelta(minutes=1)
_PER_ACCOUNT: Final = 5
_PER_ADDRESS: Final = 20
_LONGEST: Final = timedelta(minutes=5)
_QUIET: Final = timedelta(hours=1)
_REMEMBERED: Final = 10_000

Key = TypeVar("Key")


@dataclass(slots=True)
class _Failures:
    """What one pair or address has got wrong. in_a_row: since the last success, or the last quiet hour."""

    times: deque[datetime] = field(default_factory=deque)
    in_a_row: int = 0


class SignInLimits:
    """Remembers failures, in memory."""

    def __init__(self) -> None:
        self._by_account: OrderedDict[tuple[str, str], _Failures] = OrderedDict()
        self._by_address: OrderedDict[str, _Failures] = OrderedDict()

    def find_pause(self, name: str, address: str, now: datetime) -> int:
        """Whole seconds until another attempt is looked at; 0 when it is looked at now."""
        account = self._by_account.get((name.casefold(), address))
        pause = _find_pause(account, _PER_ACCOUNT, now)
        if account is not None and account.times and account.in_a_row > _PER_ACCOUNT:
            grown = min(timedelta(seconds=2 ** (account.in_a_row - _PER_ACCOUNT)), _LONGEST)
            pause = max(pause, account.times[-1] + grown - now)
        pause = max(pause, _find_pause(self._by_address.get(address), _PER_ADDRESS, now))
        return max(0, math.ceil(pause.total_seconds()))

    def failed(self, name: str, address: str, now: datetime) -> None:
        """Count a wrong name or password."""
        for failures in (
            _remember(self._by_account, (name.casefold(), address)),
            _remember(self._by_address, address),
        ):
            if failures.times and now - failures.times[-1] > _QUIET:
                failures.in_a_row = 0
            failures.times.append(now)
            failures.in_a_row += 1
            while len(failures.times) > _PER_ADDRESS:
                failures.times.popleft()

    def succeeded(self, name: str, address: str) -> None:
        """Forget the account's failures."""
        self._by_account.pop((name.casefold(), address), None)


def _find_pause(failures: _Failures | None, allowed: int, now: datetime) -> timedelta:
    """The rest of a minute since the failure that used up what is allowed."""
    if failures is None or len(failures.times) < allowed:
        return timedelta()
    return failures.times[-allowed] + _WINDOW - now


def _remember(known: OrderedDict[Key, _Failures], key: Key) -> _Failures:
    failures = known.setdefault(key, _Failures())
    known.move_to_end(key)
    if len(known) > _REMEMBERED:
        known.popitem(last=False)
    return failures
