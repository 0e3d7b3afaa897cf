"""A request's body becomes raw calls: decompressed within bounds, read as UTF-8 JSON, counted. Knows no HTTP status.

Nothing here trusts the client: every step is bounded by a limit before it costs memory or time.
"""

import re
import zlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

import msgspec

from signalpost.ingest.surrogates import may_have_surrogates, replace_lone_surrogates
from signalpost.model.segment_event import InvalidCall, JsonObject

FaultCode = Literal[
    "empty_body",
    "invalid_json",
    "invalid_utf8",
    "invalid_encoding",
    "incomplete_body",
    "invalid_payload",
    "empty_batch",
    "invalid_batch",
    "too_many_events",
    "bad_request",
    "missing_write_key",
    "invalid_write_key",
    "origin_not_allowed",
    "not_found",
    "unknown_source",
    "method_not_allowed",
    "request_timeout",
    "payload_too_large",
    "unsupported_encoding",
    "rate_limited",
    "temporarily_unavailable",
]

MAX_DEPTH = 64
MAX_KEYS = 10_000
_SHORTEST_MEMBER = len('"":0,')


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes, of decompressed JSON. Source: Segment, "HTTP API Source", for calls; the rest is ours."""

    max_call_bytes: int = 32 << 10
    max_single_body_bytes: int = 500 << 10
    max_batch_body_bytes: int = 4 << 20
    max_batch_calls: int = 2_500


@dataclass(frozen=True, slots=True)
class RequestFault:
    """Why a whole request can't be read; the message never quotes the input."""

    code: FaultCode
    message: str


class DecodedBatch(msgspec.Struct, frozen=True):
    """The calls of one request in the order sent, each decoded or refused by itself; what the batch says for all.

    calls: a RequestFault among them says that the whole request is broken, which is only seen there.
    texts: the JSON of each call. write_key: of the body itself; None when absent or empty.
    """

    calls: Iterable[object | InvalidCall | RequestFault]
    texts: Sequence[bytes] = ()
    sent_at: object = None
    context: JsonObject = msgspec.field(default_factory=dict)
    integrations: JsonObject = msgspec.field(default_factory=dict)
    write_key: str | None = None


@dataclass(frozen=True, slots=True)
class JsonCalls:
    """The calls of a batch, each decoded when its turn comes.

    Decoding all of them first would push what is read next out of the processor's caches: a sixth of the whole intake.
    """

    texts: Sequence[bytes]
    limits: Limits

    def __iter__(self) -> Iterator[object | InvalidCall | RequestFault]:
        """Ends after a fault."""
        for text in self.texts:
            if len(text) > self.limits.max_call_bytes:
                yield _check_call(text, None, self.limits)  # not decoded: it may be as large as the body
                continue
            try:
                call = _decoder.decode(text)
            except (msgspec.DecodeError, RecursionError):
                yield _INVALID_JSON  # skimming found no fault: it is a number out of range
                return
            yield _check_call(text, call, self.limits)


_NULL = msgspec.Raw(b"null")


class _BatchBody(msgspec.Struct, rename="camel"):
    batch: list[msgspec.Raw] | msgspec.UnsetType = msgspec.UNSET
    sent_at: msgspec.Raw = _NULL
    context: msgspec.Raw = _NULL
    integrations: msgspec.Raw = _NULL
    write_key: msgspec.Raw = _NULL


class _KeyOnly(msgspec.Struct, rename="camel"):
    write_key: msgspec.Raw = _NULL


_key_decoder = msgspec.json.Decoder(_KeyOnly)
_raw_decoder = msgspec.json.Decoder(msgspec.Raw)
_batch_decoder = msgspec.json.Decoder(_BatchBody)
_decoder: msgspec.json.Decoder[object] = msgspec.json.Decoder()
_GZIP_WBITS = 16 + zlib.MAX_WBITS


def decompress(body: bytes, encoding: str, limit: int) -> bytes | RequestFault:
    """Undo the Content-Encoding; never makes more than `limit` bytes. gzip: exactly one complete member."""
    if encoding in {"", "identity"} or (encoding == "gzip" and not body):
        return body
    if encoding != "gzip":
        return RequestFault("unsupported_encoding", "Content-Encoding must be gzip or absent")
    unzip = zlib.decompressobj(_GZIP_WBITS)
    try:
        text = unzip.decompress(body, limit + 1)
    except zlib.error:
        return RequestFault("invalid_encoding", "body is not valid gzip")
    if len(text) > limit:
        return RequestFault("payload_too_large", f"body is larger than {limit} bytes when decompressed")
    if not unzip.eof or unzip.unused_data:
        return RequestFault("invalid_encoding", "body must be exactly one complete gzip member")
    return text


