"""What `signalpost demo` shows: each step, where every event went, and how to try a call."""

import json
from collections.abc import Awaitable, Callable, Mapping

from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from signalpost.demo import Demo, DemoStep, running_demo
from signalpost.model.ledger import Ledger
from signalpost.model.results import REASONS
from signalpost.terminal import out, print_json

_REASON_SENTENCES: Mapping[str, str] = {reason: text.sentence for reason, text in REASONS.items()}


async def show_demo(*, as_json: bool, stay: Callable[[], Awaitable[None]] | None) -> bool:
    """Run the demo and show it; `stay` returns when it may end. True when everything ended as it should."""
    async with running_demo() as demo:
        if not as_json:
            out.print("[bold]A gateway and a local Meta are running.[/bold]")
            out.print("Segment's own client now sends a shopper's calls:\n")
        steps: list[DemoStep] = []
        async for step in demo.send_funnel():
            steps.append(step)
            _show_step(len(steps), step, as_json=as_json)
        ledger, at_meta = await demo.count(), await demo.count_at_meta()
        is_complete = _is_complete(steps, ledger, at_meta)
        _show_summary(ledger, at_meta, is_complete=is_complete, as_json=as_json)
        if stay is not None:
            _show_addresses(demo, as_json=as_json)
            await stay()
        return is_complete


def _is_complete(steps: list[DemoStep], ledger: Ledger, at_meta: int) -> bool:
    delivered = sum(step.state == "delivered" for step in steps)
    return (
        all(step.is_expected for step in steps)
        and (ledger.imbalance, ledger.events.pending.total) == (0, 0)
        and ledger.events.delivered == delivered == at_meta
    )


def _show_step(number: int, step: DemoStep, *, as_json: bool) -> None:
    if as_json:
        fields = {"call": step.call.event, "message_id": step.call.message_id, "mapped_to": step.mapped_to}
        print_json({**fields, "state": step.state, "detail": step.detail})
        return
    is_delivered = step.state == "delivered"
    color = "green" if is_delivered else "yellow"
    reason = "" if is_delivered else step.detail.rpartition("/")[2]
    out.print(
        f"  {number}  {step.call.event:<19} accepted → {step.mapped_to:<17} → [{color}]{step.state}[/{color}] "
        f"{escape(reason)}",
        soft_wrap=True,
    )
    sentence = _REASON_SENTENCES.get(reason)
    if sentence:
        out.print(f"     [dim]{escape(sentence)}[/dim]", soft_wrap=True)


def _show_summary(ledger: Ledger, at_meta: int, *, is_complete: bool, as_json: bool) -> None:
    if as_json:
        print_json({"ledger": ledger, "accepted_by_meta": at_meta, "complete": is_complete})
        return
    events = ledger.events
    counts = {
        "accepted": events.accepted,
        "delivered": events.delivered,
        "filtered": sum(events.filtered.values()),
        "rejected": sum(events.rejected.values()),
        "expired": events.expired,
        "pending": events.pending.total,
    }
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name in counts:
        table.add_column(name, justify="right")
    table.add_row(*map(str, counts.values()))
    out.print("\n[bold]Where every event went[/bold]\n")
    out.print(Padding(table, (0, 0, 1, 2), expand=False))
    verdict = "[green]everything is accounted for[/green]" if is_complete else "[red]something is missing[/red]"
    out.print(f"The local Meta holds {at_meta} server events: {verdict}.\n")


def _show_addresses(demo: Demo, *, as_json: bool) -> None:
    if as_json:
        addresses = {"meta": demo.emulator_url, "tracking_url": demo.tracking_url, "console_url": demo.console_url}
        print_json({"event": "ready", **addresses, "write_key": demo.write_key})
        return
    out.print(f"  See what Meta received   {demo.emulator_url}")
    out.print(f"  Tracking API             {demo.tracking_url}")
    out.print(f"  The console              {demo.setup_url}\n", soft_wrap=True)
    call = {"userId": "you", "event": "Order Completed", "properties": {"revenue": 42, "currency": "EUR"}}
    out.print("Try one yourself:\n")
    out.print(
        f"  curl -u {demo.write_key}: {demo.tracking_url}/v1/track -d '{json.dumps(call)}'\n",
        soft_wrap=True,
        markup=False,
    )
    out.print("Ctrl-C stops it; nothing is left behind.")
