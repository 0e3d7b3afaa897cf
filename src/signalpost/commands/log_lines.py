"""How a running gateway writes its log: facts by name, secrets masked, and never in the way of the work."""

import logging
import sys
from typing import Any

import structlog

from signalpost.config.sections import LogSection
from signalpost.redaction import mask_log_entry
from signalpost.terminal import SteadyStream


def configure_logging(log: LogSection, *, as_json: bool) -> None:
    """Write log lines to standard error; `as_json` beats the configured format."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    as_json = as_json or log.format == "json"
    renderer: Any = structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer()
    level = logging.getLevelNamesMapping()[log.level.upper()]
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            mask_log_entry,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(SteadyStream(sys.stderr)),  # type: ignore[arg-type]
    )