def decode_call(body: bytes, limits: Limits) -> object | InvalidCall | RequestFault:
    """One JSON text that is a call; whether it is an object, and a valid one, is for `parse_call` to say."""
    read = _read_single(body)
    if isinstance(read, RequestFault) and may_have_surrogates(body):
        read = _read_single(b"".join(replace_lone_surrogates(body)))
    return read if isinstance(read, RequestFault) else _check_call(*read, limits)


def decode_single(body: bytes, limits: Limits) -> DecodedBatch | RequestFault:
    """One call: the body is the call itself."""
    if len(body) > limits.max_call_bytes:
        return _skim_large_single(body, limits)
    read = _read_single(body)
    if isinstance(read, RequestFault):
        return read
    text, call = read
    if not isinstance(call, dict):
        return _NOT_AN_OBJECT
    return DecodedBatch(
        calls=[_check_call(text, call, limits)],
        texts=[text],
        write_key=_read_write_key(call.get("writeKey")),
    )


def _skim_large_single(body: bytes, limits: Limits) -> DecodedBatch | RequestFault:
    """A call that may be too large: whether it is JSON, and whose it is, without building what would be thrown away."""
    text = _check_text(body)
    if isinstance(text, RequestFault):
        return text
    if len(text) <= limits.max_call_bytes:  # without its byte order mark
        return decode_single(text, limits)
    try:
        found = _key_decoder.decode(text)
    except msgspec.ValidationError:
        return _skim(text) or _NOT_AN_OBJECT
    except (msgspec.DecodeError, RecursionError) as error:
        return _describe_json_error(error)
    return DecodedBatch(
        [_check_call(text, None, limits)], [text], write_key=_read_write_key(_decode_scalar(found.write_key))
    )


def _skim(text: bytes) -> RequestFault | None:
    """Why a text is no JSON, or None."""
    try:
        _raw_decoder.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        return _describe_json_error(error)
    return None


def _read_single(body: bytes) -> tuple[bytes, object] | RequestFault:
    text = _check_text(body)
    if isinstance(text, RequestFault):
        return text
    document = _decode_document(text)
    return document if isinstance(document, RequestFault) else (text, document)


def decode_batch(body: bytes, limits: Limits) -> DecodedBatch | RequestFault:
    """Many calls under `batch`; a bad one is refused by itself and harms no other."""
    text = _check_text(body)
    if isinstance(text, RequestFault):
        return text
    document = _decode_batch_document(text)
    if isinstance(document, RequestFault):
        return document
    raw_calls = document.batch
    if raw_calls is msgspec.UNSET:
        return RequestFault("invalid_batch", "batch is required: an array of calls")
    if not raw_calls:
        return RequestFault("empty_batch", "batch must hold at least one call")
    if len(raw_calls) > limits.max_batch_calls:
        return RequestFault("too_many_events", f"batch must hold at most {limits.max_batch_calls} calls")
    texts = [bytes(raw) for raw in raw_calls]  # copies: a kept call must not keep the whole body
    try:
        context = _decode_shared("context", document.context, limits)
        integrations = _decode_shared("integrations", document.integrations, limits)
        sent_at, write_key = _decode_scalar(document.sent_at), _decode_scalar(document.write_key)
    except (msgspec.DecodeError, RecursionError):
        return _INVALID_JSON  # see JsonCalls
    if isinstance(context, RequestFault):
        return context
    if isinstance(integrations, RequestFault):
        return integrations
    return DecodedBatch(
        calls=JsonCalls(texts, limits),
        texts=texts,
        sent_at=sent_at,
        context=context,
        integrations=integrations,
        write_key=_read_write_key(write_key),
    )


def read_call_keys(batch: DecodedBatch) -> Iterator[str | RequestFault | None]:
    """The write key of each call of a batch, read without building the call."""
    for text in batch.texts:
        try:
            yield _read_write_key(_decode_scalar(_key_decoder.decode(text).write_key))
        except msgspec.ValidationError:
            yield None
        except (msgspec.DecodeError, RecursionError) as error:
            yield _describe_json_error(error)


