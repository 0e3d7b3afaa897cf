"""What the console and the control API look at and act through."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, Request

from signalpost.build_info import BuildInfo
from signalpost.catalog import Catalog
from signalpost.console.access import Access
from signalpost.history.calls import History
from signalpost.queue.interface import Queue
from signalpost.telemetry import Telemetry


@dataclass(frozen=True, slots=True)
class ConsoleParts:
    """The running gateway as the console sees it. find_unreadiness: why calls are not taken now, or None.

    tracking_openapi: the description of the tracking API, which shows it on this port.
    """

    build: BuildInfo
    queue: Queue
    catalog: Catalog
    telemetry: Telemetry
    access: Access
    find_unreadiness: Callable[[], str | None]
    history: History
    tracking_openapi: Mapping[str, Any]
    data_folder: Path


def _find_parts(request: Request) -> ConsoleParts:
    return request.app.state.parts  # type: ignore[no-any-return]


Parts = Annotated[ConsoleParts, Depends(_find_parts)]
"""What a route asks for when it needs the gateway."""
