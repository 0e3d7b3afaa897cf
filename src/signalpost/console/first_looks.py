"""What a page needs only the first time is made ready beside the first page that anybody opens.

At the start it would take a third of a second from every gateway, also from those whose console nobody opens.
"""

import asyncio

from fastapi import FastAPI, Request

from signalpost.console.api_reference import build_document
from signalpost.console.rendering import compile_templates


async def prepare_first_looks(request: Request) -> None:
    """Begin, at the first request for a page; whoever asks does not wait for it."""
    state = request.app.state
    if not hasattr(state, "preparing"):
        state.preparing = asyncio.create_task(asyncio.to_thread(_prepare, request.app))


def _prepare(app: FastAPI) -> None:
    compile_templates()
    build_document(app)
