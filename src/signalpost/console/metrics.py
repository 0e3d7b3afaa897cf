"""What Prometheus reads: what was counted, and what is read off at this moment."""

from fastapi import APIRouter, Depends
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from signalpost.console.access import viewer_or_loopback
from signalpost.console.gauges import Gauges
from signalpost.console.parts import ConsoleParts, Parts
from signalpost.model.errors import QueueUnavailable
from signalpost.queue.interface import Queue

router = APIRouter(tags=["metrics"], dependencies=[Depends(viewer_or_loopback)])


@router.get("/metrics", summary="Metrics in Prometheus' text format", response_class=Response)
async def read_metrics(parts: Parts) -> Response:
    """From this machine without signing in; from elsewhere with an API token."""
    queue = parts.queue
    gauges = Gauges(
        await queue.read_backlogs(),
        await _count_imbalance(queue),
        parts.list_states(),
        parts.find_clock_skew(),
        parts.build,
        parts.data_folder / "queue.db",
        _read_token_seconds(parts),
    )
    text = generate_latest(parts.telemetry.registry) + generate_latest(gauges)
    return Response(text, media_type=CONTENT_TYPE_LATEST)


async def _count_imbalance(queue: Queue) -> int | None:
    """None when so much waits that counting it takes too long: the other metrics are needed all the more."""
    try:
        return await queue.read_imbalance()
    except QueueUnavailable:
        return None


def _read_token_seconds(parts: ConsoleParts) -> dict[str, float]:
    ends = {entry.name: entry.connected.expires_at for entry in parts.workspace.destinations if entry.connected}
    return {name: (end - parts.now()).total_seconds() for name, end in ends.items() if end is not None}
