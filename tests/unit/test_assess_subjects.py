"""Configurations to be measured: as they are, or at thresholds."""

import pytest

from shadowline.errors import ConfigError
from station.config import CombineConfig, DetectorConfig, RegionsConfig
from training.assess.subjects import subjects_of, with_threshold

CAMERA = '[[camera]]\nname = "top"\ntype = "simulated"\n'
DETECTOR = '[regions]\ntype = "detector"\nmodel = "finder.onnx"\n'


def config_file(folder, name, text=""):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(CAMERA + text)
    return folder / name


def test_each_file_is_one_subject_by_its_name(tmp_path):
    files = [config_file(tmp_path / "one", "a.toml"), config_file(tmp_path / "one", "b.toml")]
    assert [one.name for one in subjects_of(files, [])] == ["a", "b"]


def test_files_of_one_name_are_told_apart(tmp_path):
    files = [config_file(tmp_path / "one", "a.toml"), config_file(tmp_path / "two", "a.toml")]
    assert [one.name for one in subjects_of(files, [])] == [str(file) for file in files]


def test_a_threshold_makes_a_subject_of_its_own(tmp_path):
    subjects = subjects_of([config_file(tmp_path, "a.toml", DETECTOR)], [0.2, 0.4])
    assert [one.name for one in subjects] == ["a @ 0.2", "a @ 0.4"]
    assert [one.config.regions.threshold for one in subjects] == [0.2, 0.4]


def test_thresholds_reach_into_combined_finders(tmp_path):
    learned = DetectorConfig(type="detector", model="finder.onnx")
    regions = with_threshold(CombineConfig(type="combine", finders=(RegionsConfig(), learned)), 0.3)
    assert regions.finders[0] == RegionsConfig()
    assert regions.finders[1].threshold == 0.3


@pytest.mark.parametrize(("text", "threshold", "words"), [("", 0.3, "no learned finder"), (DETECTOR, 1.5, "0 to 1")])
def test_thresholds_that_mean_nothing_are_refused(tmp_path, text, threshold, words):
    with pytest.raises(ConfigError, match=words):
        subjects_of([config_file(tmp_path, "a.toml", text)], [threshold])
