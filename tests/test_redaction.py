"""Nothing secret or personal gets past the last guard."""

import pytest

from signalpost.redaction import disarm_text, mask_log_entry, mask_text, show_line


@pytest.mark.parametrize(
    "secret",
    [
        "EAABsbCS1iHgBAKZC8",
        "jo.bloggs+shop@example.co.uk",
        "jo%40example.com",
        "+44 20 7946 0958",
        "(415) 555-0100",
        "wk_website_0123456789abcdef",
    ],
)
def test_secrets_are_masked_wherever_they_stand(secret: str) -> None:
    """A token, a key, an e-mail address or a phone number is not in what is printed."""
    masked = mask_text(f"Meta said: {secret} is wrong")
    assert secret not in masked
    assert masked.startswith("Meta said: ")
    assert masked.endswith(" is wrong")


@pytest.mark.parametrize(
    "text", ["access_token=abc123", '"access_token": "abc123"', "Authorization: Bearer abc123", "Basic YWJjMTIz"]
)
def test_named_secrets_keep_their_name(text: str) -> None:
    """What a secret was called can still be read."""
    masked = mask_text(text)
    assert "abc123" not in masked
    assert "YWJjMTIz" not in masked
    assert masked.split()[0].split("=")[0] in text


@pytest.mark.parametrize(
    "text",
    ["HTTP 503 without a readable answer", "2026-11-21T11:59:58.250Z", "100/2804003 too old", "http://127.0.0.1:8080"],
)
def test_ordinary_facts_are_left_alone(text: str) -> None:
    """Times, codes and addresses of machines stay readable."""
    assert mask_text(text) == text


def test_log_entries_are_masked_but_not_their_frame() -> None:
    """Every text of a log entry is masked, except its time, level and name."""
    entry = {
        "event": "destination_paused",
        "timestamp": "2026-11-21T11:59:58Z",
        "detail": "jo@example.com",
        "events": 3,
    }
    masked = mask_log_entry(None, "error", entry)
    assert masked == {"event": "destination_paused", "timestamp": "2026-11-21T11:59:58Z", "detail": "***", "events": 3}


def test_what_a_terminal_would_obey() -> None:
    """Control characters and marks that turn the direction are shown as U+FFFD; everything else stays."""
    assert disarm_text("\x1b[2J \x9b31m\x07\r\x7f \u202eabc\u2066") == "�[2J �31m��� �abc�"
    assert disarm_text("a\tb\nc é 日本 \xa0😀") == "a\tb\nc é 日本 \xa0😀"
    assert show_line("a\tb\nc\u2028d\x85e") == "a�b�c�d�e"


def test_a_log_entry_is_one_line() -> None:
    """The last characters of a wrong key are a stranger's choice: they are no line of their own, and move no cursor."""
    assert mask_log_entry(None, "warning", {"key_ending": "\x1b[2J", "user": "a\nb"}) == {
        "key_ending": "�[2J",
        "user": "a�b",
    }
