"""What the console and the control API look at and act through."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Protocol

from fastapi import Depends, Request

from signalpost.build_info import BuildInfo
from signalpost.catalog import Catalog
from signalpost.console.access import Access
from signalpost.console.facebook import FacebookConnect
from signalpost.console.people import People
from signalpost.console.setup_token import SetupToken
from signalpost.console.sign_in_limits import SignInLimits
from signalpost.history.calls import History
from signalpost.model.delivery import Answer, Batch, Target
from signalpost.model.destination_state import DestinationState
from signalpost.model.ids import DestinationId
from signalpost.queue.interface import Queue
from signalpost.store.database import SettingsStore
from signalpost.telemetry import Telemetry
from signalpost.workspace.workspace import Workspace


class Discard(Protocol):
    """Gives up what waits for a destination and was received before some time; None while it is delivered to."""

    async def __call__(
        self, destination_id: DestinationId, received_before: datetime, *, dry_run: bool = False
    ) -> int | None: ...


@dataclass(frozen=True, slots=True)
class ConsoleParts:
    """The running gateway as the console sees it.

    find_unreadiness: why calls are not taken now, or None. find_tracking_url: where senders reach the tracking API.
    send_batch: sends to Meta at once, beside the queue. probe: asks Meta with an empty request.
    send_call: takes a write key and a call as the tracking API would; whether it was accepted.
    list_states: how delivery to each destination stands. resume, discard: as those of `Workers`.
    find_clock_skew: how far the wall clock is ahead of Meta's, or None before the first answer.
    host_names: those under which browsers reach the console, besides the loopback ones. allow_http: whether people may
    sign in over plain HTTP from other machines. trusted_proxies: whose X-Forwarded-For and X-Forwarded-Proto count.
    tracking_openapi: the description of the tracking API, which shows it on this port.
    """

    build: BuildInfo
    queue: Queue
    catalog: Catalog
    telemetry: Telemetry
    access: Access
    find_unreadiness: Callable[[], str | None]
    workspace: Workspace
    store: SettingsStore
    people: People
    facebook: FacebookConnect
    history: History
    setup_token: SetupToken
    sign_in_limits: SignInLimits
    now: Callable[[], datetime]
    send_batch: Callable[[Batch, Target], Awaitable[Answer]]
    probe: Callable[[Target], Awaitable[Answer]]
    send_call: Callable[[str, Mapping[str, object]], Awaitable[bool]]
    tracking_openapi: Mapping[str, Any]
    data_folder: Path
    find_tracking_url: Callable[[], str]
    list_states: Callable[[], Sequence[DestinationState]]
    resume: Callable[[DestinationId], Awaitable[bool]]
    discard: Discard
    find_clock_skew: Callable[[], timedelta | None]
    host_names: Sequence[str] = ()
    allow_http: bool = False
    trusted_proxies: Sequence[str] = ()


def _find_parts(request: Request) -> ConsoleParts:
    return request.app.state.parts  # type: ignore[no-any-return]


Parts = Annotated[ConsoleParts, Depends(_find_parts)]
"""What a route asks for when it needs the gateway."""
