"""What the container files name is there, and what they promise stands in them."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PACKAGING = ROOT / "packaging"
RECIPE = (PACKAGING / "Containerfile").read_text()


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    yaml = pytest.importorskip("yaml")
    found: dict[str, dict[str, Any]] = yaml.safe_load((PACKAGING / "compose.yaml").read_text())["services"]
    return found


def sources(recipe: str) -> list[str]:
    """Return what the recipe copies from the source tree."""
    lines = [line.split()[1:-1] for line in recipe.splitlines() if line.startswith("COPY") and "--from" not in line]
    return [source for line in lines for source in line]


def test_the_recipe_copies_what_is_there_and_not_left_out() -> None:
    wanted = (ROOT / ".containerignore").read_text().splitlines()
    for source in sources(RECIPE):
        assert (ROOT / source).exists(), source
        assert f"!{source}" in wanted


def test_the_recipe_copies_every_package_of_the_wheel() -> None:
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert {*wheel["packages"], *wheel["force-include"]} <= set(sources(RECIPE))


def test_the_image_runs_as_a_user_and_asks_for_its_health() -> None:
    assert re.search(r"^USER shadowline$", RECIPE, re.MULTILINE)
    assert re.search(r"^VOLUME /var/lib/shadowline$", RECIPE, re.MULTILINE)
    assert "/healthz" in RECIPE
    (command,) = re.findall(r"^CMD (\[.*\])$", RECIPE, re.MULTILINE)
    assert json.loads(command)[0] == "run"


def test_each_path_of_the_compose_file_is_there(services: dict[str, dict[str, Any]]) -> None:
    mounted = [volume.split(":")[0] for service in services.values() for volume in service["volumes"]]
    paths = [path for path in mounted if path.startswith(".")]
    assert paths
    for path in paths:
        assert (PACKAGING / path).exists(), path
    build = services["station"]["build"]
    assert (PACKAGING / build["context"] / build["dockerfile"]).exists()


def test_the_station_has_a_root_that_is_read_only_and_no_rights(services: dict[str, dict[str, Any]]) -> None:
    station = services["station"]
    assert station["read_only"]
    assert station["cap_drop"] == ["ALL"]
    assert f"useradd --system --uid {station['user']} " in RECIPE
    assert all(port.startswith("127.0.0.1:") for port in station["ports"])


def test_grafana_finds_its_dashboards_where_they_are_mounted(services: dict[str, dict[str, Any]]) -> None:
    yaml = pytest.importorskip("yaml")
    provider = yaml.safe_load((ROOT / "monitoring/grafana/provisioning/dashboards/shadowline.yml").read_text())
    path = provider["providers"][0]["options"]["path"]
    assert f"../monitoring/grafana/dashboards:{path}:ro" in services["grafana"]["volumes"]
