"""How a command that stays up is told to end."""

import asyncio
import os
import signal

from signalpost.terminal import EXIT_FAILED


async def wait_for_stop() -> None:
    """Return at the first SIGINT or SIGTERM."""
    await listen_for_stop().wait()


def listen_for_stop() -> asyncio.Event:
    """Set by the first SIGINT or SIGTERM; a second one ends the process at once."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():
            os._exit(EXIT_FAILED)
        stop.set()

    for stop_signal in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(stop_signal, on_signal)
    return stop
