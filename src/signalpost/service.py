"""The composition root: picks the queue, builds the parts, starts and stops them in order.

Start: folder, ports, queue, workers, listeners. Stop: refuse calls, finish requests, stop leasing, finish sends, close
the queue. So nothing is accepted that can't be stored, and nothing stored is left half settled.
"""

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import urlsplit

from fastapi import FastAPI

from signalpost.build_info import read_build_info
from signalpost.catalog import Catalog
from signalpost.config.building import build_destinations, build_sources
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
from signalpost.deliver.batches import BatchLimits
from signalpost.deliver.pace import PacePolicy
from signalpost.deliver.parts import DeliveryParts, WorkerSettings
from signalpost.deliver.workers import Workers
from signalpost.history.calls import History
from signalpost.ingest.decode import Limits
from signalpost.ingest.intake import Intake
from signalpost.ingest.message_ids import new_message_id
from signalpost.ingest.openapi import build_openapi
from signalpost.ingest.routes import TrackingApi, TrackingParts, TrackingSettings
from signalpost.listener import Listener, PublicListener, bind
from signalpost.mapping.destinations import build_destination
from signalpost.mapping.mapper import map_event
from signalpost.mapping.standard_events import STANDARD_EVENTS
from signalpost.meta.client import MetaClient
from signalpost.meta.login import FacebookLogin, MetaApp
from signalpost.model.errors import QueueUnavailable
from signalpost.model.ids import DestinationId
from signalpost.model.segment_event import RequestContext, SegmentEvent, parse_call
from signalpost.open_connections import ConnectionLimits, OpenConnections, allow_open_files
from signalpost.queue.interface import Queue
from signalpost.queue.retention import Retention
from signalpost.queue.room import Room, RoomLimits
from signalpost.queue.sqlite import SqliteQueue
from signalpost.store.database import SettingsStore, read_known_value
from signalpost.telemetry import Telemetry
from signalpost.vault import open_vault
from signalpost.workspace import Workspace

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


@asynccontextmanager
async def running_service(config: Config, folder: Path = Path()) -> AsyncIterator[Service]:
    """Run the gateway while entered. `folder`: where the configuration's relative secret files lie.

    Raises ConfigError, AlreadyRunning, DataFolderUnusable or AddressUnavailable before anything is accepted.
    """
    destinations = build_destinations(config, folder)
    sources = build_sources(config, destinations)
    catalog = Catalog((), (), config.meta.api_version)
    telemetry, history = Telemetry(standard_events=STANDARD_EVENTS), History()
    async with AsyncExitStack() as stack:
        data_folder = stack.enter_context(DataFolder(config.server.data_dir))
        server = config.server
        tracking_socket = stack.enter_context(bind(server.host, server.port, "server.port"))
        console_socket = stack.enter_context(bind(server.console_host, server.console_port, "server.console_port"))
        queue = SqliteQueue.open(
            data_folder.path,
            now=_now,
            on_trouble=telemetry.queue_unavailable,
            on_commit=telemetry.committed,
            retention=_build_retention(config),
            room=Room(data_folder.path, _build_room_limits(config), time.monotonic),
            find_dataset=catalog.find_dataset,
        )
        stack.push_async_callback(queue.close)
        store = SettingsStore.open(
            data_folder.path, open_vault(data_folder.path, config.master_key, read_known_value(data_folder.path))
        )
        stack.callback(store.close)
        readiness = Readiness(queue)
        meta = await stack.enter_async_context(MetaClient(config.meta.base_url))
        delivery = DeliveryParts(
            queue=queue,
            send=meta.send,
            probe=meta.probe,
            find_target=catalog.find_target,
            wait_for_change=catalog.wait_for_change,
            history=history,
            telemetry=telemetry,
        )
        workers = Workers(delivery, _build_worker_settings(config))
        _warm_up()
        service = Service(catalog, queue, history, workers, store)
        service.workspace.apply_file(sources, destinations, config.meta.api_version, config.meta.app_secret)
        stack.push_async_callback(workers.stop)
        pruning = asyncio.create_task(_prune_hourly(queue, telemetry))
        stack.callback(pruning.cancel)

        control_token = new_control_token()
        intake = Intake(queue, history, telemetry)
        parts = _build_console_parts(config, service, store, intake, telemetry, readiness, control_token, meta)
        service.console_app = build_console_app(parts)
        console = Listener(service.console_app, console_socket)
        await console.start()
        stack.push_async_callback(console.stop)
        stack.callback(history.close)  # who watches calls would hold up the stop
        write_control_token(data_folder.path, control_token, console.url)
        tracking_parts = TrackingParts(
            catalog, intake, history, telemetry, readiness.find_unreadiness, _build_tracking_settings(config)
        )
        api = TrackingApi(tracking_parts)
        connection_limits = _build_connection_limits(config)
        allow_open_files(connection_limits.max_connections + _OTHER_OPEN_FILES)
        open_connections = OpenConnections(connection_limits, api.is_trusted_proxy, api.count_broken)
        tracking = PublicListener(api.answer, tracking_socket, open_connections)
        await tracking.start()
        stack.push_async_callback(tracking.stop)
        service.tracking_url = config.server.public_url or tracking.url
        service.console_url = console.url
        if parts.people.is_empty:
            service.setup_url = (
                f"{config.server.console_public_url or console.url}/setup?token={parts.setup_token.text}"
            )
        try:
            yield service
        finally:
            readiness.is_draining = True


