"""The whole line with finders that learned: files on disk, real threads and sockets, and the commands."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from shadowline.errors import ConfigError, EngineMismatch, StationError
from station.app import Station
from station.config import Config
from station.control_protocol import Swap
from station.event import FinderRecord, InspectionEvent
from tests.finder_files import write_finder
from tests.system.lines import Listener, listening, make_config
from tests.system.test_command import station
from tests.system.test_swap import finish
from tests.tiny import write_model

ENOUGH = 10**9
CAMERA = {"frames": ENOUGH, "marks": True, "pace_s": 0.002}
HEAT = {"type": "heatmap", "scale": 0.25, "threshold": 0.8}


def line(folder: Path, regions: dict[str, Any], cameras: int = 1, **tables: Any) -> Config:
    """Return a line on whose cameras every tenth frame has a dark square."""
    control = {"endpoint": f"ipc://{folder}/control"}
    names = ("top", "bottom")[:cameras]
    return make_config(folder, dict.fromkeys(names, CAMERA), **({"control": control, "regions": regions} | tables))


@contextmanager
def running(config: Config) -> Iterator[tuple[Station, Listener]]:
    with listening(config.publish.endpoint) as listener:
        with Station(config) as running:
            listener.hear_first()
            yield running, listener
        listener.hear_rest()


def hear(listener: Listener, wanted: Callable[[InspectionEvent], bool]) -> InspectionEvent:
    """Wait for an inspection that is `wanted`."""
    while True:
        message = listener.hear()
        if isinstance(message, InspectionEvent) and wanted(message):
            return message


def with_defects(event: InspectionEvent) -> bool:
    return bool(event.defects)


def test_events_say_who_found_it_by_which_file(tmp_path: Path) -> None:
    file = write_finder(tmp_path / "heat.onnx")
    parts = [{}, HEAT | {"model": str(file), "name": "scale-finder"}]
    with running(line(tmp_path, {"type": "combine", "finders": parts}, cameras=2)) as (station, listener):
        event = hear(listener, with_defects)
        hear(listener, lambda one: with_defects(one) and one.camera != event.camera)
    assert [defect.found_by for defect in event.defects] == ["shadow+scale-finder"]
    (record,) = event.origin.finders
    assert record == FinderRecord("scale-finder", "heatmap", record.sha256, 0.8)
    assert len(record.sha256) == 12
    assert all(account.announced == account.inspected for account in station.ledger.accounts.values())
    marked = [one.sequence for one in listener.inspections if one.camera == "top" and one.defects]
    assert marked
    assert all(sequence % 10 == 0 for sequence in marked)


def test_a_threshold_changes_between_two_frames_and_events_say_so(tmp_path: Path) -> None:
    table = HEAT | {"model": str(write_finder(tmp_path / "heat.onnx"))}
    old, new = line(tmp_path, table), line(tmp_path, table | {"threshold": 0.99})
    with running(old) as (station, listener):
        hear(listener, with_defects)
        assert station.reload(new) == ["[regions] threshold"]
        hear(listener, lambda event: event.origin.finders[0].threshold == 0.99 and event.sequence % 10 == 0)
        with pytest.raises(ConfigError, match=r"low 5 is not below high 1"):
            station.reload(line(tmp_path, table | {"low": 5.0}))
        assert station.config is new
        assert station.reload(old) == ["[regions] threshold"]
        hear(listener, with_defects)
    for event in listener.inspections:
        assert bool(event.defects) == (event.sequence % 10 == 0 and event.origin.finders[0].threshold == 0.8)


def test_a_frame_that_takes_too_many_tiles_is_invalid_and_the_line_goes_on(tmp_path: Path) -> None:
    file = write_finder(tmp_path / "heat.onnx", facts={"input_px": (8, 8)})
    with running(line(tmp_path, HEAT | {"model": str(file), "scale": 0.1})) as (station, listener):
        event = hear(listener, lambda event: event.sequence == 20)
    assert (event.verdict, event.reason) == ("invalid", "engine")
    assert "a frame is 1600 tiles of 8×8, at most 64: raise scale" in event.detail
    account = station.ledger.accounts["top"]
    assert account.announced == account.invalid["engine"]


STRANGE: dict[str, tuple[dict[str, Any], dict[str, Any], type[StationError], str]] = {
    "a label without a rule": ({}, {}, ConfigError, r"\[regions\] hole, stain: .* add \[verdict.rules.hole\]"),
    "a label that is never confirmed": ({}, {"naming": "confirm"}, ConfigError, "hole, stain: .*never confirms"),
    "outputs named otherwise": ({"renamed": {"scores": "confidence"}}, {}, EngineMismatch, "scores"),
    "a fault of the other kind": ({}, {"type": "heatmap"}, ConfigError, 'set type = "detector"'),
}


@pytest.mark.parametrize("case", STRANGE)
def test_a_finder_that_does_not_fit_ends_the_start_with_one_line(tmp_path: Path, case: str) -> None:
    made, table, error, message = STRANGE[case]
    file = write_finder(tmp_path / "boxes.onnx", "detector", **made)
    with (
        pytest.raises(error, match=message) as refused,
        Station(line(tmp_path, {"type": "detector", "model": str(file)} | table)),
    ):
        pass
    assert "\n" not in str(refused.value)


def test_a_model_that_does_not_know_a_kept_label_is_refused(tmp_path: Path) -> None:
    card = {"name": "tiny", "crop": {"size_px": 16, "context": 1.0, "min_side_px": 16}}
    live = write_model(tmp_path / "live.onnx", card | {"labels": ("hole", "stain")})
    strange = write_model(tmp_path / "strange.onnx", card | {"labels": ("bright", "dark")})
    file = write_finder(tmp_path / "boxes.onnx", "detector")
    swap = {"cache": str(tmp_path / "plans"), "shadow_s": 0.1, "probation_frames": 1, "recent_crops": 0}
    tables = {"engine": {"backend": "onnx_runtime", "model": str(live)}, "swap": swap | {"max_flip_share": 1.0}}
    config = line(tmp_path, {"type": "detector", "model": str(file), "scale": 0.25, "threshold": 0.8}, **tables)
    with running(config) as (_, listener):
        named = hear(listener, with_defects)
        refused = finish(config, Swap(str(strange)))
    assert {defect.label for defect in named.defects} <= {"hole", "stain"}
    assert named.stages_us.classify == 0
    assert refused.outcome == "refused"
    assert "hole, stain: a finder's label that tiny does not know and that has no rule" in refused.report


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with finder files, a configuration that combines them, and a picture with a dark square."""
    for kind, name in (("heatmap", "heat"), ("detector", "boxes")):
        write_finder(tmp_path / f"{name}.onnx", kind, facts={"input_px": (64, 96), "overlap_px": 16, "not_for": "food"})
    (tmp_path / "config.toml").write_text(
        """
        [[camera]]
        name = "top"
        type = "simulated"
        width_px = 320
        height_px = 240
        [regions]
        type = "combine"
        [[regions.finders]]
        [[regions.finders]]
        type = "heatmap"
        model = "heat.onnx"
        [[regions.finders]]
        type = "detector"
        model = "boxes.onnx"
        naming = "replace"
        """
    )
    picture = np.full((240, 320), 250, np.uint8)
    picture[96:160, 128:192] = 0
    cv2.imwrite(str(tmp_path / "a.png"), picture)
    return tmp_path


