"""What the doctor and `station check` say of the metrics' own files."""

from pathlib import Path
from typing import Any

import pytest

from shadowline.errors import ConfigError
from station.command.check import check
from station.config import Config
from station.config_file import parse
from station.doctor.settings import check_metrics
from station.metrics.secret import draw


def config(folder: Path, **metrics: Any) -> Config:
    camera = {"name": "top", "type": "simulated"}
    return parse({"camera": [camera], "engine": {"backend": "fake"}, "metrics": metrics}, folder / "config.toml")


def test_levels_by_what_guards_the_metrics(tmp_path: Path) -> None:
    (tmp_path / "password").write_text(draw()[1])
    assert check_metrics(config(tmp_path)).level == "ok"
    assert check_metrics(config(tmp_path, enabled=False)).found == "off"
    assert check_metrics(config(tmp_path, password_file="password")).level == "ok"
    exposed = check_metrics(config(tmp_path, host="0.0.0.0", plain_network=True))
    assert exposed.level == "warning"
    assert "open to the network without TLS and password" in exposed.found
    missing = check_metrics(config(tmp_path, password_file="none"))
    assert missing.level == "fault"
    assert "[metrics] password_file" in missing.found


def test_check_opens_the_files_too(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(
        '[[camera]]\nname = "top"\ntype = "simulated"\n[engine]\nbackend = "fake"\n[metrics]\npassword_file = "none"\n'
    )
    with pytest.raises(ConfigError, match=r"\[metrics\] password_file .*none"):
        check(file)
