"""How a running gateway writes its log: one action a line, secrets masked, and never in the way of the work."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from signalpost.config.sections import LogSection
from signalpost.redaction import mask_log_entry
from signalpost.telemetry import describe_error
from signalpost.terminal import SteadyStream

_ACTION = "action"


def configure_logging(log: LogSection, *, as_json: bool) -> None:
    """Write log lines to standard error; `as_json` beats the configured format."""
    as_json = as_json or log.format == "json"
    renderer: Any = structlog.processors.JSONRenderer()
    if not as_json:
        renderer = structlog.dev.ConsoleRenderer(event_key=_ACTION, colors=sys.stderr.isatty())
    level = logging.getLevelNamesMapping()[log.level.upper()]
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _tell_error_without_its_text,
            mask_log_entry,
            structlog.processors.EventRenamer(_ACTION),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(SteadyStream(sys.stderr)),  # type: ignore[arg-type]
    )
    logging.root.handlers = [_Relay(logging.WARNING)]


class _Relay(logging.Handler):
    """Warnings of libraries become lines like the others.

    Only the first line of a message, and of an exception only its type: the rest may quote what somebody sent.
    """

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage().partition("\n")[0]
        facts = {"library": record.name, "message": message, "exc_info": record.exc_info}
        structlog.get_logger("signalpost").log(record.levelno, "library_message", **facts)


def _tell_error_without_its_text(
    _logger: Any, _method: str, entry: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    given = entry.pop("exc_info", None)
    error = sys.exc_info()[1] if given is True else given[1] if isinstance(given, tuple) else given
    if isinstance(error, BaseException):
        entry.update(describe_error(error))
    return entry
