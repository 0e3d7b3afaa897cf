"""Hostile and bad input: one answer per row of the tracking API's table, over a real socket.

Where a row has two answers, `single` is that of /v1/track and `batch` that of the same call inside /v1/batch.
"""

import asyncio
import gzip
import json
import time
from typing import Any

import pytest

from signalpost.ingest.decode import Limits
from signalpost.model.dead_letters import DeadLetterFilter
from tests.ingest.gateway import CALL, CONVERSIONS, KEY, OTHER_KEY, build_call, running_gateway, split_answer

pytestmark = pytest.mark.asyncio(loop_scope="module")


def nest(depth: int) -> Any:
    """An object so many levels deep."""
    nested: Any = 1
    for _ in range(depth):
        nested = {"a": nested}
    return nested


def json_of(call: object) -> bytes:
    return json.dumps(call, ensure_ascii=False).encode()


def with_text(raw: bytes) -> bytes:
    """A call with raw bytes as the JSON of one property."""
    return b'{"type":"track","userId":"u1","event":"Seen","properties":{"x":%s}}' % raw


def build_order(**properties: Any) -> dict[str, Any]:
    return build_call(event="Order Completed", properties={"revenue": 1, **properties})


GOOD = json_of(build_call())
ZIPPED = gzip.compress(GOOD)
GZIP = {"Content-Encoding": "gzip"}

