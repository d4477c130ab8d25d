"""The shipped monitoring on a real station: Prometheus scrapes it, rules evaluate, every panel shows something."""

import json
import re
import threading
import urllib.error
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.monitored import MONITORING, Monitored, monitored

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

PANELS = [
    pytest.param(target["expr"], id=f"{path.stem}: {panel['title']} {target['refId']}")
    for path in sorted((MONITORING / "grafana" / "dashboards").glob("*.json"))
    for panel in json.loads(path.read_text())["panels"]
    for target in panel["targets"]
]
VALUES = {"$instance": ".+", "$camera": ".+", "$__rate_interval": "15s"}
"""What Grafana would put into the queries."""


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitored]:
    with monitored(tmp_path_factory.mktemp("monitored")) as line:
        wait_for(line, "count_over_time(station_optics_ok[1m]) >= 10")
        yield line


def wait_for(line: Monitored, expr: str) -> list[Any]:
    """Return what `expr` gives as soon as that is something."""
    pause = threading.Event()
    for _ in range(80):
        try:
            if found := line.query(expr):
                return found
        except urllib.error.URLError:  # Prometheus starts
            pass
        pause.wait(0.25)
    raise AssertionError(f"no data within 20 s: {expr}\n{(line.config.parent / 'prometheus.log').read_text()}")


def test_prometheus_reaches_the_station_by_tls_and_password(line: Monitored) -> None:
    targets = line.ask("targets")["activeTargets"]
    (target,) = [one for one in targets if one["labels"]["job"] == "shadowline"]
    assert (target["health"], target["lastError"]) == ("up", "")
    assert target["scrapeUrl"] == line.metrics_url
    assert target["scrapeUrl"].startswith("https://")


@pytest.mark.parametrize("expr", PANELS)
def test_every_query_of_the_dashboards_returns_data(line: Monitored, expr: str) -> None:
    for name, value in VALUES.items():
        expr = expr.replace(name, value)
    assert "$" not in expr
    found = wait_for(line, expr)
    assert any(point["value"][1] != "NaN" for point in found)


def test_the_choices_of_the_dashboards_have_values(line: Monitored) -> None:
    dashboard = json.loads((MONITORING / "grafana" / "dashboards" / "line.json").read_text())
    queries = [one["definition"] for one in dashboard["templating"]["list"] if one["type"] == "query"]
    for query in queries:
        found = re.fullmatch(r"label_values\((.+), (\w+)\)", query)
        assert found
        series, label = found.groups()
        assert all(label in one["metric"] for one in wait_for(line, series.replace("$instance", ".+")))


def test_every_rule_evaluates_and_nothing_critical_fires(line: Monitored) -> None:
    wait_for(line, "instance:station_end_to_end_seconds:p99_rate5m")
    groups = line.ask("rules")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert {Path(group["file"]).name for group in groups} == {"recording.yml", "alerts.yml"}
    assert [rule["name"] for rule in rules if rule.get("lastError")] == []
    critical = [rule for rule in rules if rule.get("labels", {}).get("severity") == "critical"]
    assert [rule["name"] for rule in critical if rule["state"] == "firing"] == []
    assert len(critical) >= 8
