"""The composition root: picks the queue, builds the parts, starts and stops them in order.

Start: folder, ports, queue, workers, listeners. Stop: refuse calls, finish requests, stop leasing, finish sends, close
the queue. So nothing is accepted that can't be stored, and nothing stored is left half settled.
"""

import asyncio
import gc
import socket
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from fastapi import FastAPI

from signalpost.build_info import read_build_info
from signalpost.catalog import Catalog
from signalpost.config.building import build_destinations, build_sources
from signalpost.config.part_settings import (
    build_connection_limits,
    build_login,
    build_retention,
    build_room_limits,
    build_tracking_settings,
    build_worker_settings,
)
from signalpost.config.sections import Config
from signalpost.console.access import Access
from signalpost.console.app import build_console_app
from signalpost.console.facebook import FacebookConnect
from signalpost.console.parts import ConsoleParts
from signalpost.console.passwords import Passwords
from signalpost.console.people import People
from signalpost.console.setup_token import SetupToken
from signalpost.console.sign_in_limits import SignInLimits
from signalpost.control_token import new_control_token, write_control_token
from signalpost.data_folder import DataFolder
from signalpost.deliver.parts import DeliveryParts
from signalpost.deliver.workers import Workers
from signalpost.history.calls import History
from signalpost.ingest.addresses import find_subscriber
from signalpost.ingest.intake import Intake, IntakeReceipt
from signalpost.ingest.message_ids import new_message_id
from signalpost.ingest.openapi import build_openapi
from signalpost.ingest.routes import TrackingApi, TrackingParts
from signalpost.listener import Listener, PublicListener, bind
from signalpost.mapping.destinations import build_destination
from signalpost.mapping.mapper import map_event
from signalpost.mapping.standard_events import STANDARD_EVENTS
from signalpost.meta.client import MetaClient
from signalpost.model.errors import QueueUnavailable, SettingsUnavailable
from signalpost.model.ids import DestinationId
from signalpost.model.segment_event import RequestContext, SegmentEvent, parse_call
from signalpost.open_connections import OpenConnections, allow_open_files
from signalpost.queue.interface import Queue
from signalpost.queue.room import Room
from signalpost.queue.sqlite import SqliteQueue
from signalpost.store.database import SettingsStore, read_known_value
from signalpost.store.retention import forget_what_is_over
from signalpost.telemetry import Telemetry
from signalpost.vault import open_vault
from signalpost.workspace.workspace import Workspace

_OTHER_OPEN_FILES = 500
"""What the process needs beside connections of clients: files, the console, Meta."""

_PRUNE_SECONDS = 3_600

_GC_THRESHOLDS = (100_000, 20, 20)
"""The tens of thousands of small objects of the requests in hand hold no cycles; less would look for some in each."""


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class Readiness:
    """Whether calls can be taken. Meta being down is no reason not to."""

    queue: SqliteQueue
    is_draining: bool = False

    def find_unreadiness(self) -> str | None:
        """Why calls are not taken now, or None."""
        if self.is_draining:
            return "draining"
        return self.queue.find_trouble()


class Service:
    """A running gateway. Built by `running_service`."""

    def __init__(
        self,
        catalog: Catalog,
        queue: Queue,
        history: History,
        workers: Workers,
        store: SettingsStore,
    ) -> None:
        self.catalog = catalog
        self.queue = queue
        self.history = history
        self.workspace = Workspace(
            store, catalog, now=_now, on_change=self._start_workers, count_pending=self._count_pending
        )
        self.tracking_url = ""
        self.console_url = ""
        self.setup_url = ""
        self.console_app: FastAPI
        self.store = store
        self.workers = workers

    def reload(self, config: Config, folder: Path) -> None:
        """Put the sources and destinations of a changed file in force; paused destinations are tried again."""
        destinations = build_destinations(config, folder)
        sources, meta = build_sources(config, destinations), config.meta
        self.workspace.apply_file(sources, destinations, meta.api_version, meta.app_secret)

    def _start_workers(self) -> None:
        self.workers.start(destination.id for destination in self.catalog.destinations)

    async def _count_pending(self, destination: DestinationId) -> int:
        return (await self.queue.counts(destination)).events.pending.total


