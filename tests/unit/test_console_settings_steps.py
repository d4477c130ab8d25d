"""Calibration steps as sub-processes: one at a time, their words kept, ended with the console."""

from pathlib import Path

import pytest

from shadowline.errors import StationError
from station.console.settings.steps import STEPS, Steps, StepState

CONFIG = '[[camera]]\nname = "top"\ntype = "simulated"\nwidth_px = 256\nheight_px = 128\nrate_hz = 0\n'


def ended(steps: Steps) -> StepState:
    while (state := steps.state()).code is None:
        pass
    return state


def test_a_step_runs_and_says_what_came_of_it(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(CONFIG)
    with Steps(config) as steps:
        assert steps.state() == StepState()
        begun = steps.begin("check", "top")
        assert (begun.step, begun.camera) == ("check", "top")
        with pytest.raises(StationError, match="check of camera top still runs"):
            steps.begin("limit", "top")
        state = ended(steps)
        assert state.code != 0
        assert "[calibration] folder is missing" in state.words


def test_a_step_is_stopped_and_none_outlives_the_console(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(CONFIG + '[calibration]\nfolder = "calibrations"\n')
    with Steps(config) as steps:
        steps.begin("geometry", "top")
        assert steps.stop().code is not None
        steps.begin("geometry", "top")


def test_every_step_names_its_camera_and_the_file(tmp_path: Path) -> None:
    with Steps(tmp_path / "config.toml") as steps:
        for step in STEPS:
            words = steps.command(step, "top")
            assert words[0] == "calibrate"
            assert "top" in words
            assert words[-1] == str(tmp_path / "config.toml")
