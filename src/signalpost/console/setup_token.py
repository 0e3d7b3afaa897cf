"""The one-time token of the first start: whoever can read the gateway's output may create the first admin."""

import hmac
import secrets
from datetime import datetime, timedelta
from typing import Final

LASTS_FOR: Final = timedelta(hours=1)


class SetupToken:
    """Good for one account, for an hour."""

    def __init__(self, now: datetime) -> None:
        self.text = secrets.token_urlsafe(18)
        self._ends_at = now + LASTS_FOR
        self._is_used = False

    def is_good(self, text: str, now: datetime) -> bool:
        """Whether this is the token and it may still be used."""
        return hmac.compare_digest(text.encode(), self.text.encode()) and not self._is_used and now < self._ends_at

    def use_up(self) -> None:
        """Let it open nothing any more."""
        self._is_used = True
