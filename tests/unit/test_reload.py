"""Which keys may change while the line runs, and what is said of the others."""

from pathlib import Path
from typing import Any

import pytest

from shadowline.errors import ConfigError
from station.config import Config
from station.config_file import parse
from station.reload import changed_keys

CAMERAS = [{"name": name, "type": "simulated"} for name in ("top", "bottom")]


def config(**tables: Any) -> Config:
    return parse({"camera": CAMERAS, "engine": {"backend": "fake"}, **tables}, Path("config.toml"))


@pytest.mark.parametrize(
    ("tables", "keys"),
    [
        ({}, []),
        ({"station": {"budget_ms": 10.0}}, ["[station] budget_ms"]),
        ({"verdict": {"rules": {"defect": {"min_area_px": 30}}}}, ["[verdict] rules.defect"]),
        ({"verdict": {"default": {"action": "accept"}}}, ["[verdict] default.action"]),
        (
            {"swap": {"shadow_s": 1.0}, "verdict": {"confidence_floor": 0.5}},
            ["[verdict] confidence_floor", "[swap] shadow_s"],
        ),
    ],
)
def test_keys_that_are_only_read_may_change(tables: dict[str, Any], keys: list[str]) -> None:
    assert changed_keys(config(), config(**tables)) == keys


HEAT = {"type": "heatmap", "model": "heat.onnx"}


@pytest.mark.parametrize(
    ("table", "change", "keys"),
    [
        (
            HEAT,
            {"threshold": 0.3, "low": 0.1, "high": 0.9},
            ["[regions] high", "[regions] low", "[regions] threshold"],
        ),
        (
            {"contrast": 0.1},
            {"contrast": 0.2, "noise_sigmas": [3.0, 4.0], "polarity": "dark"},
            ["[regions] contrast", "[regions] noise_sigmas", "[regions] polarity"],
        ),
        (
            {"type": "combine", "finders": [{}, HEAT]},
            {"finders": [{}, HEAT | {"threshold": 0.3}], "merge_iou": 0.7},
            ["[[regions.finders]] number 2 threshold", "[regions] merge_iou"],
        ),
    ],
)
def test_thresholds_of_finders_may_change(table: dict[str, Any], change: dict[str, Any], keys: list[str]) -> None:
    assert sorted(changed_keys(config(regions=table), config(regions=table | change))) == keys


@pytest.mark.parametrize(
    ("tables", "named"),
    [
        ({"regions": HEAT}, "[regions] type"),
        ({"station": {"queue_frames": 4}}, "[station] queue_frames: a change"),
        ({"regions": {"scale": 2}}, "[regions] scale: a change"),
        ({"regions": {"background_px": 64}}, "[regions] background_px: a change"),
        ({"camera": [CAMERAS[0], CAMERAS[1] | {"seed": 7}]}, "[[camera]] number 2 seed: a change"),
        ({"camera": CAMERAS[:1]}, "[[camera]] number 2: a change"),
        ({"engine": {"backend": "onnx_runtime"}}, "[engine] backend"),
        ({"swap": {"recent_crops": 1}}, "[swap] recent_crops: a change"),
        ({"publish": {"heartbeat_s": 2.0}, "station": {"budget_ms": 9.0}}, "[publish] heartbeat_s: a change"),
        ({"metrics": {"port": 1}, "publish": {"heartbeat_s": 2.0}}, "[publish] heartbeat_s, [metrics] port: a change"),
    ],
)
def test_all_others_are_refused_by_name(tables: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match="needs a restart") as refusal:
        changed_keys(config(), config(**tables))
    assert named in str(refusal.value)
    assert "budget_ms" not in str(refusal.value)
