"""The service's files: complete, of one kind for packages and administrators, and sandboxed as promised."""

import subprocess
from pathlib import Path
from shutil import which

import pytest

from station.command.service_files import LOCAL, PACKAGE, Places, service_files, users_config
from station.config_file import load

PREFIX = Path("/opt/shadowline")
EXPOSURE = 20  # of systemd-analyze, in tenths
UNITS = ["station.service", "station@top.service", "station-gateway@top.service", "station-console.service"]


def texts(places: Places, prefix: Path = PREFIX) -> dict[str, str]:
    return {str(file.path): file.text for file in service_files(places, prefix, "# completion")}


def test_a_package_and_an_administrator_have_the_same_files_elsewhere() -> None:
    package, local = texts(PACKAGE), texts(LOCAL)
    assert list(package.values()) == list(local.values())
    assert all(path.startswith("/usr/") for path in package)
    assert not any(path.startswith(("/usr/lib", "/usr/share")) for path in local)


def test_the_unit_of_one_line_is_that_of_many_with_its_name() -> None:
    found = texts(PACKAGE)
    one, many = (found[f"/usr/lib/systemd/system/{unit}"] for unit in ("station.service", "station@.service"))
    assert "/etc/shadowline/%i.toml" in many
    assert "/etc/shadowline/station.toml" in one
    assert "%i" not in one


def test_the_unit_names_the_installation_it_was_made_for() -> None:
    unit = texts(LOCAL, Path("/srv/line"))["/etc/systemd/system/station.service"]
    assert "ExecStart=/srv/line/bin/station run" in unit
    assert "/opt" not in unit


def test_the_first_configuration_is_a_good_one_and_keeps_its_results(tmp_path: Path) -> None:
    first = users_config()
    assert str(first.path) == "/etc/shadowline/station.toml"
    path = tmp_path / "station.toml"
    path.write_text(first.text)
    config = load(path)
    assert config.journal.folder == Path("/var/lib/shadowline/station/journal")
    assert config.control.endpoint == "ipc:///run/shadowline/station/control"


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units as files that systemd's tools take, with a program that is there."""
    if which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is missing: sh tests/systemd-install.sh")
    for path, text in texts(PACKAGE).items():
        name = Path(path).name
        if path.endswith(".service"):
            (tmp_path / name.replace("@", "@top")).write_text(text.replace("/opt/shadowline/bin/station", "/bin/true"))
        elif path.endswith("/realtime.conf"):
            (tmp_path / "realtime.conf").write_text(text)
    return tmp_path


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_finds_no_fault_with_the_units(units: Path, unit: str) -> None:
    done = subprocess.run(["systemd-analyze", "verify", units / unit], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def expose(unit: Path, tenths: int) -> int:
    """Return 0 when `unit` is at most so exposed, by systemd-analyze."""
    command = ["systemd-analyze", "security", "--no-pager", "--offline=true", f"--threshold={tenths}", str(unit)]
    return subprocess.run(command, capture_output=True, check=False).returncode


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_is_hardly_exposed(units: Path, unit: str) -> None:
    assert expose(units / unit, EXPOSURE) == 0
    assert expose(units / unit, 1) == 1


@pytest.mark.parametrize("drop_in", ["realtime", "gige", "gpu"])
def test_a_unit_with_an_option_is_still_one_without_fault(units: Path, drop_in: str) -> None:
    text = texts(PACKAGE)[f"/usr/share/shadowline/drop-ins/{drop_in}.conf"]
    folder = units / "station.service.d"
    folder.mkdir()
    (folder / "option.conf").write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", units / "station.service"],
        capture_output=True,
        text=True,
        check=False,
        env={"SYSTEMD_UNIT_PATH": f"{units}:", "PATH": "/usr/bin:/bin"},
    )
    assert (done.returncode, done.stderr) == (0, "")