def _decode_shared(name: str, raw: msgspec.Raw, limits: Limits) -> JsonObject | RequestFault:
    """What a batch says for each of its calls. It is merged into every one, so it may be no larger than a call.

    Refused when it is no object, not ignored: an opt-out could be in there.
    """
    shared = _decoder.decode(raw)
    if shared is None:
        return {}
    if not isinstance(shared, dict):
        return RequestFault("invalid_batch", f"{name} of a batch must be an object")
    objection = _check_call(bytes(raw), shared, limits)
    if isinstance(objection, InvalidCall):
        return RequestFault("invalid_batch", f"{name} of a batch is too large: {objection.message}")
    return shared


def _check_text(body: bytes) -> bytes | RequestFault:
    """UTF-8 without a byte order mark.

    The whole body is checked first because the JSON decoder does not look inside the slices of a batch.
    """
    text = body.removeprefix(_BYTE_ORDER_MARK)
    if not text.strip():
        return RequestFault("empty_body", "body is empty")
    if not text.isascii():
        try:
            text.decode()
        except UnicodeDecodeError as error:
            return RequestFault("invalid_utf8", f"body is not valid UTF-8 (byte {error.start})")
    return text


_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def _decode_document(text: bytes) -> object | RequestFault:
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        return _describe_json_error(error)


def _decode_batch_document(text: bytes) -> _BatchBody | RequestFault:
    try:
        return _batch_decoder.decode(text)
    except msgspec.ValidationError:
        # JSON of another shape, unless the fault lies deeper. It is not built: it may be as large as the body.
        is_object = text.lstrip().startswith(b"{")
        return _skim(text) or (_NOT_AN_ARRAY if is_object else _NOT_AN_OBJECT)
    except (msgspec.DecodeError, RecursionError) as error:
        return _describe_json_error(error)


_NOT_AN_ARRAY = RequestFault("invalid_batch", "batch must be an array of calls")
_NOT_AN_OBJECT = RequestFault("invalid_payload", "body must be a JSON object")
_INVALID_JSON = RequestFault("invalid_json", "body is not valid JSON")


def _describe_json_error(error: Exception) -> RequestFault:
    place = re.search(r"byte (\d+)", str(error))
    return RequestFault("invalid_json", f"body is not valid JSON (byte {place.group(1)})") if place else _INVALID_JSON


def _check_call(text: bytes, call: object, limits: Limits) -> object | InvalidCall:
    if len(text) > limits.max_call_bytes:
        return InvalidCall("event_too_large", f"a call must have at most {limits.max_call_bytes} bytes")
    if _has_many_brackets(text) and _is_too_deep(text):
        return InvalidCall("too_deep", f"a call must be nested at most {MAX_DEPTH} levels deep")
    if len(text) > MAX_KEYS * _SHORTEST_MEMBER and text.count(b":") > MAX_KEYS and _has_too_many_keys(call):
        return InvalidCall("too_many_keys", f"an object must have at most {MAX_KEYS} keys")
    return call


def _has_many_brackets(text: bytes) -> bool:
    """Whether a call may be too deep, at the speed of a search: splitting is twice as fast as counting."""
    braces, brackets = text.split(b"{", MAX_DEPTH + 1), text.split(b"[", MAX_DEPTH + 1)
    return len(braces) - 1 + len(brackets) - 1 > MAX_DEPTH


def _children(value: object) -> list[object]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_STEPS = bytes.maketrans(b"{[}]", b"\1\1\xff\xff")
_NO_BRACKETS = bytes(set(range(256)) - set(b"{[}]"))


def _is_too_deep(text: bytes) -> bool:
    """Add up the brackets of valid JSON: one more level, one less. A walk over the decoded call costs more."""
    steps = array("b", _STRING.sub(b"", text).translate(_STEPS, _NO_BRACKETS))
    return max(accumulate(steps)) > MAX_DEPTH


def _has_too_many_keys(call: object) -> bool:
    waiting = [call]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict) and len(value) > MAX_KEYS:
            return True
        waiting.extend(_children(value))
    return False


def _decode_scalar(raw: msgspec.Raw) -> object:
    """A text, a number or null. An array or object is not built, since it may be as large as the body: True."""
    return True if bytes(memoryview(raw)[:1]) in {b"[", b"{"} else _decoder.decode(raw)


def _read_write_key(given: object) -> str | None:
    return given if isinstance(given, str) and given else None
