"""Dead letters as a terminal shows them: what happened, to which events, and what to do."""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime

from rich.console import RenderableType
from rich.padding import Padding
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from signalpost.console.api.dead_letters import (
    DeadLetterFull,
    DeadLetterPage,
    DeadLetterSummary,
    DiscardAnswer,
    Group,
    RequeueAnswer,
)


def build_list(groups: Sequence[Group], page: DeadLetterPage, now: datetime) -> Iterator[RenderableType]:
    """How many there are for which reason, and the newest of them."""
    total = sum(group.count for group in groups)
    if not total:
        yield Text("No dead letters.", style="green")
        return
    yield Text(f"{total:,} dead {'letter' if total == 1 else 'letters'}, by destination and reason", style="bold")
    yield Padding(_build_groups(groups), (0, 0, 1, 2))
    shown = len(page.dead_letters)
    yield Text("The newest" if shown < total else "All of them", style="bold")
    yield Padding(_build_letters(page.dead_letters, now), (0, 0, 1, 2))
    yield Text.assemble(("signalpost dead-letters show ID", "bold"), " shows one with what Meta said and what to do.")


def _build_groups(groups: Sequence[Group]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("count", justify="right")
    table.add_column("destination", max_width=20, overflow="ellipsis", no_wrap=True)
    table.add_column("reason", overflow="fold")
    for group in groups:
        reason = Text(_name_reason(group.code, group.reason), style="yellow")
        if group.detail:
            reason.append(f"\n{group.detail}", style="dim")
        table.add_row(f"{group.count:,}", Text(group.destination), reason)
    return table


def _build_letters(letters: Sequence[DeadLetterSummary], now: datetime) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("id", justify="right", no_wrap=True)
    table.add_column("rejected", no_wrap=True)
    table.add_column("event", max_width=18, overflow="ellipsis", no_wrap=True)
    table.add_column("destination", max_width=16, overflow="ellipsis", no_wrap=True)
    table.add_column("reason", max_width=26, overflow="ellipsis", no_wrap=True)
    for letter in letters:
        table.add_row(
            Text(str(letter.id), style="bold"),
            describe_age((now - letter.rejected_at).total_seconds()),
            Text(letter.event_name),
            Text(letter.destination),
            Text(_name_reason(letter.code, letter.reason), style="yellow"),
        )
    return table


def build_letter(letter: DeadLetterFull) -> Iterator[RenderableType]:
    """One dead letter: the facts, what was said about it, the payload, what to do."""
    yield Text.assemble(
        (f"Dead letter {letter.id}", "bold"), "  ", (_name_reason(letter.code, letter.reason), "yellow")
    )
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    for name, value in _list_facts(letter):
        facts.add_row(name, Text(value))
    yield Padding(facts, (0, 0, 1, 2))
    yield Text("What was said" if letter.fbtrace_id or letter.code == "400" else "Why", style="bold")
    yield Padding(Text(letter.detail or "Nothing more is known."), (0, 0, 1, 2))
    yield Text("The server event, personal data hashed", style="bold")
    if letter.payload is None:
        told = "damaged on the disk, and not shown" if letter.is_damaged else "none: mapping made no event of this call"
        yield Padding(Text(told, style="dim"), (0, 0, 1, 2))
    else:
        shown = json.dumps(letter.payload, indent=2, ensure_ascii=False)
        yield Padding(
            Syntax(shown, "json", theme="ansi_dark", background_color="default", word_wrap=True), (0, 0, 1, 2)
        )
    yield Text("What to do", style="bold")
    yield Padding(Text(letter.fix), (0, 0, 0, 2))


def _list_facts(letter: DeadLetterSummary) -> Iterator[tuple[str, str]]:
    yield "event", letter.event_name
    yield "destination", letter.destination + (f", dataset {letter.dataset_id}" if letter.dataset_id else "")
    yield "source", letter.source
    yield "event_id", letter.event_id
    if letter.message_id != letter.event_id:
        yield "messageId", letter.message_id
    if letter.event_time is not None:
        yield "happened", _show_instant(letter.event_time)
    yield "rejected", _show_instant(letter.rejected_at)
    yield "attempts", str(letter.attempts)
    if letter.fbtrace_id:
        yield "fbtrace_id", letter.fbtrace_id


def build_requeue(answer: RequeueAnswer, *, is_running: bool) -> Iterator[RenderableType]:
    """How many wait again, and why others don't."""
    told = "would wait again" if answer.dry_run else "wait again" if answer.requeued != 1 else "waits again"
    style = "green" if answer.requeued else "yellow"
    yield Text(f"{answer.requeued:,} {told}.", style=style)
    for refused in answer.refused:
        stay = "stay" if refused.count != 1 else "stays"
        line = Text(f"{refused.count:,} {stay}: ", style="yellow")
        yield line.append(f"{refused.reason}", style="bold").append(f", {refused.message}.")
    if answer.requeued and not answer.dry_run and not is_running:
        yield Text("No gateway runs: they are sent when `signalpost serve` starts.", style="dim")


def build_discard(answer: DiscardAnswer) -> Text:
    """How many are gone."""
    told = "would be discarded" if answer.dry_run else "discarded"
    return Text(f"{answer.discarded:,} {told}; the ledger counts them as rejected.")


def describe_age(seconds: float) -> str:
    """How long ago, in the largest unit that fits: "3 min ago"."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit} ago"
    return "just now"


def _name_reason(code: str, reason: str) -> str:
    """The exact reason; Meta's numbers are said to be Meta's."""
    return f"Meta {reason}" if code == "400" else reason


def _show_instant(moment: datetime) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")
