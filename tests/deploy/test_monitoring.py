"""The dashboard and the alerts name nothing but metrics and labels that there are."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from signalpost.metrics import METRICS, PREFIX

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy/monitoring"
RULES = yaml.safe_load((FOLDER / "signalpost.rules.yml").read_text())
DASHBOARD = json.loads((FOLDER / "grafana-dashboard.json").read_text())
PAGE = (ROOT / "docs/operations/monitoring.md").read_text()

KNOWN_LABELS = {"instance", "le", *(label for metric in METRICS.values() for label in metric.labels)}


def list_rules() -> Iterator[dict[str, object]]:
    for group in RULES["groups"]:
        yield from group["rules"]


ALERTS = {rule["alert"]: rule for rule in list_rules() if "alert" in rule}
RECORDED = {rule["record"]: rule for rule in list_rules() if "record" in rule}
QUERIES = [rule["expr"] for rule in list_rules()] + [
    target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]
]


def find_series(query: str) -> list[str]:
    return re.findall(rf"\b{PREFIX}(\w+)", query)


def list_series(name: str) -> set[str]:
    """The series that a metric has in Prometheus."""
    if METRICS[name].type == "histogram":
        return {f"{name}_bucket", f"{name}_sum", f"{name}_count"}
    return {name}


@pytest.mark.parametrize("query", QUERIES)
def test_queries_name_metrics_and_labels_that_exist(query: str) -> None:
    """Each series is one of the catalogue's or recorded by a rule, and each label one of its metric's."""
    known = {series: METRICS[name] for name in METRICS for series in list_series(name)}
    series = find_series(query)
    assert series or any(name in query for name in RECORDED)
    assert [name for name in series if name not in known] == []
    grouped = re.findall(r"\bby \(([^)]*)\)", query)
    labels = {label.strip() for group in grouped for label in group.split(",")}
    own = {label for name in series for label in known[name].labels} | {"instance", "le"}
    own |= {"destination"} if any(name in query for name in RECORDED) else set()
    assert labels <= own
    assert set(re.findall(r"(\w+)\s*=~?\s*\"", query)) <= KNOWN_LABELS | {"end"}


def test_the_six_alerts_are_there_and_explained() -> None:
    """Each has a summary that says who is concerned, and a row that says what to do."""
    assert len(ALERTS) == 6
    for name, rule in ALERTS.items():
        assert f"`{name}`" in PAGE
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert "{{" in rule["annotations"]["summary"]
        assert rule["annotations"]["description"]


def test_each_alert_has_a_test_of_its_own() -> None:
    """promtool runs them where there is one; here it is only seen that none is forgotten."""
    tested = yaml.safe_load((FOLDER / "signalpost.rules_test.yml").read_text())
    names = {case["alertname"] for test in tested["tests"] for case in test["alert_rule_test"]}
    assert names == ALERTS.keys()


def test_every_metric_of_a_destination_can_be_narrowed_to_it() -> None:
    """A panel that shows destinations obeys the dashboard's choice of one."""
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            series = find_series(target["expr"])
            metrics = [METRICS[name] for name in METRICS for each in series if each in list_series(name)]
            if any("destination" in metric.labels for metric in metrics):
                assert target["expr"].count('destination=~"$destination"') == len(series), panel["title"]


def test_panels_do_not_overlap() -> None:
    """Each has a title, a unit and a place of its own in the grid of 24 columns."""
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not taken & cells, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
        assert panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"]