@dataclass(frozen=True, slots=True)
class _Foundation:
    """What stands before anything listens: the stores, the way to Meta, and who watches."""

    config: Config
    folder: Path
    catalog: Catalog
    telemetry: Telemetry
    history: History
    queue: SqliteQueue
    store: SettingsStore
    meta: MetaClient
    readiness: Readiness


@asynccontextmanager
async def running_service(config: Config, folder: Path = Path()) -> AsyncIterator[Service]:
    """Run the gateway while entered. `folder`: where the configuration's relative secret files lie.

    Raises ConfigError, AlreadyRunning, DataFolderUnusable or AddressUnavailable before anything is accepted.
    """
    destinations = build_destinations(config, folder)
    sources = build_sources(config, destinations)
    server = config.server
    async with AsyncExitStack() as stack:
        data_folder = stack.enter_context(DataFolder(server.data_dir))
        tracking_socket = stack.enter_context(bind(server.host, server.port, "server.port"))
        console_socket = stack.enter_context(bind(server.console_host, server.console_port, "server.console_port"))
        foundation = await _lay_foundation(stack, config, data_folder.path)
        _warm_up()
        service = _start_delivery(stack, foundation)
        service.workspace.apply_file(sources, destinations, config.meta.api_version, config.meta.app_secret)
        _start_housekeeping(stack, foundation)
        intake = Intake(foundation.queue, foundation.history, foundation.telemetry)
        await _start_console(stack, foundation, service, intake, console_socket)
        await _start_tracking(stack, foundation, service, intake, tracking_socket)
        try:
            yield service
        finally:
            foundation.readiness.is_draining = True


async def _lay_foundation(stack: AsyncExitStack, config: Config, folder: Path) -> _Foundation:
    catalog, telemetry = Catalog((), (), config.meta.api_version), Telemetry(standard_events=STANDARD_EVENTS)
    queue = SqliteQueue.open(
        folder,
        now=_now,
        on_trouble=telemetry.queue_unavailable,
        on_commit=telemetry.committed,
        retention=build_retention(config),
        room=Room(folder, build_room_limits(config), time.monotonic),
        find_dataset=catalog.find_dataset,
    )
    stack.push_async_callback(queue.close)
    store = SettingsStore.open(folder, open_vault(folder, config.master_key, read_known_value(folder)))
    stack.callback(store.close)
    meta = await stack.enter_async_context(MetaClient(config.meta.base_url))
    return _Foundation(config, folder, catalog, telemetry, History(), queue, store, meta, Readiness(queue))


def _start_delivery(stack: AsyncExitStack, foundation: _Foundation) -> Service:
    """The workers themselves start as soon as it is known which destinations there are."""
    delivery = DeliveryParts(
        queue=foundation.queue,
        send=foundation.meta.send,
        probe=foundation.meta.probe,
        find_target=foundation.catalog.find_target,
        wait_for_change=foundation.catalog.wait_for_change,
        history=foundation.history,
        telemetry=foundation.telemetry,
    )
    workers = Workers(delivery, build_worker_settings(foundation.config))
    stack.push_async_callback(workers.stop)
    return Service(foundation.catalog, foundation.queue, foundation.history, workers, foundation.store)


def _start_housekeeping(stack: AsyncExitStack, foundation: _Foundation) -> None:
    pruning = asyncio.create_task(_prune_hourly(foundation.queue, foundation.store, foundation.telemetry))
    stack.callback(pruning.cancel)


async def _start_console(
    stack: AsyncExitStack, foundation: _Foundation, service: Service, intake: Intake, bound: socket.socket
) -> None:
    control_token = new_control_token()
    parts = _build_console_parts(foundation, service, intake, control_token)
    service.console_app = build_console_app(parts)
    console = Listener(service.console_app, bound)
    await console.start()
    stack.push_async_callback(console.stop)
    stack.callback(foundation.history.close)  # who watches calls would hold up the stop
    write_control_token(foundation.folder, control_token, console.url)
    service.console_url = console.url
    if parts.people.is_empty:
        url = foundation.config.server.console_public_url or console.url
        service.setup_url = f"{url}/setup?token={parts.setup_token.text}"


