"""What is read off at the moment of asking instead of told as it happens: what waits, the ledger, files, versions."""

import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from prometheus_client.core import GaugeMetricFamily

from signalpost.build_info import BuildInfo
from signalpost.metrics import METRICS, PREFIX, MetricName
from signalpost.model.destination_state import DestinationState
from signalpost.model.ids import DestinationId
from signalpost.model.ledger import Backlog, hold

Sample = tuple[tuple[str, ...], float]


class Gauges:
    """A reading, in the shape of a registry: `generate_latest` asks it once."""

    def __init__(
        self,
        backlogs: Mapping[DestinationId, Backlog],
        imbalance: int | None,
        destinations: Sequence[DestinationState],
        clock_skew: timedelta | None,
        build: BuildInfo,
        queue_file: Path,
        token_seconds: Mapping[str, float],
    ) -> None:
        """imbalance: None when it can't be counted now.

        token_seconds: destination -> how long its connected token will work, where that ends.
        """
        self._backlogs = backlogs
        self._imbalance = imbalance
        self._destinations = destinations
        self._clock_skew = clock_skew
        self._build = build
        self._queue_file = queue_file
        self._token_seconds = token_seconds

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Every gauge that is read off."""
        paused = {state.destination_id for state in self._destinations if state.pause is not None}
        waiting = [
            (name, backlog, hold(backlog.pending, backlog.pending) if name in paused else backlog.pending)
            for name, backlog in self._backlogs.items()
        ]
        states = [
            ((name, state), getattr(pending, state))
            for name, _, pending in waiting
            for state in ("ready", "leased", "retrying", "held")
        ]
        yield _build("queued_events", *states)
        yield _build("queue_oldest_age_seconds", *(((name,), log.oldest_pending_seconds) for name, log, _ in waiting))
        damaged = [state.destination_id for state in self._destinations if state.damage is not None]
        yield _build("queue_damaged", *(((name,), 1) for name in damaged))
        yield _build("dead_letters", *(((name,), backlog.dead_letters) for name, backlog, _ in waiting))
        yield _build("token_expires_seconds", *(((name,), left) for name, left in self._token_seconds.items()))
        yield _build(
            "breaker_open", *(((state.destination_id,), state.is_breaker_open) for state in self._destinations)
        )
        usages = [(state.destination_id, state.usage) for state in self._destinations]
        yield _build("meta_usage_ratio", *(((name,), usage) for name, usage in usages if usage is not None))
        skew = self._clock_skew
        yield _build("clock_skew_seconds", *([((), skew.total_seconds())] if skew is not None else []))
        yield _build("ledger_imbalance", *([((), self._imbalance)] if self._imbalance is not None else []))
        disk = os.statvfs(self._queue_file.parent)
        yield _build("disk_free_bytes", ((), disk.f_bavail * disk.f_frsize))
        yield _build("database_bytes", ((), _find_size(self._queue_file)))
        yield _build("wal_bytes", ((), _find_size(self._queue_file.with_name(f"{self._queue_file.name}-wal"))))
        build = self._build
        yield _build("build_info", ((build.version, build.sqlite, str(build.schema)), 1))


def _build(name: MetricName, *samples: Sample) -> GaugeMetricFamily:
    metric = METRICS[name]
    family = GaugeMetricFamily(PREFIX + name, metric.meaning, labels=metric.labels)
    for labels, value in samples:
        family.add_metric(labels, value)
    return family


def _find_size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0
