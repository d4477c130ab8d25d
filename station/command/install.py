"""`station install`: put units, user, folders, configuration and completion in place, or take them away."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from shadowline.errors import StationError
from station.command.completion import bash_completion
from station.command.service_files import (
    LOCAL,
    PACKAGE,
    PACKAGE_PREFIX,
    Places,
    ServiceFile,
    service_files,
    users_config,
)

__all__ = ["install"]

_HIDDEN = ("/root", "/home", "/run/user", "/tmp", "/var/tmp")
"""What ProtectHome and PrivateTmp of the unit hide from the service."""
_CONSOLE = "station-console.service"


@dataclass(frozen=True, slots=True)
class _Steps:
    """Does one step after the other below `root`, or only says what it would do; each is a line on the terminal."""

    root: Path
    dry_run: bool

    def write(self, file: ServiceFile) -> None:
        """Write `file` unless it stands there already."""
        path = self._at(file.path)
        if path.is_file() and path.read_text() == file.text:
            return
        self._say(f"write {file.path}")
        if not self.dry_run:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(file.text)
            path.chmod(0o644)

    def link(self, path: Path, target: Path) -> None:
        """Let `path` point at `target`."""
        place = self._at(path)
        if place.is_symlink() and place.readlink() == target:
            return
        self._say(f"link {path} to {target}")
        if not self.dry_run:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.unlink(missing_ok=True)
            place.symlink_to(target)

    def unlink(self, path: Path) -> None:
        """Remove the file or link at `path`, where there is one."""
        place = self._at(path)
        if place.is_symlink() or place.exists():
            self._say(f"remove {path}")
            if not self.dry_run:
                place.unlink()

    def has(self, path: Path) -> bool:
        """Whether there is a file at `path`."""
        return self._at(path).exists()

    def run(self, *command: str) -> None:
        """Run `command` on this computer; raises `StationError` when it fails."""
        self._say(f"run {' '.join(command)}")
        if not self.dry_run and subprocess.run(command, check=False).returncode:
            raise StationError(f"{' '.join(command)} failed: mend that and run `station install` again")

    def _at(self, path: Path) -> Path:
        return self.root / path.relative_to("/")

    def _say(self, words: str) -> None:
        typer.echo(f"would {words}" if self.dry_run else words)


def install(
    context: typer.Context,
    remove: Annotated[
        bool, typer.Option("--remove", help="Stop the services and take away what was put there.")
    ] = False,
    root: Annotated[
        Path | None, typer.Option(help="Write the tree of a package into this folder; this computer is left alone.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would be done.")] = False,
) -> None:
    """Install the service, or remove it. A second run changes nothing; configuration and results stay."""
    if root is not None and remove:
        raise StationError("--root writes a package's tree, which needs no --remove: delete the folder")
    completion = bash_completion(context.find_root().command)
    if root is not None:
        _write_all(_Steps(root, dry_run), PACKAGE, PACKAGE_PREFIX, completion)
        return
    if not dry_run and os.geteuid() != 0:
        raise StationError("only root can install a service: run it with sudo, or with --dry-run to see what it does")
    steps = _Steps(Path("/"), dry_run)
    if remove:
        _remove(steps)
    else:
        prefix = Path(sys.prefix)
        _refuse_hidden(prefix)
        _write_all(steps, LOCAL, prefix, completion)
        _set_up(steps)


def _refuse_hidden(prefix: Path) -> None:
    """Raise `StationError` for an installation that the service's sandbox does not show it."""
    for place in (prefix, Path(sys.executable).resolve()):
        if any(place.is_relative_to(hidden) for hidden in _HIDDEN):
            raise StationError(
                f"{place}: a service does not see it; install for all users: "
                f"/usr/bin/python3 -m venv {PACKAGE_PREFIX} && {PACKAGE_PREFIX}/bin/pip install shadowline"
            )


def _write_all(steps: _Steps, places: Places, prefix: Path, completion: str) -> None:
    for file in service_files(places, prefix, completion):
        steps.write(file)
    steps.link(places.command, prefix / "bin" / "station")


def _set_up(steps: _Steps) -> None:
    """Make the user, its folders and the kernels, write the first configuration, and tell systemd."""
    steps.run("systemd-sysusers", "shadowline.conf")
    steps.run("systemd-tmpfiles", "--create", "shadowline.conf")
    steps.run(sys.executable, "-P", "-m", "station.regions.compile")  # -P: of this installation, not of the folder here
    config = users_config()
    if not steps.has(config.path):
        steps.write(config)
    steps.run("systemctl", "daemon-reload")
    typer.echo(f"edit {config.path}, then: systemctl enable --now station")


def _remove(steps: _Steps) -> None:
    files = list(service_files(LOCAL, PACKAGE_PREFIX, ""))
    if not any(steps.has(file.path) for file in files):
        typer.echo("nothing is installed")
        return
    steps.run("systemctl", "stop", "station.service", "station@*.service", "station-gateway@*.service", _CONSOLE)
    steps.run("systemctl", "disable", "station.service", "station@.service", "station-gateway@.service", _CONSOLE)
    for file in files:
        steps.unlink(file.path)
    steps.unlink(LOCAL.command)
    steps.run("systemctl", "daemon-reload")
    typer.echo("kept: /etc/shadowline, /var/lib/shadowline, the user shadowline")
