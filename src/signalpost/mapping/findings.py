"""What the builders find wrong while they map one call: warnings, and the reason that stops its delivery.

A rejection does not stop the mapping: the remaining steps still run, so that the dead letter holds the hashed server
event; the first reason is the one reported.
"""

from signalpost.model.ids import DatasetId
from signalpost.model.results import Discarded, Mapped, MappingResult, Reason, WarningCode, sort_warnings
from signalpost.model.server_event import ServerEvent


class Findings:
    """Collects while one server event is built, then turns it into a result."""

    __slots__ = ("_reason", "_warnings")

    def __init__(self) -> None:
        self._warnings: list[WarningCode] = []
        self._reason: Reason | None = None

    def warn(self, code: WarningCode) -> None:
        """Note an imperfection; the event is still delivered."""
        self._warnings.append(code)

    def reject(self, reason: Reason) -> None:
        """Note that the event can't be delivered; only the first reason counts."""
        if self._reason is None:
            self._reason = reason

    def conclude(self, dataset_id: DatasetId, server_event: ServerEvent) -> MappingResult:
        """The result: mapped, or discarded for the first reason, with the warnings in their order."""
        warnings = sort_warnings(self._warnings) if self._warnings else ()
        if self._reason is None:
            return Mapped(dataset_id, server_event, warnings)
        return Discarded(self._reason, dataset_id, server_event, warnings)