WHOLE_BODY = [
    ("1_empty", b"", {}, 400, "empty_body"),
    ("1_blank", b" \n", {}, 400, "empty_body"),
    ("1_empty_gzip", b"", GZIP, 400, "empty_body"),
    ("2_open_brace", b"{", {}, 400, "invalid_json"),
    ("2_trailing_text", b'{"a":1}x', {}, 400, "invalid_json"),
    ("2_two_documents", GOOD + GOOD, {}, 400, "invalid_json"),
    ("3_number", b"7", {}, 400, "invalid_payload"),
    ("3_text", b'"x"', {}, 400, "invalid_payload"),
    ("3_null", b"null", {}, 400, "invalid_payload"),
    ("3_array", b"[%s]" % GOOD, {}, 400, "invalid_payload"),
    ("4_100000_brackets", b"[" * 100_000, {}, 400, "invalid_json"),
    ("4_100000_brackets_closed", b"[" * 100_000 + b"]" * 100_000, {}, 400, "invalid_json"),
    ("4_100000_braces_in_a_property", with_text(b'{"a":' * 50_000), {}, 400, "invalid_json"),
    ("6_nan", with_text(b"NaN"), {}, 400, "invalid_json"),
    ("6_infinity", with_text(b"Infinity"), {}, 400, "invalid_json"),
    ("6_minus_infinity", with_text(b"-Infinity"), {}, 400, "invalid_json"),
    ("7_1e999", with_text(b"1e999"), {}, 400, "invalid_json"),
    ("8_5000_digits", with_text(b"9" * 5_000), {}, 400, "invalid_json"),
    ("11_invalid_utf8", with_text(b'"\xff"'), {}, 400, "invalid_utf8"),
    ("11_overlong_utf8", with_text(b'"\xc0\xaf"'), {}, 400, "invalid_utf8"),
    ("11_cesu_utf8", with_text(b'"\xed\xa0\xbd"'), {}, 400, "invalid_utf8"),
    ("11_invalid_utf8_in_a_key", b'{"\xff":1}', {}, 400, "invalid_utf8"),
    ("12_utf16_with_bom", GOOD.decode().encode("utf-16"), {}, 400, "invalid_utf8"),
    ("12_utf32_with_bom", GOOD.decode().encode("utf-32"), {}, 400, "invalid_utf8"),
    ("12_utf16_without_bom", GOOD.decode().encode("utf-16-le"), {}, 400, "invalid_json"),
    ("14_raw_control_character", with_text(b'"\x01"'), {}, 400, "invalid_json"),
    ("21_gzip_truncated", ZIPPED[:-4], GZIP, 400, "invalid_encoding"),
    ("21_gzip_half", ZIPPED[: len(ZIPPED) // 2], GZIP, 400, "invalid_encoding"),
    ("21_gzip_bad_crc", ZIPPED[:-8] + b"\0\0\0\0" + ZIPPED[-4:], GZIP, 400, "invalid_encoding"),
    ("21_gzip_trailing_bytes", ZIPPED + b"x", GZIP, 400, "invalid_encoding"),
    ("21_gzip_two_members", ZIPPED + ZIPPED, GZIP, 400, "invalid_encoding"),
    ("21_gzip_header_on_plain", GOOD, GZIP, 400, "invalid_encoding"),
    ("21_plain_header_on_gzip", ZIPPED, {}, 400, "invalid_utf8"),
    ("22_br", GOOD, {"Content-Encoding": "br"}, 415, "unsupported_encoding"),
    ("22_zstd", GOOD, {"Content-Encoding": "zstd"}, 415, "unsupported_encoding"),
    ("22_deflate", GOOD, {"Content-Encoding": "deflate"}, 415, "unsupported_encoding"),
    ("22_twice_gzip", gzip.compress(ZIPPED), {"Content-Encoding": "gzip, gzip"}, 415, "unsupported_encoding"),
    ("23_form", b"data=1", {"Content-Type": "application/x-www-form-urlencoded"}, 400, "invalid_json"),
    ("23_xml", b"<call/>", {"Content-Type": "text/xml"}, 400, "invalid_json"),
    ("17_over_500_KiB", b" " * (501 << 10), {}, 413, "payload_too_large"),
]


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"), [row[1:] for row in WHOLE_BODY], ids=[row[0] for row in WHOLE_BODY]
)
async def test_a_body_that_cannot_be_read(gateway, body, headers, status, code):
    """The whole request is refused with the row's status and code, quickly, and the answer quotes nothing of it."""
    began = time.process_time()
    answer = await gateway.post("/v1/track", body, headers=headers)
    assert time.process_time() - began < 0.5
    assert (answer.status, answer.body["code"]) == (status, code)
    assert answer.body["message"] == answer.body["error"]
    assert "Signed Up" not in answer.text
    if status == 415:
        assert answer.headers["Accept-Encoding"] == "gzip"


IN_A_BATCH = [
    ("2_open_brace", b'{"batch":[{]}', 400, "invalid_json"),
    ("3_array", b"[]", 400, "invalid_payload"),
    ("4_100000_brackets", b'{"batch":[' + b"[" * 100_000, 400, "invalid_json"),
    ("4_100000_brackets_closed", b'{"batch":[%s]}' % (b"[" * 100_000 + b"]" * 100_000), 400, "invalid_json"),
    (
        "4_in_context",
        b'{"batch":[%s],"context":%s}' % (GOOD, b'{"a":' * 2_000 + b"1" + b"}" * 2_000),
        400,
        "invalid_json",
    ),
    ("6_nan", b'{"batch":[%s,%s]}' % (GOOD, with_text(b"NaN")), 400, "invalid_json"),
    ("7_1e999", b'{"batch":[%s,%s]}' % (GOOD, with_text(b"1e999")), 400, "invalid_json"),
    ("7_1e999_in_context", b'{"batch":[%s],"context":{"x":1e999}}' % GOOD, 400, "invalid_json"),
    ("8_5000_digits", b'{"batch":[%s]}' % with_text(b"9" * 5_000), 400, "invalid_json"),
    ("11_invalid_utf8", b'{"batch":[%s,%s]}' % (GOOD, with_text(b'"\xff"')), 400, "invalid_utf8"),
    ("24_empty", b'{"batch":[]}', 400, "empty_batch"),
    ("24_missing", b'{"calls":[]}', 400, "invalid_batch"),
    ("24_null", b'{"batch":null}', 400, "invalid_batch"),
    ("24_object", b'{"batch":{"a":1}}', 400, "invalid_batch"),
    ("24_text", b'{"batch":"x"}', 400, "invalid_batch"),
    ("25_2501_items", b'{"batch":[%s]}' % b",".join([b"1"] * 2_501), 400, "too_many_events"),
]


@pytest.mark.parametrize(
    ("body", "status", "code"), [row[1:] for row in IN_A_BATCH], ids=[row[0] for row in IN_A_BATCH]
)
async def test_a_batch_that_cannot_be_read(gateway, body, status, code):
    """The whole batch is refused with the row's code; nothing of it is stored."""
    before = await gateway.ledger()
    answer = await gateway.batch(body)
    assert (answer.status, answer.body["code"]) == (status, code)
    assert (await gateway.ledger()).calls == before.calls


async def test_the_message_names_the_byte(gateway):
    """A fault in the JSON is shown where it is in the body, also when it is deep inside a batch."""
    for body, place in ((b'{"userId": NaN}', 11), (b'{"batch":[{"a":1},{"a":NaN}]}', 23), (b'{"a":"\xff"}', 6)):
        path = "/v1/batch" if b"batch" in body else "/v1/track"
        assert f"(byte {place})" in (await gateway.post(path, body)).body["message"]


REJECTED = [
    ("5_65_levels", build_call(properties=nest(64)), "too_deep"),
    ("5_900_levels", build_call(properties=nest(900)), "too_deep"),
    ("14_nul_in_message_id", build_call(messageId="a\0b"), "invalid_message_id"),
    ("14_nul_in_user_id", build_call(userId="a\0b"), "id_invalid"),
    ("17_over_32_KiB", build_call(properties={"x": "y" * (32 << 10)}), "event_too_large"),
    ("27_unknown_type", build_call(type="purchase"), "unknown_type"),
    ("27_type_number", build_call(type=1), "unknown_type"),
    ("27_type_in_capitals", build_call(type="Track"), "unknown_type"),
    ("27_type_missing", build_call(type=...), "unknown_type"),
    ("28_event_missing", build_call(event=...), "event_not_defined"),
    ("28_event_null", build_call(event=None), "event_not_defined"),
    ("28_event_empty", build_call(event=""), "event_not_defined"),
    ("28_event_blank", build_call(event="  "), "event_not_defined"),
    ("28_event_number", build_call(event=7), "event_not_string"),
    ("28_event_object", build_call(event={}), "event_not_string"),
    ("29_no_id", build_call(userId=...), "no_user_anon_id"),
    ("29_null_and_empty", build_call(userId=None, anonymousId=""), "no_user_anon_id"),
    ("30_id_object", build_call(userId={}), "id_not_string"),
    ("30_id_array", build_call(anonymousId=[]), "id_not_string"),
    ("30_id_boolean", build_call(userId=True), "id_not_string"),
    ("30_id_fraction", build_call(userId=1.5), "id_not_string"),
    ("30_id_513_characters", build_call(userId="x" * 513), "id_invalid"),
    ("31_message_id_number", build_call(messageId=7), "invalid_message_id"),
    ("31_message_id_101_characters", build_call(messageId="x" * 101), "invalid_message_id"),
    ("31_message_id_line_break", build_call(messageId="a\r\nb"), "invalid_message_id"),
    ("33_yesterday", build_call(timestamp="yesterday"), "invalid_timestamp"),
    ("33_30_february", build_call(timestamp="2026-02-30"), "invalid_timestamp"),
    ("33_negative", build_call(timestamp=-1), "invalid_timestamp"),
    ("33_boolean", build_call(timestamp=True), "invalid_timestamp"),
    ("50_integrations_text", build_call(integrations="all"), "integrations_not_object"),
    ("55_properties_array", build_call(properties=[]), "properties_not_object"),
    ("55_traits_text", build_call(type="identify", traits="x"), "traits_not_object"),
    ("55_group_without_id", build_call(type="group"), "group_id_required"),
    ("55_alias_with_nobody", build_call(type="alias", userId=...), "no_user_anon_id"),
    ("55_page_name_number", build_call(type="page", name=1), "name_not_string"),
    ("55_screen_category_object", build_call(type="screen", category={}), "category_not_string"),
    ("56_context_array", build_call(context=[]), "context_not_object"),
    ("56_consent_without_preferences", build_call(context={"consent": {}}), "consent_categorypreferences_should_exist"),
]


@pytest.mark.parametrize(("call", "code"), [row[1:] for row in REJECTED], ids=[row[0] for row in REJECTED])
async def test_a_call_that_is_rejected(gateway, call, code):
    """Alone it is 400 with the row's code; in a batch it is rejected by itself and its mates are stored."""
    mates = [build_call(), build_call()]
    answer = await gateway.batch([mates[0], call, mates[1]])
    assert (answer.status, answer.body["accepted"]) == (200, 2)
    assert [(each["index"], each["code"]) for each in answer.body["rejected"]] == [(1, code)]
    if code != "unknown_type":  # alone, the path says the type
        path = f"/v1/{call['type']}"
        alone = await gateway.post(path, call)
        assert (alone.status, alone.body["code"]) == (400, code)
        assert alone.body["message"] == answer.body["rejected"][0]["message"]


ACCEPTED = [
    ("5_64_levels", build_call(properties=nest(62))),
    ("9_above_2_64", build_call(properties={"x": 2**64, "y": 2**70, "value": 2**63})),
    ("12_bom", b"\xef\xbb\xbf" + GOOD),
    ("13_duplicate_keys", b'{"type":"track","event":"a","event":"b","userId":"","userId":"u1"}'),
    ("14_escaped_nul_in_properties", with_text(rb'"\u0000"')),
    ("15_keys", build_call(properties={"__proto__": 1, "__class__": {"$where": 1}, "a.b": 2, "": 3, "k" * 9_999: 4})),
    ("16_templates", build_call(event="{{7*7}}", properties={"a": "${jndi:x}", "b": "<script>", "c": "=cmd()"})),
    ("27_single_path_decides", build_call(type="identify")),
    ("28_long_event", build_call(event="x" * 10_240)),
    ("30_id_integer", build_call(userId=7)),
    ("31_message_id_null", build_call(messageId=None)),
    ("31_message_id_empty", build_call(messageId="")),
    ("31_message_id_100_characters", build_call(messageId="x" * 100)),
    ("33_year_9999", build_call(timestamp="9999-12-31T23:59:59Z")),
    ("33_1970", build_call(timestamp=0)),
    ("33_leap_second", build_call(timestamp="2026-11-21T11:59:60Z")),
    ("34_sent_at_in_2001", build_call(timestamp="2001-01-01T00:00:00Z", sentAt="2001-01-01T00:00:05Z")),
    ("46_ip_invalid", build_call(context={"ip": "999.1.1.1", "userAgent": "a\r\nb"})),
    ("46_ip_10_KB", build_call(context={"ip": "1" * 10_240})),
    ("47_email_odd", build_call(context={"traits": {"email": "a@b@c", "phone": "x" * 10_240}})),
    ("48_currency_dollars", build_order(currency="dollars", revenue="NaN")),
    ("48_value_1e308", build_order(revenue=1e308)),
    ("49_products_object", build_order(products={"a": 1})),
    ("49_products_odd", build_order(products=[None, 1, "x", [], {}])),
    ("49_500_products", build_order(products=[{"id": number} for number in range(500)])),
    ("50_integrations_odd_value", build_call(integrations={"Facebook Conversions API": "yes"})),
    ("57_fields_of_ours", build_call(receivedAt={}, version=[], writeKey=7, _metadata="x", channel=1)),
]


@pytest.mark.parametrize("call", [row[1] for row in ACCEPTED], ids=[row[0] for row in ACCEPTED])
async def test_a_call_that_is_accepted(gateway, call):
    """Odd, but valid: alone and in a batch it is stored, and ends where the ledger can see it."""
    text = call if isinstance(call, bytes) else json_of(call)
    before = await gateway.ledger()
    alone = await gateway.track(text)
    batch = await gateway.batch(b'{"batch":[%s]}' % text.removeprefix(b"\xef\xbb\xbf"))
    for answer in (alone, batch):
        assert answer.status == 200
        assert answer.body["accepted"] + answer.body["duplicates"] == 1
    after = await gateway.ledger()
    assert after.imbalance == 0
    assert after.events.accepted > before.events.accepted
    assert "MESSAGE_REJECTED/mapping_failed" not in {event.detail for event in gateway.entries()[-1].events}


async def test_10_lone_surrogates(fresh):
    """Half an emoji is accepted and becomes U+FFFD; whole emojis and escaped backslashes stay what they are."""
    text = with_text(rb'["\ud83d", "\ud83d\ude00", "\\ud83d", "\ud83d\ud83d\ude00", "\ude00", "\uD83Dx"]')
    for body in (text, b'{"batch":[%s]}' % text):
        answer = await fresh.post("/v1/batch" if body is not text else "/v1/track", body)
        assert answer.body["accepted"] == 1
    for event in await fresh.pending():
        assert event["custom_data"]["x"] == ["\ufffd", "😀", "\\ud83d", "\ufffd😀", "\ufffd", "\ufffdx"]


async def test_26_one_bad_item_among_99_good(gateway):
    """99 calls are stored, the one that is no object is listed."""
    answer = await gateway.batch([*[build_call() for _ in range(50)], 5, *[build_call() for _ in range(49)]])
    assert (answer.status, answer.body["accepted"]) == (200, 99)
    assert [(call["index"], call["code"]) for call in answer.body["rejected"]] == [(50, "invalid_event")]


async def test_25_2500_items(gateway):
    """As many calls as a batch may hold are all stored."""
    answer = await gateway.batch([{"type": "track", "userId": "u", "event": "x"}] * 2_500)
    assert (answer.status, answer.body["accepted"]) == (200, 2_500)


async def test_28_and_33_end_at_mapping(fresh):
    """A name too long and a call too old are accepted, and end as rejected with their reason."""
    await fresh.batch([build_call(event="x" * 51), build_call(timestamp=0)])
    assert [event.detail for entry in fresh.entries() for event in entry.events] == [
        "MESSAGE_REJECTED/event_name_too_long",
        "MESSAGE_REJECTED/event_too_old",
    ]
    letters = await fresh.queue.browse_dead_letters(DeadLetterFilter(destination_id=CONVERSIONS.id))
    assert {letter.reason for letter in letters} == {"event_name_too_long", "event_too_old"}


async def test_32_a_message_id_of_two_sources(fresh):
    """The same messageId from another source is another call; twice in one batch the first wins."""
    first = await fresh.batch([build_call(messageId="m", event="First"), build_call(messageId="m", event="Second")])
    assert (first.body["accepted"], first.body["duplicates"]) == (1, 1)
    assert [event["event_name"] for event in await fresh.pending()] == ["First"]
    other = await fresh.batch([build_call(messageId="m")], key=OTHER_KEY)
    assert other.body["accepted"] == 1


async def test_42_pipelined_requests(gateway):
    """Requests written at once are answered in their order."""
    body = json_of(CALL)
    request = b"POST /v1/track?writeKey=%s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (
        KEY.encode(),
        len(body),
        body,
    )
    last = b"GET /v1/track HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answers = await gateway.exchange(request + request + last)
    assert [part[:3] for part in answers.split(b"HTTP/1.1 ")[1:]] == [b"200", b"200", b"405"]