def _build_console_parts(
    config: Config,
    service: Service,
    store: SettingsStore,
    intake: Intake,
    telemetry: Telemetry,
    readiness: Readiness,
    control_token: str,
    meta: MetaClient,
) -> ConsoleParts:
    async def send_call(write_key: str, call: Mapping[str, object]) -> bool:
        source = service.catalog.find_source(write_key)
        if source is None:
            return False
        request = RequestContext(received_at=_now(), new_message_id=new_message_id, call_type=None)
        return (await intake.accept([call], source, request)).accepted == 1

    server = config.server
    public = urlsplit(server.console_public_url).hostname or ""
    return ConsoleParts(
        build=read_build_info(),
        queue=service.queue,
        catalog=service.catalog,
        telemetry=telemetry,
        access=Access(control_token, store, _now),
        find_unreadiness=readiness.find_unreadiness,
        workspace=service.workspace,
        store=store,
        people=People(store, Passwords(), _now),
        facebook=FacebookConnect(
            _build_login(config), service.workspace, lambda: server.console_public_url or service.console_url, _now
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


def _build_login(config: Config) -> FacebookLogin | None:
    meta = config.meta
    if not meta.app_id or meta.app_secret is None:
        return None
    dialog_url = f"{meta.dialog_url.rstrip('/')}/{meta.api_version}/dialog/oauth"
    token_url = f"{meta.base_url.rstrip('/')}/{meta.api_version}/oauth/access_token"
    return FacebookLogin(MetaApp(meta.app_id, meta.app_secret, dialog_url, token_url))


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


async def _prune_hourly(queue: Queue, telemetry: Telemetry) -> None:
    while True:
        try:
            await queue.prune()
        except QueueUnavailable as trouble:
            telemetry.queue_unavailable(str(trouble))
        await asyncio.sleep(_PRUNE_SECONDS)


def _build_tracking_settings(config: Config) -> TrackingSettings:
    limits, server = config.limits, config.server
    return TrackingSettings(
        limits=Limits(
            max_call_bytes=limits.max_call_bytes,
            max_single_body_bytes=limits.max_single_body_bytes,
            max_batch_body_bytes=limits.max_batch_body_bytes,
            max_batch_calls=limits.max_batch_calls,
        ),
        requests_per_second=limits.rate_limit,
        bad_keys_per_minute=limits.bad_key_limit,
        body_memory_bytes=limits.max_body_memory_bytes,
        trusted_proxies=[ip_network(proxy) for proxy in server.trusted_proxies],
        public_url=server.public_url or None,
    )


def _build_connection_limits(config: Config) -> ConnectionLimits:
    limits = config.limits
    return ConnectionLimits(
        head_seconds=limits.head_seconds,
        body_seconds=limits.body_seconds,
        longest_body_seconds=limits.longest_body_seconds,
        max_connections=limits.max_connections,
        max_connections_per_address=limits.max_connections_per_address,
    )


def _build_retention(config: Config) -> Retention:
    retention = config.retention
    return Retention(
        dedupe_keys=timedelta(hours=retention.dedupe_hours),
        delivered_payloads=timedelta(hours=retention.delivered_payload_hours),
        delivered_payload_bytes=retention.delivered_payload_bytes,
        ended_events=timedelta(days=retention.delivered_days),
        dead_letters=timedelta(days=retention.dead_letter_days),
        ledger_hours=timedelta(days=retention.ledger_days),
    )


def _build_room_limits(config: Config) -> RoomLimits:
    queue = config.queue
    return RoomLimits(
        low_bytes=queue.low_disk_bytes,
        low_share=queue.low_disk_share,
        ballast_bytes=queue.ballast_bytes,
        recovery_seconds=queue.recovery_seconds,
        waiting_bytes=queue.max_bytes,
        source_share=queue.max_source_share,
    )


def _build_worker_settings(config: Config) -> WorkerSettings:
    delivery = config.delivery
    return WorkerSettings(
        batch=BatchLimits(max_events=delivery.max_batch_events, max_bytes=delivery.max_batch_bytes),
        pace=PacePolicy(rate_limit=delivery.rate_limit),
        batches_in_flight=delivery.batches_in_flight,
        linger=timedelta(seconds=delivery.linger_seconds),
    )
