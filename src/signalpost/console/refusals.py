"""What a request is told when it is refused: JSON for programs, a page for people."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException

from signalpost.console.rendering import render_refusal
from signalpost.model.errors import QueueUnavailable, SettingsUnavailable
from signalpost.workspace.changes import ChangeRefused

_STATUS_OF_CHANGE: Final = {"not_found": 404, "from_file": 409, "name_taken": 409, "in_use": 409, "invalid": 422}


class Refusal(Exception):
    """The request is answered with this status, code and sentence. faults: field -> what is wrong with it."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        faults: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.faults = dict(faults or {})
        self.headers = dict(headers or {})


def answer_refusals(app: FastAPI) -> None:
    """Give every refusal its answer."""
    app.add_exception_handler(Refusal, _answer)
    app.add_exception_handler(ChangeRefused, _answer_change)
    app.add_exception_handler(HTTPException, _answer_http)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(QueueUnavailable, _answer_unavailable)
    app.add_exception_handler(SettingsUnavailable, _answer_unavailable)


def is_for_a_person(request: Request) -> bool:
    """Whether a browser shows the answer as a page."""
    return not request.url.path.startswith("/api/") and "text/html" in request.headers.get("accept", "")


async def _answer(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)  # noqa: S101 - as registered
    return _respond(request, error)


async def _answer_change(request: Request, error: Exception) -> Response:
    assert isinstance(error, ChangeRefused)  # noqa: S101 - as registered
    status = _STATUS_OF_CHANGE[error.code]
    return _respond(request, Refusal(status, error.code, error.message, faults=error.faults))


async def _answer_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - as registered
    phrase = HTTPStatus(error.status_code).phrase
    message = "There is nothing at this address." if error.detail == "Not Found" else error.detail
    code = phrase.lower().replace(" ", "_")
    return _respond(request, Refusal(error.status_code, code, message, headers=error.headers))


async def _answer_invalid(request: Request, error: Exception) -> Response:
    """Name the fields; never repeat what was sent."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 - as registered
    faults = {".".join(str(part) for part in fault["loc"][1:]): str(fault["msg"]) for fault in error.errors()}
    return _respond(request, Refusal(422, "invalid", "Some fields need another look.", faults=faults))


async def _answer_unavailable(request: Request, error: Exception) -> Response:
    return _respond(request, Refusal(503, "unavailable", str(error), headers={"Retry-After": "5"}))


def _respond(request: Request, refusal: Refusal) -> Response:
    if not is_for_a_person(request):
        body: dict[str, object] = {"code": refusal.code, "message": refusal.message}
        if refusal.faults:
            body["faults"] = refusal.faults
        return JSONResponse(body, refusal.status, refusal.headers)
    back = quote(f"{request.url.path}?{request.url.query}" if request.url.query else request.url.path)
    if refusal.code == "not_signed_in":
        return RedirectResponse(f"/sign-in?next={back}" if request.method == "GET" else "/sign-in", 303)
    if refusal.code == "password_needed":
        return RedirectResponse(f"/confirm?next={back if request.method == 'GET' else ''}", 303)
    page = render_refusal(request, refusal.status, refusal.message, refusal.faults)
    page.headers.update(refusal.headers)
    return page
