"""What a request is told when it is refused: JSON for programs, a page for people."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.routing import compile_path

from signalpost.console.browsers import SAFE_METHODS, SECURITY_HEADERS, cookie_name, is_for_a_person
from signalpost.console.rendering import redirect, render_refusal
from signalpost.model.errors import QueueUnavailable, SettingsUnavailable
from signalpost.workspace.changes import ChangeRefused

_STATUS_OF_CHANGE: Final = {"not_found": 404, "from_file": 409, "name_taken": 409, "in_use": 409, "invalid": 422}
_SENTENCES: Final = {
    404: "There is nothing at this address.",
    405: "This address does something and shows nothing: use the button on the page above it.",
}


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
    app.add_exception_handler(Exception, _answer_fault)


async def _answer(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)  # noqa: S101 - as registered
    return respond(request, error)


async def _answer_change(request: Request, error: Exception) -> Response:
    assert isinstance(error, ChangeRefused)  # noqa: S101 - as registered
    status = _STATUS_OF_CHANGE[error.code]
    return respond(request, Refusal(status, error.code, error.message, faults=error.faults))


async def _answer_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - as registered
    phrase = HTTPStatus(error.status_code).phrase
    message = _SENTENCES.get(error.status_code, error.detail) if error.detail == phrase else error.detail
    code = phrase.lower().replace(" ", "_")
    return respond(request, Refusal(error.status_code, code, message, headers=error.headers))


async def _answer_invalid(request: Request, error: Exception) -> Response:
    """Name the fields; never repeat what was sent."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 - as registered
    faults = {".".join(str(part) for part in fault["loc"][1:]): str(fault["msg"]) for fault in error.errors()}
    return respond(request, Refusal(422, "invalid", "Some fields need another look.", faults=faults))


async def _answer_unavailable(request: Request, error: Exception) -> Response:
    return respond(request, Refusal(503, "unavailable", str(error), headers={"Retry-After": "5"}))


async def _answer_fault(request: Request, _: Exception) -> Response:
    """A fault of ours, outside of the guard. It is raised again after this, and so logged."""
    message = "That is a fault of Signalpost's own; what was accepted is not touched by it. The log says where it was."
    response = respond(request, Refusal(500, "fault", message))
    response.headers.update(SECURITY_HEADERS | {"Cache-Control": "no-store"})
    return response


def respond(request: Request, refusal: Refusal) -> Response:
    """The answer: JSON, a page that says what to do, or the way to the sign-in."""
    if not is_for_a_person(request):
        body: dict[str, object] = {"code": refusal.code, "message": refusal.message}
        if refusal.faults:
            body["faults"] = refusal.faults
        return JSONResponse(body, refusal.status, refusal.headers)
    if refusal.code in {"not_signed_in", "password_needed"}:
        return _ask_who_it_is(request, refusal.code)
    page = render_refusal(request, refusal.status, refusal.message, refusal.faults, _find_way_back(request))
    page.headers.update(refusal.headers)
    return page


def _find_way_back(request: Request) -> str:
    """The page above this address: of the one source or destination that it is about, of its section, or the first."""
    path, pages = quote(request.url.path), request.app.state.page_paths
    _, section, *rest = path.split("/")
    above = [f"/{section}/{rest[0]}"] if section in {"sources", "destinations"} and rest else []
    return next((each for each in (*above, f"/{section}") if each != path and f"/{section}" in pages), "/")


def _can_be_opened(request: Request) -> bool:
    """Whether the address of a form is also that of its page."""
    return any(compile_path(path)[0].match(request.url.path) for path in request.app.state.page_paths)


def _ask_who_it_is(request: Request, code: str) -> Response:
    """Sign in, or give the password again; then on to the page that was asked for, or that the form stands on."""
    path, is_form = quote(request.url.path), request.method not in SAFE_METHODS
    page = f"{path}?{request.url.query}" if request.url.query else path
    target, said = "/sign-in" if code == "not_signed_in" else "/confirm", ""
    if is_form:
        page = path if _can_be_opened(request) else _find_way_back(request)
        said = "Nothing was changed. Send the form again after this."
    elif code == "not_signed_in" and cookie_name(request) in request.cookies:
        said = "Your session has ended. Sign in to go on."
    return redirect(request, f"{target}?next={quote(page)}", said=said, kind="note")
