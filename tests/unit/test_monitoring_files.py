"""The files in monitoring/: rules by promtool, dashboards by their schema, and what the documents say of them."""

import json
import re
import subprocess
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitoring.grafana import build
from tests.monitored import MONITORING, find_program

RULES = MONITORING / "rules"
TESTS = sorted((MONITORING / "tests").glob("*.yml"))
DASHBOARDS = sorted((MONITORING / "grafana" / "dashboards").glob("*.json"))
ALERTS: list[dict[str, Any]] = [
    rule for group in yaml.safe_load((RULES / "alerts.yml").read_text())["groups"] for rule in group["rules"]
]
DOCS = MONITORING.parent / "docs"


def promtool(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([find_program("promtool"), *words], capture_output=True, text=True, timeout=60)


def test_configuration_and_rules_are_valid() -> None:
    done = promtool("check", "config", "--lint=all", "--lint-fatal", MONITORING / "prometheus.yml")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.stem)
def test_alerts_fire_and_do_not_fire_as_their_cases_say(file: Path) -> None:
    done = promtool("test", "rules", file)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_each_alert_has_words_a_paragraph_and_two_cases(alert: dict[str, Any]) -> None:
    name = alert["alert"]
    assert alert["labels"]["severity"] in ("critical", "warning", "info")
    assert alert["annotations"].keys() == {"summary", "description", "runbook"}
    page, _, anchor = alert["annotations"]["runbook"].partition("#")
    titles = re.findall(r"^#+ (.+)$", (MONITORING.parent / page).read_text(), re.MULTILINE)
    assert anchor == name.lower()
    assert name in titles
    cases = [
        case for file in TESTS for case in yaml.safe_load(file.read_text())["tests"] if name in case["name"].split()
    ]
    expected = [
        bool(one["exp_alerts"]) for case in cases for one in case["alert_rule_test"] if one["alertname"] == name
    ]
    assert sorted(expected) == [False, True]


def test_the_dashboards_are_those_of_the_script(tmp_path: Path) -> None:
    build.main(tmp_path)
    for made in sorted(tmp_path.iterdir()):
        shipped = MONITORING / "grafana" / "dashboards" / made.name
        assert shipped.read_text() == made.read_text(), "run: python -m monitoring.grafana.build"
    assert [file.name for file in sorted(tmp_path.iterdir())] == [file.name for file in DASHBOARDS]


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_a_dashboard_is_whole(file: Path) -> None:
    board = json.loads(file.read_text())
    assert board["uid"] == f"shadowline-{file.stem}"
    assert {"title", "schemaVersion", "templating", "time", "refresh", "panels"} <= board.keys()
    choices = {one["name"] for one in board["templating"]["list"]}
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len({panel["title"] for panel in panels}) == len(panels)
    for panel in panels:
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert panel["type"] in ("stat", "timeseries", "bargauge", "gauge", "table", "heatmap", "state-timeline")
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"]) > 0
        for target in panel["targets"]:
            assert set(re.findall(r"\$(\w+)", target["expr"])) <= choices | {"__rate_interval"}


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_no_panel_lies_over_another_or_beyond_the_edge(file: Path) -> None:
    places = [panel["gridPos"] for panel in json.loads(file.read_text())["panels"]]
    for one in places:
        assert one["x"] >= 0
        assert one["x"] + one["w"] <= 24
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or above, (one, other)


def test_grafana_finds_source_and_dashboards_by_the_shipped_files() -> None:
    provisioning = MONITORING / "grafana" / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())["datasources"]
    assert (source["type"], source["isDefault"]) == ("prometheus", True)
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "shadowline.yml").read_text())["providers"]
    assert provider["options"]["path"] in (DOCS / "monitoring.md").read_text()
