"""A real systemd, booted in a container over this computer's files: what is done there changes nothing here."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from shutil import which

__all__ = ["Booted", "booted", "missing", "wait"]

_TARGET = """\
[Unit]
Description=what the tests start
Requires=basic.target
After=basic.target
AllowIsolate=yes
"""
_MASKED = (
    "systemd-networkd.service",
    "systemd-networkd-wait-online.service",
    "systemd-tmpfiles-clean.timer",
    "systemd-resolved.service",
)
_NSPAWN = (
    *("systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit", "--private-network", "--console=pipe"),
    *("--resolv-conf=off", "--timezone=off", "--link-journal=no"),
)
_PATIENCE_S = 60.0


def missing() -> str:
    """Return what this computer lacks for it; empty where it can be done."""
    if os.geteuid() != 0:
        return "only root can boot a systemd"
    if which("systemd-nspawn") is None:
        return "systemd-nspawn is missing: sh tests/systemd-install.sh"
    return ""


class Booted:
    """The booted system: its files are at `root`, and commands run in it."""

    def __init__(self, root: Path, init_pid: int) -> None:
        self.root = root
        self.init_pid = init_pid

    def run(self, *words: str, code: int | None = 0) -> str:
        """Run a command to its end, insist on its exit code (None: any) and return what it printed."""
        done = subprocess.run(
            ["nsenter", "--target", str(self.init_pid), "--all", *words],
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"},
        )
        assert code is None or done.returncode == code, f"{' '.join(words)}: {done.stdout}{done.stderr}"
        return done.stdout

    def show(self, unit: str, name: str) -> str:
        """Return one property of a unit."""
        return self.run("systemctl", "show", "--value", "--property", name, unit).strip()

    def log(self, unit: str) -> str:
        """Return what `unit` has logged so far."""
        return self.run("journalctl", "--no-pager", "--output", "cat", "--unit", unit)


def wait(done: Callable[[], bool], what: str) -> None:
    """Look again and again until `done`; fails the test after a minute."""
    until_s = time.monotonic() + _PATIENCE_S
    while not done():
        assert time.monotonic() < until_s, f"waited in vain for: {what}"
        time.sleep(0.05)


@contextmanager
def booted(folder: Path) -> Iterator[Booted]:
    """Boot below `folder`, and shut down and remove all of it at the end."""
    with ExitStack() as undo:
        _mount(undo, folder, "tmpfs", "size=4g")
        root, upper, work = (folder / name for name in ("root", "upper", "work"))
        for path in (root, upper, work):
            path.mkdir()
        _mount(undo, root, "overlay", f"lowerdir=/,upperdir={upper},workdir={work}")
        _prepare(root)
        with (folder / "console.log").open("wb") as console:
            container = subprocess.Popen(
                [*_NSPAWN, f"--directory={root}", "systemd.unit=tested.target"],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
            )
        undo.callback(_end, container)
        wait(lambda: _is_up(root, container.pid), "the boot")
        yield Booted(root, _children(container.pid)[0])


def _mount(undo: ExitStack, place: Path, kind: str, options: str) -> None:
    place.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", kind, kind, "-o", options, str(place)], check=True)
    undo.callback(subprocess.run, ["umount", "--lazy", str(place)], check=True)


def _prepare(root: Path) -> None:
    """Let the copy start as a computer of its own, with what the tests need and nothing else."""
    units = root / "etc" / "systemd" / "system"
    (units / "tested.target").write_text(_TARGET)
    for unit in _MASKED:
        (units / unit).unlink(missing_ok=True)
        (units / unit).symlink_to("/dev/null")
    (root / "etc" / "machine-id").write_text("uninitialized\n")


def _is_up(root: Path, container_pid: int) -> bool:
    """Whether the first process of the container is a systemd that has booted; for a moment it is another one."""
    return any(
        "active" in Booted(root, child).run("systemctl", "is-active", "tested.target", code=None).split()
        for child in _children(container_pid)
    )


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _end(container: subprocess.Popen[bytes]) -> None:
    """Switch the container off; one that does not end is killed."""
    for child in _children(container.pid):
        os.kill(child, 37)  # SIGRTMIN+3: systemd's halt
    try:
        container.wait(20)
    except subprocess.TimeoutExpired:
        container.kill()
        container.wait()
