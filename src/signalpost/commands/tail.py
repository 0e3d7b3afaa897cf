"""`signalpost tail`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from signalpost.commands.options import ConfigFile, Json, run
from signalpost.redaction import show_line
from signalpost.terminal import EXIT_USAGE, fail, out, print_json

_FILTERS = ("type", "event", "verdict", "code", "message_id")
_COLORS = {"accepted": "green", "delivered": "green", "pending": "cyan", "filtered": "yellow", "duplicate": "yellow"}


def tail(
    source: Annotated[str | None, typer.Option(help="Only calls of this source.")] = None,
    filters: Annotated[
        list[str] | None,
        typer.Option("--filter", help=f"Only calls with this, such as event='Order Completed': {', '.join(_FILTERS)}."),
    ] = None,
    last: Annotated[int, typer.Option(min=0, max=500, help="Begin with so many calls that came before.")] = 10,
    follow: Annotated[bool, typer.Option(help="Go on with the calls that come.")] = True,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Watch calls arrive at the running gateway, and what becomes of them. Personal data is masked. Ctrl-C ends it."""
    from signalpost.config.reading import read_config

    query = _read_filters(filters or [])
    if source is not None:
        query["source"] = source
    run(_tail(read_config(config).server.data_dir, query, last, follow=follow, as_json=as_json))


def _read_filters(filters: list[str]) -> dict[str, str]:
    query: dict[str, str] = {}
    for given in filters:
        name, separator, value = given.partition("=")
        if not separator or name not in _FILTERS:
            fail(f"--filter: must be name=value with a name of {', '.join(_FILTERS)}, not {given}", EXIT_USAGE)
        query[name] = value
    return query


async def _tail(data_folder: Path, query: dict[str, str], last: int, *, follow: bool, as_json: bool) -> None:
    from signalpost.control_client import control_client

    show = print_json if as_json else _Lines().show
    async with control_client(data_folder) as gateway:
        if last:
            for call in await gateway.get("/api/calls", {**query, "limit": str(last)}):
                show(call)
        if follow:
            async for item in gateway.watch("/api/calls/live", query):
                show(item)


class _Lines:
    """One line for a call, and one more for each event of it that changes state."""

    def __init__(self) -> None:
        self._shown: dict[int, list[Mapping[str, Any]]] = {}

    def show(self, item: Mapping[str, Any]) -> None:
        match item["kind"]:
            case "skipped":
                out.print(f"[dim]… {item['count']} more came faster than they could be shown[/dim]")
            case "refused":
                self._show_refusal(item)
            case _:
                self._show_call(item)

    def _show_refusal(self, row: Mapping[str, Any]) -> None:
        who = f"{row['client_network'] or '?'} {row['user_agent']}".strip()
        key = f" key …{row['key_ending']}" if row["key_ending"] else ""
        told = f"{row['last_at'][11:19]}  {row['path'] or '?'}  {row['code']}{key}  {who}  ({row['count']} in all)"
        out.print(f"[red]refused[/red]  {_escape(told)}", soft_wrap=True)

    def _show_call(self, call: Mapping[str, Any]) -> None:
        known = self._shown.get(call["number"])
        if known is None:
            verdict = call["verdict"]
            name = f"{call['type'] or call['request']['path']} {call['event']}".strip()
            told = f"{call['received_at'][11:19]}  {call['source']}  {name}  {call['message_id'] or ''}"
            color = _COLORS.get(verdict, "red")
            out.print(f"[{color}]{verdict}[/{color}]  {_escape(told)}  {escape(call['code'])}".rstrip(), soft_wrap=True)
        for event in call["events"]:
            if known is None or event not in known:
                color = _COLORS.get(event["state"], "red")
                warnings = f"  ({', '.join(event['warnings'])})" if event["warnings"] and known is None else ""
                told = f"{event['destination'] or 'no destination'}  {event['event_name']}"
                detail = _escape(f"{event['detail']}{warnings}")
                out.print(f"  {_escape(told)}  [{color}]{event['state']}[/{color}]  {detail}".rstrip(), soft_wrap=True)
        self._shown[call["number"]] = call["events"]
        if len(self._shown) > _REMEMBERED:
            del self._shown[next(iter(self._shown))]


_REMEMBERED = 10_000


def _escape(text: str) -> str:
    """A text that a stranger chose: neither markup nor a line of its own."""
    return escape(show_line(text))
