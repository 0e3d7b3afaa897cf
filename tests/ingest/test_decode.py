"""Bodies become raw calls: bounds, text, JSON, and what holds for any bytes at all."""

import gzip
import json
import re
import tracemalloc

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signalpost.ingest.decode import (
    DecodedBatch,
    Limits,
    RequestFault,
    decode_batch,
    decode_call,
    decode_single,
    decompress,
    read_call_keys,
)
from signalpost.model.segment_event import InvalidCall

LIMITS = Limits()
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def test_a_bomb_costs_no_more_than_the_limit():
    """50 MB that hide in 50 KB take no more memory than the limit allows."""
    bomb = gzip.compress(bytes(50_000_000))
    tracemalloc.start()
    try:
        fault = decompress(bomb, "gzip", 100_000)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert fault == RequestFault("payload_too_large", "body is larger than 100000 bytes when decompressed")
    assert peak < 1_000_000


@pytest.mark.parametrize("encoding", ["", "identity"])
def test_no_encoding(encoding):
    """Without a Content-Encoding, or with identity, the body is as it came."""
    assert decompress(b"anything", encoding, 1) == b"anything"


@given(st.binary(max_size=500), st.sampled_from(["", "gzip", "br"]))
def test_decompress_never_raises(body, encoding):
    """Any bytes under any encoding are text or a fault."""
    assert isinstance(decompress(body, encoding, 100), (bytes, RequestFault))


@given(st.binary(max_size=300))
def test_compressing_is_undone(body):
    """What was compressed comes back byte for byte."""
    assert decompress(gzip.compress(body), "gzip", 300) == body


def test_a_call_is_measured_as_it_was_sent():
    """The size of a call is that of its own JSON text, blanks included, and the limit itself is allowed."""
    limits = Limits(max_call_bytes=50)
    fits, too_long = b'{"a":1' + b" " * 43 + b"}", b'{"a":1' + b" " * 44 + b"}"
    decoded = decode_batch(b'{"batch":[%s,  %s]}' % (fits, too_long), limits)
    assert isinstance(decoded, DecodedBatch)
    assert list(decoded.calls) == [{"a": 1}, InvalidCall("event_too_large", "a call must have at most 50 bytes")]
    assert decode_call(too_long, limits) == list(decoded.calls)[1]


def test_many_brackets_are_not_depth():
    """A call with more than 64 objects side by side is not deep."""
    call = {"products": [{"id": number} for number in range(500)]}
    assert decode_call(json.dumps(call).encode(), LIMITS) == call


@pytest.mark.parametrize(("depth", "is_too_deep"), [(64, False), (65, True)])
def test_depth_counts_objects_and_arrays(depth, is_too_deep):
    """64 levels are allowed, 65 are not, whether of objects, arrays or both."""
    for opening, closing in ((b"[", b"]"), (b'{"a":', b"}")):
        deep = opening * (depth - 1) + b"1" + closing * (depth - 1)
        for text in (b"[%s]" % deep, b"[%s,[],{},[[]]]" % deep):
            assert isinstance(decode_call(text, LIMITS), InvalidCall) is is_too_deep


def test_a_call_refused_for_its_size_still_names_its_source():
    """The write key of an oversized call is read, so that the sender is told about the size, not about a key."""
    body = json.dumps({"writeKey": "k" * 20, "x": "y" * (33 << 10)}).encode()
    decoded = decode_single(body, LIMITS)
    assert isinstance(decoded, DecodedBatch)
    assert decoded.write_key == "k" * 20
    assert isinstance(next(iter(decoded.calls)), InvalidCall)


def test_faults_quote_nothing():
    """A fault says what and where, never what stood there."""
    secret = b"jo.bloggs@example.com"
    for body in (b'{"email":"%s"' % secret, b'{"a":"%s\xff"}' % secret, b'{"%s":NaN}' % secret):
        fault = decode_single(body, LIMITS)
        assert isinstance(fault, RequestFault)
        assert "bloggs" not in fault.message


def test_a_batch_is_decoded_a_call_at_a_time():
    """A number that is too large is only seen in the call's turn, and ends the batch."""
    decoded = decode_batch(b'{"batch":[{"a":1},{"a":1e999},{"a":2}]}', LIMITS)
    assert isinstance(decoded, DecodedBatch)
    first, fault = decoded.calls
    assert first == {"a": 1}
    assert isinstance(fault, RequestFault)
    assert fault.code == "invalid_json"


