"""`station metrics password`: drawn, printed once, kept as a hash."""

import base64
from pathlib import Path

import pytest

from shadowline.errors import ConfigError
from station.command.metrics import password
from station.metrics.secret import Secret


def test_the_password_printed_is_the_one_that_opens(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "password"
    password(file)
    drawn = capsys.readouterr().out.strip()
    assert drawn not in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o640
    assert Secret(file).opens("Basic " + base64.b64encode(f"anybody:{drawn}".encode()).decode())
    assert not Secret(file).opens("Basic " + base64.b64encode(b"anybody:").decode())


def test_a_password_in_use_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("sha256:…")
    with pytest.raises(ConfigError, match="exists: remove it first"):
        password(tmp_path / "password")


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file or directory"):
        password(tmp_path / "none" / "password")
