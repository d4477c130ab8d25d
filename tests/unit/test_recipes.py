"""The tables `[recipe.NAME]`: what takes the place of the plain tables, and every contradiction."""

from pathlib import Path
from typing import Any

import pytest

from shadowline.errors import ConfigError
from station.config import AnomalyConfig, CombineConfig, Config, OnnxRuntimeConfig, RegionsConfig, shadow_of
from station.config_file import parse

ANOMALY = {"type": "anomaly", "model": "heat.onnx", "threshold": 0.5}
COMBINE = {"type": "combine", "finders": [{"type": "shadow"}, {**ANOMALY, "name": "fine"}]}


def read(folder: Path, recipes: dict[str, Any], **tables: Any) -> Config:
    camera = {"name": "top", "type": "simulated"}
    return parse({"camera": [camera], "recipe": recipes, **tables}, folder / "config.toml")


def test_without_recipes_the_plain_tables_hold(tmp_path: Path) -> None:
    config = read(tmp_path, {})
    assert config.at_start is config
    assert config.by_recipe("default") is config


def test_what_a_recipe_says_takes_the_place_of_the_plain_tables(tmp_path: Path) -> None:
    recipes = {
        "thick": {
            "model": "thick.onnx",
            "budget_ms": 7.0,
            "verdict": {"rules": {"patches": {"action": "accept"}}},
            "regions": {"threshold": 0.9},
        },
        "plain": {},
    }
    verdict = {"confidence_floor": 0.5}
    config = read(tmp_path, recipes, station={"recipe": "thick"}, regions=ANOMALY, verdict=verdict)
    held = config.at_start
    assert isinstance(held.regions, AnomalyConfig)
    assert isinstance(held.engine, OnnxRuntimeConfig)
    assert (held.station.budget_ms, held.regions.threshold, held.engine.model) == (7.0, 0.9, tmp_path / "thick.onnx")
    assert held.verdict.confidence_floor is None  # the whole table
    plain = config.by_recipe("plain")
    assert (plain.station, plain.regions, plain.engine, plain.verdict) == (
        config.station,
        config.regions,
        config.engine,
        config.verdict,
    )


def test_thresholds_of_several_finders_are_named(tmp_path: Path) -> None:
    recipes = {"a": {"regions": {"merge_iou": 0.9, "finders": {"fine": {"threshold": 0.8, "low": -1.0}}}}}
    held = read(tmp_path, recipes, regions=COMBINE).by_recipe("a").regions
    assert isinstance(held, CombineConfig)
    fine = held.finders[1]
    assert isinstance(fine, AnomalyConfig)
    assert (held.merge_iou, fine.threshold, fine.low, fine.name) == (0.9, 0.8, -1.0, "fine")


def test_limits_of_shadows_take_the_place_of_those_of_regions(tmp_path: Path) -> None:
    limits = {"polarity": "dark", "noise_sigmas": [3.0, 4.0], "min_area_px": 99, "max_regions": 7}
    held = read(tmp_path, {"a": {"regions": limits}}, regions={"contrast": 0.2}).by_recipe("a").regions
    assert isinstance(held, RegionsConfig)
    assert held == RegionsConfig(contrast=0.2, polarity="dark", noise_sigmas=(3.0, 4.0), min_area_px=99, max_regions=7)
    recipes = {"a": {"regions": {"finders": {"shadow": limits}}}}
    both = read(tmp_path, recipes, regions=COMBINE).by_recipe("a")
    assert shadow_of(both.regions) == RegionsConfig(
        polarity="dark", noise_sigmas=(3.0, 4.0), min_area_px=99, max_regions=7
    )
    assert both.recipe["a"].regions.of_shadows == held.model_dump(include=set(limits))


def test_limits_that_a_learned_finder_has_may_change_too(tmp_path: Path) -> None:
    held = read(tmp_path, {"a": {"regions": {"min_area_px": 40}}}, regions=ANOMALY).by_recipe("a").regions
    assert isinstance(held, AnomalyConfig)
    assert (held.min_area_px, held.threshold) == (40, 0.5)


