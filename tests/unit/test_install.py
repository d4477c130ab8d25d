"""`station install` into a package's tree, and what it refuses. On a computer it is tried in test_systemd.py."""

import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-m", "station", "install"]


def install(*words: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([*COMMAND, *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return done


def tree(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): str(path.readlink()) if path.is_symlink() else path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def test_a_package_gets_its_tree_and_a_second_run_changes_nothing(tmp_path: Path) -> None:
    done = install("--root", tmp_path)
    first = tree(tmp_path)
    assert done.stdout.count("\n") == len(first)
    assert first["usr/bin/station"] == "/opt/shadowline/bin/station"
    assert '["station engine"]=' in first["usr/share/bash-completion/completions/station"]
    assert '["station train fit"]=' in first["usr/share/bash-completion/completions/station"]
    assert not any(path.startswith("etc") for path in first)
    assert install("--root", tmp_path).stdout == ""
    assert tree(tmp_path) == first


def test_what_was_changed_is_put_right(tmp_path: Path) -> None:
    install("--root", tmp_path)
    first = tree(tmp_path)
    (tmp_path / "usr/lib/systemd/system/station.service").write_text("other")
    (tmp_path / "usr/bin/station").unlink()
    assert len(install("--root", tmp_path).stdout.splitlines()) == 2
    assert tree(tmp_path) == first


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    done = install("--root", tmp_path, "--dry-run")
    assert "would write /usr/lib/systemd/system/station@.service" in done.stdout
    assert tree(tmp_path) == {}


def test_a_tree_is_not_removed_but_deleted(tmp_path: Path) -> None:
    assert "delete the folder" in install("--root", tmp_path, "--remove", code=2).stderr


@pytest.mark.skipif(
    not Path(sys.executable).resolve().is_relative_to("/root"), reason="this Python is one that a service can see"
)
def test_an_installation_that_a_service_does_not_see_is_refused() -> None:
    assert "a service does not see it" in install("--dry-run", code=2).stderr