async def test_42_http_1_0(gateway):
    """An HTTP/1.0 request is served."""
    body = json_of({**CALL, "writeKey": KEY})
    request = b"POST /v1/track HTTP/1.0\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    assert split_answer(await gateway.exchange(request))[0] == 200


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"X-Folded: a\r\n b\r\n",
        b"X-Nul: a\0b\r\n",
        b"X-Line-Feed: a\n",
        b"Content-Length: 5, 5\r\n",
        b"Content-Length : 5\r\n",
        b"Content-Length: 5\r\nTransfer-Encoding: identity\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
    ],
    ids=[
        *("length_and_chunked", "two_lengths", "xchunked", "folded", "nul", "line_feed_alone"),
        *("a_list_of_lengths", "space_before_colon", "identity", "chunked_first"),
    ],
)
async def test_39_broken_http(gateway, head):
    """Requests that two readers could read in two ways are refused, and the connection closed: one answer at most."""
    second = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    request = b"POST /v1/track?writeKey=%s HTTP/1.1\r\nHost: x\r\n%s\r\n0\r\n\r\n" % (KEY.encode(), head)
    answers = await gateway.exchange(request + second)
    assert answers.startswith(b"HTTP/1.1 400")
    assert answers.count(b"HTTP/1.1 ") == 1


