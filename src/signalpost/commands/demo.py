"""`signalpost demo`."""

import logging
from typing import Annotated

import structlog
import typer

from signalpost.commands.options import Json, run
from signalpost.commands.stopping import wait_for_stop
from signalpost.terminal import EXIT_FAILED, fail


def demo(
    once: Annotated[bool, typer.Option("--once", help="Send the sample calls, print a summary, and exit.")] = False,
    as_json: Json = False,
) -> None:
    """Watch a shopper's calls become Meta conversions, on this machine, with nothing to configure."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    from signalpost.demo_report import show_demo

    if not run(show_demo(as_json=as_json, stay=None if once else wait_for_stop)):
        fail("not everything ended as it should; see above", EXIT_FAILED)
