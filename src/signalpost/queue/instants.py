"""Instants as the queue's tables hold them: whole milliseconds since 1970."""

from datetime import UTC, datetime, timedelta
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


def to_milliseconds(instant: datetime) -> int:
    """The last whole millisecond that is not after the instant."""
    return (instant - _EPOCH) // _MILLISECOND


def to_milliseconds_after(instant: datetime) -> int:
    """The first whole millisecond that is not before the instant, for what must not happen early."""
    return -((_EPOCH - instant) // _MILLISECOND)


def from_milliseconds(milliseconds: int) -> datetime:
    """The instant, in UTC."""
    return _EPOCH + timedelta(milliseconds=milliseconds)
