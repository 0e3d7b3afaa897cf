"""What each part of the gateway wants to know of the configuration, as the part declares it."""

from datetime import timedelta
from ipaddress import ip_network

from signalpost.config.sections import Config
from signalpost.deliver.batches import BatchLimits
from signalpost.deliver.pace import PacePolicy
from signalpost.deliver.parts import WorkerSettings
from signalpost.ingest.decode import Limits
from signalpost.ingest.routes import TrackingSettings
from signalpost.meta.login import FacebookLogin, MetaApp
from signalpost.open_connections import ConnectionLimits
from signalpost.queue.retention import Retention
from signalpost.queue.room import RoomLimits


def build_tracking_settings(config: Config) -> TrackingSettings:
    """The tracking API's limits and whom it trusts."""
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


def build_connection_limits(config: Config) -> ConnectionLimits:
    """How many connections there may be, and how slow."""
    limits = config.limits
    return ConnectionLimits(
        head_seconds=limits.head_seconds,
        body_seconds=limits.body_seconds,
        longest_body_seconds=limits.longest_body_seconds,
        max_connections=limits.max_connections,
        max_connections_per_address=limits.max_connections_per_address,
    )


def build_retention(config: Config) -> Retention:
    """How long the queue keeps what."""
    retention = config.retention
    return Retention(
        dedupe_keys=timedelta(hours=retention.dedupe_hours),
        delivered_payloads=timedelta(hours=retention.delivered_payload_hours),
        delivered_payload_bytes=retention.delivered_payload_bytes,
        ended_events=timedelta(days=retention.delivered_days),
        dead_letters=timedelta(days=retention.dead_letter_days),
        ledger_hours=timedelta(days=retention.ledger_days),
    )


def build_room_limits(config: Config) -> RoomLimits:
    """How full the disk may become."""
    queue = config.queue
    return RoomLimits(
        low_bytes=queue.low_disk_bytes,
        low_share=queue.low_disk_share,
        ballast_bytes=queue.ballast_bytes,
        recovery_seconds=queue.recovery_seconds,
        waiting_bytes=queue.max_bytes,
        source_share=queue.max_source_share,
    )


def build_worker_settings(config: Config) -> WorkerSettings:
    """How delivery batches and paces itself."""
    delivery = config.delivery
    return WorkerSettings(
        batch=BatchLimits(max_events=delivery.max_batch_events, max_bytes=delivery.max_batch_bytes),
        pace=PacePolicy(rate_limit=delivery.rate_limit),
        batches_in_flight=delivery.batches_in_flight,
        linger=timedelta(seconds=delivery.linger_seconds),
    )


def build_login(config: Config) -> FacebookLogin | None:
    """The Meta app behind 'Connect with Facebook'; None when none is configured."""
    meta = config.meta
    if not meta.app_id or meta.app_secret is None:
        return None
    dialog_url = f"{meta.dialog_url.rstrip('/')}/{meta.api_version}/dialog/oauth"
    token_url = f"{meta.base_url.rstrip('/')}/{meta.api_version}/oauth/access_token"
    return FacebookLogin(MetaApp(meta.app_id, meta.app_secret, dialog_url, token_url))
