"""`signalpost dead-letters list | show | requeue | discard`."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from signalpost.commands.options import ConfigFile, DryRun, Json, Yes, confirm, run
from signalpost.config.reading import read_config
from signalpost.model.timestamps import read_timestamp
from signalpost.terminal import EXIT_FAILED, EXIT_USAGE, fail, out, print_json

if TYPE_CHECKING:
    from pydantic import BaseModel
    from rich.console import RenderableType

    from signalpost.console.api.dead_letters import Filter, Selection
    from signalpost.dead_letter_desk import DeadLetterDesk

dead_letters = typer.Typer(
    help="Look at what was rejected; let it wait again, or discard it. Asks the running gateway, if there is one.",
    no_args_is_help=True,
)

Ids = Annotated[list[int] | None, typer.Argument(help="Ids, as `list` shows them.", show_default=False)]
Destination = Annotated[str | None, typer.Option(help="Only those of this destination.")]
Source = Annotated[str | None, typer.Option(help="Only those of this source.")]
Code = Annotated[str | None, typer.Option(help="Only those of this family: 400, MESSAGE_REJECTED, INVALID_SETTINGS.")]
Reason = Annotated[str | None, typer.Option(help="Only those with this reason, such as missing_value or 100/2804050.")]
EventName = Annotated[str | None, typer.Option("--event", help="Only those of this event name.")]
Since = Annotated[str | None, typer.Option(help="Rejected from then on: 90m, 24h, 7d, or an ISO 8601 time.")]
Until = Annotated[str | None, typer.Option(help="Rejected before then, written like --since.")]
All = Annotated[bool, typer.Option("--all", help="All dead letters.")]

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


@dead_letters.command("list")
def list_letters(
    destination: Destination = None,
    source: Source = None,
    code: Code = None,
    reason: Reason = None,
    event: EventName = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="How many of the newest to show.")] = 20,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Show how many there are for which reason, and the newest of them. With --json: one dead letter a line."""
    from signalpost.dead_letter_report import build_list

    where = _build_filter(destination, source, code, reason, event, since, until)

    async def show(desk: "DeadLetterDesk") -> None:
        page = await desk.list_page(where, limit)
        if as_json:
            for letter in page.dead_letters:
                print_json(letter.model_dump(mode="json"))
        else:
            for part in build_list(await desk.list_groups(where), page, datetime.now(UTC)):
                out.print(part)

    _at_desk(config, show)


