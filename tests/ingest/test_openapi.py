"""The description of the tracking API, against the table that the routes come from."""

from signalpost.ingest.openapi import build_openapi
from signalpost.ingest.paths import PATHS, find_path

DOCUMENT = build_openapi("1.2.3")


def test_every_path_and_method_is_described():
    """No path is missing, none is invented, and each has the methods that it answers."""
    described = {path: {method.upper() for method in ways if method != "parameters"} for path, ways in walk()}
    assert described == {path.template: set(path.methods) - {"OPTIONS", "HEAD"} for path in PATHS}
    assert all(find_path(path.replace("{write_key}", "wk_0123456789abcdef")) for path, _ in walk())


def walk():
    return DOCUMENT["paths"].items()


def test_every_answer_is_described():
    """Each operation names 200 and every status that a client must tell apart; each code stands in one schema."""
    for path, ways in walk():
        for method, operation in ways.items():
            if method != "parameters":
                assert "200" in operation["responses"], path
    statuses = set(DOCUMENT["paths"]["/v1/track"]["post"]["responses"])
    assert statuses == {"200", "400", "401", "403", "408", "413", "415", "429", "503"}
    codes = DOCUMENT["components"]["schemas"]["Refusal"]["properties"]["code"]["enum"]
    assert {"invalid_json", "no_user_anon_id", "rate_limited", "temporarily_unavailable"} <= set(codes)
