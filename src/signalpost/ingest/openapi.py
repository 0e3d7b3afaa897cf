"""The tracking API described for machines. Its paths are those of `paths.py`; its codes those that are answered."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, get_args

from signalpost.ingest.answers import STATUS
from signalpost.ingest.decode import FaultCode
from signalpost.ingest.paths import PATHS, SETTINGS_PATH, TrackingPath
from signalpost.model.segment_event import CallCode

_JSON: Final = "application/json"
_TEXT: Final = {"type": "string"}
_COUNT: Final = {"type": "integer", "minimum": 0}

_CALL: Final = {
    "type": "object",
    "description": "One call as Segment's spec describes it. userId or anonymousId is required.",
    "properties": {
        "type": {**_TEXT, "description": "Only in a batch: the path says it otherwise."},
        "event": {**_TEXT, "description": "The name of a track call."},
        "userId": _TEXT,
        "anonymousId": _TEXT,
        "groupId": _TEXT,
        "previousId": _TEXT,
        "messageId": {**_TEXT, "maxLength": 100, "description": "A repeat within 24 hours is a duplicate."},
        "timestamp": _TEXT,
        "sentAt": _TEXT,
        "properties": {"type": "object"},
        "traits": {"type": "object"},
        "context": {"type": "object"},
        "integrations": {"type": "object"},
        "writeKey": _TEXT,
    },
}
_BATCH: Final = {
    "type": "object",
    "required": ["batch"],
    "properties": {
        "batch": {"type": "array", "minItems": 1, "maxItems": 2_500, "items": {"$ref": "#/components/schemas/Call"}},
        "context": {"type": "object"},
        "integrations": {"type": "object"},
        "sentAt": _TEXT,
        "writeKey": _TEXT,
    },
}
_RECEIPT: Final = {
    "type": "object",
    "required": ["success", "accepted", "duplicates", "rejected"],
    "properties": {
        "success": {"const": True},
        "accepted": _COUNT,
        "duplicates": _COUNT,
        "rejected": {"type": "array", "items": {"$ref": "#/components/schemas/RejectedCall"}},
    },
}
_REJECTED: Final = {
    "type": "object",
    "required": ["index", "code", "message"],
    "properties": {"index": _COUNT, "code": {"enum": list(get_args(CallCode))}, "message": _TEXT},
}
_REFUSAL: Final = {
    "type": "object",
    "required": ["success", "code", "message", "error"],
    "properties": {
        "success": {"const": False},
        "code": {"enum": [*get_args(FaultCode), *get_args(CallCode)]},
        "message": _TEXT,
        "error": {**_TEXT, "description": "The same as message, for SDKs that read it."},
    },
}


def build_openapi(version: str) -> dict[str, Any]:
    """The OpenAPI 3.1 document of the tracking port."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "Signalpost tracking API", "version": version, "description": _DESCRIPTION},
        "paths": {path.template: _describe_path(path) for path in PATHS},
        "components": {
            "schemas": {
                "Call": _CALL,
                "Batch": _BATCH,
                "Receipt": _RECEIPT,
                "RejectedCall": _REJECTED,
                "Refusal": _REFUSAL,
            },
            "securitySchemes": {
                "basic": {"type": "http", "scheme": "basic", "description": "The write key as user name."},
                "header": {"type": "apiKey", "in": "header", "name": "X-Write-Key"},
                "query": {"type": "apiKey", "in": "query", "name": "writeKey"},
            },
        },
    }


_DESCRIPTION: Final = (
    "Compatible with Segment's HTTP API. Success is exactly 200, after the calls are on disk. Every POST path, and "
    "the settings and pixel paths, may end with a slash. The write key may also stand in the body."
)


def _describe_path(path: TrackingPath) -> dict[str, Any]:
    described: dict[str, Any] = {
        method.lower(): _describe_operation(path) for method in path.methods if method not in {"OPTIONS", "HEAD"}
    }
    if path.template == SETTINGS_PATH:
        described["parameters"] = [{"name": "write_key", "in": "path", "required": True, "schema": _TEXT}]
    return described


def _describe_operation(path: TrackingPath) -> dict[str, Any]:
    operation: dict[str, Any] = {"summary": path.summary, "tags": [path.kind], "responses": _ANSWERS[path.kind]}
    if path.kind in {"call", "batch"}:
        schema = "Batch" if path.kind == "batch" else "Call"
        operation["requestBody"] = {"required": True, "content": {_JSON: _refer(schema)}}
    if path.kind in {"call", "batch", "source_config"}:
        operation["security"] = [{"basic": []}, {"header": []}, {"query": []}, {}]
    if path.kind == "pixel":
        operation["parameters"] = [{"name": name, "in": "query", "schema": _TEXT} for name in ("data", "writeKey")]
    return operation


def _refer(schema: str) -> dict[str, Any]:
    return {"schema": {"$ref": f"#/components/schemas/{schema}"}}


def _answer(description: str, media_type: str = _JSON, content: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return {"description": description, "content": {media_type: content or {}}}


def _refusals(*statuses: int) -> dict[str, Any]:
    return {str(status): _answer(_name_codes(status), content=_refer("Refusal")) for status in statuses}


def _name_codes(status: int) -> str:
    codes: Sequence[str] = [code for code in get_args(FaultCode) if STATUS.get(code, 400) == status]
    return ", ".join(codes)


_STORED: Final = _answer("Everything that can be stored is.", content=_refer("Receipt"))
_UNREADABLE: Final = _refusals(400, 401, 403, 408, 413, 415, 429, 503)
_ANSWERS: Final[Mapping[str, dict[str, Any]]] = {
    "call": {"200": _STORED, **_UNREADABLE},
    "batch": {"200": _STORED, **_UNREADABLE},
    "sdk_metrics": {"200": _answer("Thrown away."), **_refusals(400, 408, 413, 503)},
    "pixel": {"200": _answer("Always the image.", "image/gif")},
    "settings": {"200": _answer("Settings of the SDK."), **_refusals(404, 429)},
    "source_config": {"200": _answer("Settings of the SDK."), **_refusals(401, 429)},
    "health": {"200": _answer("It does."), "503": _answer("Only a restart helps.")},
    "readiness": {"200": _answer("They are."), "503": _answer("They are not, and why.")},
}
