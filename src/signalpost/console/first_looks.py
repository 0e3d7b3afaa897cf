"""What a page needs only the first time is made ready beside the first page that anybody opens.

At the start it would take a third of a second from every gateway, also from those whose console nobody opens.
"""

import asyncio
from typing import Final

from fastapi import FastAPI, Request

from signalpost.console.api_reference import build_document
from signalpost.console.rendering import compile_template, list_templates

_REST_SECONDS: Final = 0.02
"""Longer than most of the parts take, so that whoever looks meanwhile hardly notices."""


async def prepare_first_looks(request: Request) -> None:
    """Begin, at the first request for a page; whoever asks does not wait for it."""
    state = request.app.state
    if not hasattr(state, "preparing"):
        state.preparing = asyncio.create_task(_prepare(request.app))


async def _prepare(app: FastAPI) -> None:
    """A bit at a time, so that who asked first is not held up, and neither are calls."""
    for name in list_templates():
        await asyncio.sleep(_REST_SECONDS)
        await asyncio.to_thread(compile_template, name)
    await asyncio.to_thread(build_document, app)
