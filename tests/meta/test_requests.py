"""The body of one request."""

import hmac
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from signalpost.meta.requests import build_body, build_probe_body
from tests.builders import build_batch, build_queued_event, build_target

payloads = st.dictionaries(st.text(), st.none() | st.integers() | st.text(), max_size=3).map(json.dumps)


def test_bytes_are_spliced():
    """The queued bytes of every event stand in the body as they are, whatever their spacing and escapes."""
    odd = (b'{"b":1e2, "a":"\\u00e9"}', b'{ "n":12345678901234567890.10 }')
    body = build_body(build_batch([build_queued_event(payload=payload) for payload in odd]), build_target())
    assert body == b'{"data":[%b,%b]}' % odd


def test_repeat_is_identical():
    """The same events for the same target make the same bytes."""
    batch = build_batch(3)
    assert build_body(batch, build_target()) == build_body(batch, build_target())


@pytest.mark.parametrize(
    ("fields", "beside_data"),
    [
        ({}, {}),
        ({"test_event_code": "TEST123"}, {"test_event_code": "TEST123"}),
        ({"upload_tag": 'Shop "Süd" \\ 7'}, {"upload_tag": 'Shop "Süd" \\ 7'}),
        ({"test_event_code": "T", "upload_tag": "u"}, {"test_event_code": "T", "upload_tag": "u"}),
        ({"test_event_code": "", "upload_tag": ""}, {}),
    ],
)
def test_request_fields(fields, beside_data):
    """test_event_code and upload_tag stand beside data when they are set, and are escaped."""
    batch = build_batch(2)
    body = json.loads(build_body(batch, build_target(**fields)))
    assert body == {"data": [json.loads(event.payload) for event in batch.events], **beside_data}


@pytest.mark.parametrize("build", [lambda target: build_body(build_batch(), target), build_probe_body])
def test_proof(build):
    """With an app secret the token's HMAC-SHA256 stands beside data, also when nothing is sent; the secret does not."""
    body = build(build_target("TOKEN", app_secret=SecretStr("SECRET")))
    assert json.loads(body)["appsecret_proof"] == hmac.new(b"SECRET", b"TOKEN", "sha256").hexdigest()
    assert b"SECRET" not in body
    for nothing in (None, SecretStr("")):
        assert "appsecret_proof" not in json.loads(build(build_target(app_secret=nothing)))


def test_token_is_not_in_the_body():
    """The token travels in a header only."""
    assert b"PLANTED_TOKEN" not in build_body(build_batch(), build_target("PLANTED_TOKEN"))


@given(st.lists(payloads, min_size=1, max_size=5), st.none() | st.text(), st.none() | st.text())
def test_any_body_is_json(texts, test_event_code, upload_tag):
    """JSON events and any text beside them make valid JSON with the events in their order."""
    batch = build_batch([build_queued_event(payload=text.encode()) for text in texts])
    body = json.loads(build_body(batch, build_target(test_event_code=test_event_code, upload_tag=upload_tag)))
    assert body["data"] == [json.loads(text) for text in texts]
    assert body.get("upload_tag", "") == (upload_tag or "")