def test_check_explains_each_finder_file(folder: Path) -> None:
    said = station("check", "--config", folder / "config.toml").stdout
    for words in (
        "shadow: both, background from running",
        "heatmap: drawn-heatmap, heatmap, fp32, takes 96×64 px",
        "on onnx_runtime CPUExecutionProvider fp32; found beyond 0.5; scale 1×1",
        "a frame of top, 320×240, is 20 tiles of 96×64",
        "labels: hole, stain; naming: replace",
        "not for: food",
        "one region where boxes overlap by 0.5",
    ):
        assert words in said


def test_inspect_says_who_found_what(folder: Path) -> None:
    words = ("inspect", "--config", folder / "config.toml", "--annotate", folder / "drawn")
    (result,) = map(json.loads, station(*words, "--json", folder / "a.png").stdout.splitlines())
    first = result["defects"][0]
    assert first["found_by"] == "shadow+heatmap+detector"
    assert first["score"] == pytest.approx(1, abs=0.05)
    assert "by shadow+heatmap+detector" in station(*words, folder / "a.png").stdout
    assert cv2.imread(str(folder / "drawn" / "a.png")) is not None


FAULTS = {
    "a missing file": ("heat.onnx", None, "heat.onnx: can't read"),
    "outputs named otherwise": ("heat.onnx", {"renamed": {"heat": "map"}}, "output is `map`, must be `heat`"),
    "a map that is none": ("boxes.onnx", {"kind": "heatmap", "gain": float("nan")}, "not finite"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_check_tells_a_fault_of_a_finder_file_in_one_line(folder: Path, case: str) -> None:
    name, made, message = FAULTS[case]
    (folder / name).unlink()
    if made is not None:
        write_finder(folder / name, **made)
    said = station("check", "--config", folder / "config.toml", code=2).stderr
    assert message in said
    assert len(said.strip().splitlines()) == 1