async def _start_tracking(
    stack: AsyncExitStack, foundation: _Foundation, service: Service, intake: Intake, bound: socket.socket
) -> None:
    config = foundation.config
    parts = TrackingParts(
        foundation.catalog,
        intake,
        foundation.history,
        foundation.telemetry,
        foundation.readiness.find_unreadiness,
        build_tracking_settings(config),
    )
    api = TrackingApi(parts)
    limits = build_connection_limits(config)
    allow_open_files(limits.max_connections + _OTHER_OPEN_FILES)
    connections = OpenConnections(limits, api.is_trusted_proxy, api.count_broken, find_subscriber)
    tracking = PublicListener(api.answer, bound, connections)
    await tracking.start()
    stack.push_async_callback(tracking.stop)
    service.tracking_url = config.server.public_url or tracking.url


def _build_console_parts(foundation: _Foundation, service: Service, intake: Intake, control_token: str) -> ConsoleParts:
    async def send_call(write_key: str, call: Mapping[str, object]) -> bool:
        source = service.catalog.find_source(write_key)
        if source is None:
            return False
        request = RequestContext(received_at=_now(), new_message_id=new_message_id, call_type=None)
        receipt = await intake.accept([call], source, request)
        return isinstance(receipt, IntakeReceipt) and receipt.accepted == 1

    config, store, meta = foundation.config, foundation.store, foundation.meta
    server = config.server
    public = urlsplit(server.console_public_url).hostname or ""
    return ConsoleParts(
        build=read_build_info(),
        queue=service.queue,
        catalog=service.catalog,
        telemetry=foundation.telemetry,
        access=Access(control_token, store, _now),
        find_unreadiness=foundation.readiness.find_unreadiness,
        workspace=service.workspace,
        store=store,
        people=People(store, Passwords(), _now),
        facebook=FacebookConnect(
            build_login(config), service.workspace, lambda: server.console_public_url or service.console_url, _now
        ),
        history=service.history,
        setup_token=SetupToken(_now()),
        sign_in_limits=SignInLimits(),
        now=_now,
        send_batch=meta.send,
        probe=meta.probe,
        send_call=send_call,
        tracking_openapi=build_openapi(read_build_info().version),
        data_folder=server.data_dir,
        find_tracking_url=lambda: service.tracking_url,
        list_states=service.workers.list_states,
        resume=service.workers.resume,
        discard=service.workers.discard,
        find_clock_skew=service.workers.find_clock_skew,
        host_names=(public, "" if server.console_host in _ANY_ADDRESS else server.console_host),
        allow_http=server.console_allow_http,
        trusted_proxies=server.trusted_proxies,
    )


_ANY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104 - to be told apart

_WARM_UP_CALL = {
    "event": "Order Completed",
    "userId": "warm-up",
    "properties": {"revenue": 1, "currency": "EUR"},
    "context": {"traits": {"phone": "020 7946 0958", "address": {"state": "US-CA", "country": "GB"}}},
}


def _warm_up() -> None:
    """Read the tables of countries, currencies and phone numbers now, so that the first call need not wait for them."""
    request = RequestContext(received_at=_now(), new_message_id=lambda: "warm-up", call_type="track")
    event = parse_call(_WARM_UP_CALL, request)
    if isinstance(event, SegmentEvent):
        map_event(event, build_destination("facebook-conversions-api", {"pixel_id": "00000"}))
    # What is loaded by now stays for good: the garbage collector need not look at it again and again.
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)


async def _prune_hourly(queue: Queue, store: SettingsStore, telemetry: Telemetry) -> None:
    while True:
        try:
            await queue.prune()
        except QueueUnavailable as trouble:
            telemetry.queue_unavailable(str(trouble))
        try:
            await store.write(lambda connection: forget_what_is_over(connection, _now()))
        except SettingsUnavailable as trouble:
            telemetry.settings_unavailable(str(trouble))
        await asyncio.sleep(_PRUNE_SECONDS)