async def test_39_lines_that_end_in_a_line_feed_alone(gateway):
    """A whole request of such lines is refused too."""
    answer = await gateway.exchange(b"POST /v1/track?writeKey=%s HTTP/1.1\nHost: x\n\n" % KEY.encode())
    assert answer.startswith(b"HTTP/1.1 400")


async def test_39_a_length_with_more_zeros_than_a_number_may_have(gateway):
    """It is a number all the same."""
    body = json_of({**CALL, "writeKey": KEY})
    head = b"POST /v1/track HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %s%d\r\n\r\n"
    answer = await gateway.exchange(head % (b"0" * 5_000, len(body)) + body)
    assert split_answer(answer)[0] == 200


async def test_53_100000_keys(tmp_path):
    """An object of 100,000 keys is too large; where the limits were raised it has too many keys."""
    call = build_call(properties={f"k{number}": 1 for number in range(40_000)})
    async with running_gateway(tmp_path, limits=Limits(max_call_bytes=1 << 20)) as gateway:
        assert (await gateway.batch([call])).body["rejected"][0]["code"] == "too_many_keys"
        assert (await gateway.ledger()).calls.invalid == {"too_many_keys": 1}


async def test_54_a_whole_request_again(gateway):
    """A captured request that is sent again is all duplicates."""
    batch = [build_call(messageId=f"again-{number}") for number in range(10)]
    answers = [await gateway.batch(batch) for _ in range(2)]
    assert [(answer.body["accepted"], answer.body["duplicates"]) for answer in answers] == [(10, 0), (0, 10)]


async def test_58_the_same_call_from_many_clients_at_once(gateway):
    """Of twenty requests with one messageId, sent together, exactly one is accepted."""
    answers = await asyncio.gather(*(gateway.track({**CALL, "messageId": "race"}) for _ in range(20)))
    assert sorted(answer.body["accepted"] for answer in answers) == [0] * 19 + [1]