@dead_letters.command("show")
def show_letter(
    dead_letter_id: Annotated[int, typer.Argument(metavar="ID", help="An id, as `list` shows it.")],
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Show one: its hashed payload, what Meta said, and what to do."""
    from signalpost.dead_letter_report import build_letter

    async def show(desk: "DeadLetterDesk") -> None:
        letter = await desk.find(dead_letter_id)
        if letter is None:
            fail(f"there is no dead letter {dead_letter_id}; it may have been requeued or discarded", EXIT_FAILED)
        if as_json:
            print_json(letter.model_dump(mode="json"))
        else:
            for part in build_letter(letter):
                out.print(part)

    _at_desk(config, show)


def _add_bulk_command(
    name: str,
    help: str,  # noqa: A002 - as Typer calls it
    decide: "Callable[[DeadLetterDesk, Selection], Awaitable[tuple[int, BaseModel]]]",
    question: str,
    show: "Callable[[Any, DeadLetterDesk], Iterable[RenderableType]]",
) -> None:
    """Add a command that decides about dead letters that are named, or match a filter, or are all there are.

    decide: does it, or with `dry_run` counts; how many, and the answer. question: before many are changed.
    """

    @dead_letters.command(name, help=help)
    def command(
        ids: Ids = None,
        all_of_them: All = False,
        destination: Destination = None,
        source: Source = None,
        code: Code = None,
        reason: Reason = None,
        event: EventName = None,
        since: Since = None,
        until: Until = None,
        dry_run: DryRun = False,
        yes: Yes = False,
        config: ConfigFile = None,
        as_json: Json = False,
    ) -> None:
        where = _build_filter(destination, source, code, reason, event, since, until)
        selection = _select(ids, where, is_all=all_of_them, dry_run=dry_run)

        async def visit(desk: "DeadLetterDesk") -> None:
            if selection.filter is not None and not dry_run and not yes:
                count, _ = await decide(desk, selection.model_copy(update={"dry_run": True}))
                if count:
                    confirm(question.format(count), f"{count:,} dead letters")
            count, answer = await decide(desk, selection)
            if as_json:
                print_json(answer.model_dump(mode="json"))
            else:
                for part in show(answer, desk):
                    out.print(part)
            if not count and getattr(answer, "refused", None):
                raise typer.Exit(EXIT_FAILED)

        _at_desk(config, visit)


async def _requeue(desk: "DeadLetterDesk", selection: "Selection") -> "tuple[int, BaseModel]":
    answer = await desk.requeue(selection)
    return answer.requeued, answer


async def _discard(desk: "DeadLetterDesk", selection: "Selection") -> "tuple[int, BaseModel]":
    answer = await desk.discard(selection)
    return answer.discarded, answer


def _show_requeue(answer: Any, desk: "DeadLetterDesk") -> "Iterable[RenderableType]":
    from signalpost.dead_letter_report import build_requeue

    return build_requeue(answer, is_running=desk.is_running)


def _show_discard(answer: Any, _desk: "DeadLetterDesk") -> "Iterable[RenderableType]":
    from signalpost.dead_letter_report import build_discard

    return [build_discard(answer)]


_add_bulk_command(
    "requeue",
    "Let dead letters wait again, with the same event_id. Exit 1 when none of them could.",
    _requeue,
    "Let {:,} dead letters wait again?",
    _show_requeue,
)
_add_bulk_command(
    "discard",
    "Delete dead letters for good; the ledger still counts them as rejected.",
    _discard,
    "Discard {:,} dead letters for good?",
    _show_discard,
)


def _at_desk(config: Path | None, visit: "Callable[[DeadLetterDesk], Awaitable[None]]") -> None:
    from signalpost.dead_letter_desk import open_desk

    data_dir = read_config(config).server.data_dir
    if not data_dir.exists():
        fail(f"{data_dir.absolute()}: there is no data folder yet; `signalpost serve` makes it", EXIT_FAILED)

    async def at_desk() -> None:
        async with open_desk(data_dir) as desk:
            await visit(desk)

    run(at_desk())


def _build_filter(
    destination: str | None,
    source: str | None,
    code: str | None,
    reason: str | None,
    event: str | None,
    since: str | None,
    until: str | None,
) -> "Filter":
    from signalpost.console.api.dead_letters import Filter

    return Filter(
        destination=destination,
        source=source,
        code=code,
        reason=reason,
        event_name=event,
        since=_read_instant("--since", since),
        until=_read_instant("--until", until),
    )


def _read_instant(option: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    if text[:-1].isdecimal() and text[-1] in _UNITS:
        return datetime.now(UTC) - timedelta(**{_UNITS[text[-1]]: int(text[:-1])})
    moment = read_timestamp(text)
    if moment is None:
        fail(f"{option}: {text} is neither a span like 90m, 24h or 7d nor an ISO 8601 date and time", EXIT_USAGE)
    return moment


def _select(ids: Sequence[int] | None, where: "Filter", *, is_all: bool, dry_run: bool) -> "Selection":
    """Exactly one of ids, a filter, --all: nobody discards everything by leaving something out."""
    from signalpost.console.api.dead_letters import Selection

    has_filter = bool(where.model_dump(exclude_none=True))
    if bool(ids) + has_filter + is_all != 1:
        fail("name the dead letters: ids, or filters such as --destination, or --all", EXIT_USAGE)
    if ids:
        return Selection(ids=list(ids), dry_run=dry_run)
    return Selection(filter=where, dry_run=dry_run)
