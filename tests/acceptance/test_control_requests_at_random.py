"""The control API under random requests: whatever its own description allows is answered as that description says."""

from pathlib import Path
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.acceptance.processes import PIXEL_ID, WRITE_KEY, Program, running, write_configuration

NOBODY = "http://127.0.0.1:1"
EXAMPLES_OF_AN_OPERATION = 24
ENDLESS = {"/api/calls/live"}
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
PRESENT = {
    "name": ["website", "main-pixel", "shop", "made pixel", "ann"],
    "destination": ["main-pixel", "made pixel"],
    "key": [WRITE_KEY],
    "dead_letter_id": [1, 2],
    "user_id": [1, 2],
    "token_id": [1, 2],
}


def build_headers(gateway: Program) -> dict[str, str]:
    token, _ = (Path(gateway.announced["data_dir"]) / "control.token").read_text().split()
    return {"Authorization": f"Bearer {token}"}


def fill(gateway: Program, headers: dict[str, str]) -> None:
    """Something of each kind, so that random requests find more than nothing."""
    url = gateway.announced["console_url"]
    calls = [{"type": "track", "userId": "u", "event": name} for name in ("Signed Up", "x" * 60, "Order Completed")]
    body = {"batch": calls}
    assert requests.post(f"{gateway.announced['tracking_url']}/v1/batch", json=body, auth=(WRITE_KEY, "")).ok
    destination = {"name": "made pixel", "type": "facebook-conversions-api", "settings": {"pixel_id": PIXEL_ID}}
    made: list[tuple[str, dict[str, Any]]] = [("sources", {"name": "shop"}), ("destinations", destination)]
    for name, role in (("ann", "admin"), ("bob", "viewer")):
        made.append(("users", {"name": name, "role": role, "password": "four words make one"}))
        made.append(("tokens", {"name": name, "role": role}))
    for kind, body in made:
        assert requests.post(f"{url}/api/{kind}", json=body, headers=headers, timeout=30).status_code == 201


def test_control_requests_at_random(tmp_path: Path) -> None:
    """No 5xx; no status, type or shape that the description does not name; nothing unexpected in the log."""
    config = write_configuration(tmp_path, NOBODY)
    with running("serve", "--config", str(config), folder=tmp_path) as gateway:
        url, headers = gateway.announced["console_url"], build_headers(gateway)
        fill(gateway, headers)
        schema = schemathesis.openapi.from_url(f"{url}/openapi.json", headers=headers)
        operations = [found.ok() for found in schema.get_all_operations()]
        assert len(operations) > 40
        # What deletes comes last, so that the others find something.
        for operation in sorted(operations, key=lambda each: each.method == "delete"):
            if operation.path not in ENDLESS:
                check_operation(operation, url, headers)
        assert requests.get(f"{url}/readyz", timeout=10).status_code == 200
        assert gateway.stop() == 0
    log = (tmp_path / "serve.log").read_text()
    assert "Traceback" not in log
    assert "request_failed" not in log


def check_operation(operation: Any, url: str, headers: dict[str, str]) -> None:
    """Requests that the description allows, and as many that it does not."""
    allowed, wrong = operation.as_strategy(), operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)

    @settings(
        max_examples=EXAMPLES_OF_AN_OPERATION,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=st.one_of(allowed, wrong), data=st.data())
    def check(case: Any, data: st.DataObject) -> None:
        for name in case.path_parameters or {}:
            if name in PRESENT and data.draw(st.booleans()):
                case.path_parameters[name] = data.draw(st.sampled_from(PRESENT[name]))
        response = case.call(base_url=url, headers=headers, timeout=30)
        case.validate_response(response, checks=CHECKS)

    check()