@pytest.mark.parametrize(
    "body",
    [
        b'{"batch":[{"a":1}],"sentAt":[%s[]]}',
        b'{"batch":[{"a":1}],"writeKey":[%s[]]}',
        b'{"batch":[{"a":1},{"a":[%s[]]}]}',
        b'{"batch":{},"a":[%s[]]}',
        b"[%s[]]",
    ],
    ids=["sent_at", "write_key", "too_large_a_call", "no_batch", "no_object"],
)
def test_what_is_not_used_is_not_built(body):
    """A million little arrays are skimmed at the speed of a search; built, they would take a hundred megabytes."""
    body %= b"[]," * 1_000_000
    tracemalloc.start()
    try:
        decoded = decode_batch(body, LIMITS)
        calls = list(decoded.calls) if isinstance(decoded, DecodedBatch) else []
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * len(body)
    assert all(isinstance(call, InvalidCall) for call in calls[1:])


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"writeKey":"k","x":"%s"}', "event_too_large"),
        (b'{"writeKey":"k","x":[%s]}', "invalid_json"),
        (b'["%s"]', "invalid_payload"),
        (b'["%s"', "invalid_json"),
        (b'{"writeKey":{},"x":"%s"}', "event_too_large"),
    ],
)
def test_a_large_single_call_is_only_skimmed(body, expected):
    """Over the size of a call: still told whether it is JSON and an object, and whose it is when that can be read."""
    decoded = decode_single(body % (b"y" * (33 << 10)), LIMITS)
    if isinstance(decoded, RequestFault):
        assert decoded.code == expected
    else:
        assert next(iter(decoded.calls)).code == expected
        assert decoded.write_key == ("k" if b'"k"' in body else None)


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_decoding_never_raises(body):
    """Any bytes are calls or a fault."""
    for decode in (decode_single, decode_batch):
        assert isinstance(decode(body, LIMITS), (DecodedBatch, RequestFault))


@settings(max_examples=50)
@given(st.lists(JSON_VALUES, min_size=1, max_size=5), JSON_VALUES, JSON_VALUES)
def test_every_item_of_a_batch_comes_out(items, context, sent_at):
    """A batch of any JSON values gives exactly as many calls, in their order, or is refused as a whole."""
    body = msgspec.json.encode({"batch": items, "context": context, "sentAt": sent_at})
    decoded = decode_batch(body, LIMITS)
    if isinstance(decoded, RequestFault):
        assert decoded.code in {"invalid_batch", "invalid_json"}
        assert context is not None
        assert not isinstance(context, dict) or decoded.code == "invalid_json"
    else:
        assert len(list(decoded.calls)) == len(list(read_call_keys(decoded))) == len(items)
        assert list(decoded.calls) == json.loads(msgspec.json.encode(items))


ESCAPES = st.lists(
    st.sampled_from([r"\ud83d", r"\uDE00", r"\ud83d\ude00", r"\\", r"\n", r"\"", r"\u0041", "a", "ud83d", r"\uD800"])
)


@given(ESCAPES)
def test_surrogates(parts):
    """Pairs stay, halves become U+FFFD, and nothing else of a text changes."""
    text = "".join(parts)
    expected = re.sub("[\ud800-\udfff]", "\ufffd", json.loads(f'"{text}"'))
    assert decode_call(f'["{text}"]'.encode(), LIMITS) == [expected]


def _measure_depth(value: object) -> int:
    below = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if below is None else 1 + max(map(_measure_depth, below), default=0)


_TRICKY_TEXT = st.text(alphabet='[]{}"\\,:a\n', max_size=12)
_TRICKY_JSON = st.recursive(
    _TRICKY_TEXT, lambda below: st.lists(below, max_size=3) | st.dictionaries(_TRICKY_TEXT, below, max_size=3)
)


@given(_TRICKY_JSON, st.integers(58, 66))
def test_depth_is_counted_outside_texts_only(value, levels):
    """Brackets, quotes and backslashes within texts change nothing: 64 levels are taken and 65 are too many."""
    for _ in range(levels):
        value = {"[": value}
    decoded = decode_single(msgspec.json.encode(value), Limits())
    is_too_deep = isinstance(decoded.calls[0], InvalidCall) and decoded.calls[0].code == "too_deep"
    assert is_too_deep == (_measure_depth(value) > 64)