FAULTS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "a start that is not there": (
        {"a": {}},
        {"station": {"recipe": "b"}},
        r"\[station\] recipe: no \[recipe.b\]; .* a$",
    ),
    "a number twice": (
        {"a": {"external_id": 7}, "b": {"external_id": 7}},
        {},
        r"\[recipe\] external_id: 7 is used twi",
    ),
    "number 0": ({"a": {"external_id": 0}}, {}, r"\[recipe.a\] external_id: .*greater than or equal to 1"),
    "a number of 17 bits": ({"a": {"external_id": 65_536}}, {}, r"\[recipe.a\] external_id: .*less than or equal"),
    "the reserved name": ({"default": {}}, {}, r"\[recipe.default\]: the plain tables are called so"),
    "no name": ({"A b": {}}, {}, r"\[recipe.A b\] .*match pattern"),
    "an unknown key": ({"a": {"modle": "x"}}, {}, r"\[recipe.a\] modle: unknown key; did you mean model\?"),
    "what sizes buffers": ({"a": {"regions": {"scale": 2}}}, {}, r"\[recipe.a\] regions.scale: unknown key"),
    "what the background learnt by": (
        {"a": {"regions": {"background_px": 64}}},
        {},
        r"\[recipe.a\] regions.background_px: unknown key",
    ),
    "a model for a fake": (
        {"a": {"model": "x"}},
        {"engine": {"backend": "fake"}},
        r"\[recipe.a\] model: .*fake runs no",
    ),
    "a threshold of shadows": (
        {"a": {"regions": {"threshold": 0.1}}},
        {},
        r"\[recipe.a.regions\] threshold: a finder of type sh",
    ),
    "several of one": ({"a": {"regions": {"merge_iou": 0.1}}}, {}, r"\[recipe.a.regions\] merge_iou, finders: only"),
    "one of several": (
        {"a": {"regions": {"threshold": 0.1}}},
        {"regions": COMBINE},
        r"\[recipe.a.regions\] threshold: write them below \[recipe.a.regions.finders.NAME\]",
    ),
    "a finder that is not there": (
        {"a": {"regions": {"finders": {"coarse": {"threshold": 0.1}}}}},
        {"regions": COMBINE},
        r"\[recipe.a.regions\] finders.coarse: no finder of that name",
    ),
    "low over high": (
        {"a": {"regions": {"low": 2.0, "high": 1.0}}},
        {"regions": ANOMALY},
        r"\[recipe.a.regions\]: low 2 is not below high 1",
    ),
    "heat of a detector": (
        {"a": {"regions": {"low": 2.0}}},
        {"regions": {"type": "detector", "model": "boxes.onnx"}},
        r"\[recipe.a.regions\] low: a finder of type detector has none",
    ),
    "a limit of shadows for a map": (
        {"a": {"regions": {"noise_sigmas": 4.0}}},
        {"regions": ANOMALY},
        r"\[recipe.a.regions\] noise_sigmas: a finder of type anomaly has none",
    ),
    "a contrast beyond all": ({"a": {"regions": {"contrast": 2}}}, {}, r"\[recipe.a\] regions.contrast: .*0.95"),
    "a limit of no camera": ({"a": {"limit": {"side": 1}}}, {}, r"\[recipe.a\] limit: no camera side$"),
    "a limit without shadows": (
        {"a": {"limit": {"top": 1}}},
        {"regions": ANOMALY},
        r"\[recipe.a\] limit: \[regions\] type anomaly seeks no shadows",
    ),
    "a limit without a folder": ({"a": {"limit": {"top": 1}}}, {}, r"\[recipe.a\] limit: say where limits are kept"),
    "a limit number 0": ({"a": {"limit": {"top": 0}}}, {}, r"\[recipe.a\] limit.top: .*greater than or equal to 1"),
    "a limit and what it sets": (
        {"a": {"limit": {"top": 1}, "regions": {"noise_sigmas": 3.0, "polarity": "dark", "contrast": 0.1}}},
        {"calibration": {"folder": "kept"}},
        r"\[recipe.a\] limit: it sets noise_sigmas, polarity too: leave one of both out",
    ),
}


@pytest.mark.parametrize(("recipes", "tables", "words"), FAULTS.values(), ids=FAULTS)
def test_contradictions_are_refused(
    tmp_path: Path, recipes: dict[str, Any], tables: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=words) as fault:
        read(tmp_path, recipes, **tables)
    assert "\n" not in str(fault.value)
