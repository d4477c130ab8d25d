"""The Debian package on a really booted systemd: installed, started, hung, reloaded, upgraded, removed and purged.

The tests stand in the order of a station's life and share one boot.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.booted import Booted, booted, missing, wait

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.skipif(bool(missing()), reason=missing())]

ROOT = Path(__file__).parents[2]
UNIT = "station.service"
CONFIG = Path("etc/shadowline/station.toml")
STATE = Path("var/lib/shadowline/station")
NEWEST = "SELECT max(last) FROM batch"


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The package, and the same with a higher version."""
    folder = tmp_path_factory.mktemp("packages")
    script = [ROOT / "packaging" / "deb.sh", folder]
    subprocess.run(["sh", *script], check=True, env=os.environ | {"DEB_LEVEL": "1"}, stdout=subprocess.DEVNULL)
    (package,) = folder.glob("*.deb")
    tree = folder / "tree"
    subprocess.run(["dpkg-deb", "--raw-extract", package, tree], check=True)
    control = tree / "DEBIAN" / "control"
    control.write_text(control.read_text().replace("\nVersion: ", "\nVersion: 9"))
    newer = folder / "newer.deb"
    subprocess.run(["dpkg-deb", "-Znone", "--build", tree, newer], check=True, stdout=subprocess.DEVNULL)
    shutil.rmtree(tree)
    return package, newer


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, packages: tuple[Path, Path]) -> Iterator[Booted]:
    with booted(tmp_path_factory.mktemp("booted")) as system:
        for package in packages:
            shutil.move(package, system.root / "srv" / package.name)
        install(system, packages[0])
        yield system


def install(system: Booted, package: Path) -> str:
    return system.run("dpkg", "--force-unsafe-io", "--install", f"/srv/{package.name}")


def edit(system: Booted, old: str, new: str) -> None:
    path = system.root / CONFIG
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def status(system: Booted) -> str:
    return system.show(UNIT, "StatusText")


def test_the_package_brings_a_user_and_a_configuration_and_starts_nothing(system: Booted) -> None:
    assert "video" in system.run("id", "--name", "--groups", "shadowline")
    assert (system.root / CONFIG).exists()
    assert system.show(UNIT, "ActiveState") == "inactive"
    assert "nothing to compile" in system.run("/opt/shadowline/bin/python", "-m", "station.regions.compile")


def test_it_is_active_when_the_first_frame_was_judged(system: Booted) -> None:
    edit(system, "width_px = 2048\nheight_px = 1000\n", "width_px = 512\nheight_px = 256\n")
    system.run("systemctl", "enable", "--now", UNIT)
    assert system.show(UNIT, "ActiveState") == "active"
    assert "READY after" in system.log(UNIT)
    started, active = (
        int(system.show(UNIT, name)) for name in ("InactiveExitTimestampMonotonic", "ActiveEnterTimestampMonotonic")
    )
    print(f"start to active: {(active - started) / 1e6:.2f} s")
    wait(lambda: "top online" in status(system), "the camera's state")
    assert "frames/s" in status(system)


def test_it_runs_in_its_sandbox(system: Booted) -> None:
    pid = system.show(UNIT, "MainPID")
    about = dict(
        line.split(":\t", 1) for line in system.run("cat", f"/proc/{pid}/status").splitlines() if ":\t" in line
    )
    assert about["NoNewPrivs"] == "1"
    assert about["Seccomp"] == "2"
    assert set(about["CapBnd"] + about["CapEff"]) == {"0"}
    uid = system.run("id", "--user", "shadowline").strip()
    assert system.run("stat", "--format", "%u", f"/proc/{pid}").strip() == uid
    assert "Read-only file system" in system.run(
        "nsenter", "--target", pid, "--mount", "sh", "-c", "touch /etc/shadowline/x 2>&1", code=1
    )


def test_a_second_line_runs_beside_it(system: Booted) -> None:
    text = (system.root / CONFIG).read_text().replace("shadowline/station", "shadowline/hot")
    for port in ("5560", "5561", "9560"):
        text = text.replace(port, "1" + port)
    (system.root / CONFIG).with_name("hot.toml").write_text(text)
    system.run("systemctl", "start", "station@hot.service")
    assert system.show("station@hot.service", "ActiveState") == "active"
    system.run("systemctl", "stop", "station@hot.service")
    assert system.show("station@hot.service", "Result") == "success"
    assert system.show(UNIT, "ActiveState") == "active"
    assert (system.root / "var/lib/shadowline/hot/journal").is_dir()


def test_a_gateway_runs_beside_it(system: Booted) -> None:
    gateway = "station-gateway@plc.service"
    table = '[gateway.plc]\ntype = "modbus"\nrole = "server"\nhost = "127.0.0.1"\nport = 1502\n'
    with (system.root / CONFIG).open("a") as file:
        file.write(table)
    system.run("systemctl", "start", gateway)
    assert system.show(gateway, "ActiveState") == "active"
    wait(lambda: "peer online; station heard" in system.show(gateway, "StatusText"), "both sides of the gateway")
    system.run("systemctl", "stop", gateway)
    assert system.show(gateway, "Result") == "success"


def test_the_console_runs_beside_it(system: Booted) -> None:
    console = "station-console.service"
    system.run("systemctl", "start", console)
    wait(lambda: "station heard" in system.show(console, "StatusText"), "the console")
    system.run("runuser", "-u", "shadowline", "--", "touch", "/etc/shadowline/settings-can-be-changed")
    system.run("systemctl", "stop", console)
    assert system.show(console, "Result") == "success"


@pytest.mark.parametrize(
    ("option", "asked", "answer"),
    [("realtime", "chrt --all-tasks --pid {}", "SCHED_RR"), ("gige", "grep CapEff /proc/{}/status", "00002000")],
)
def test_an_option_holds(system: Booted, option: str, asked: str, answer: str) -> None:
    text = (system.root / "usr/share/shadowline/drop-ins" / f"{option}.conf").read_text()
    folder = system.root / "etc/systemd/system/station.service.d"
    folder.mkdir()
    (folder / "option.conf").write_text(text.replace("CPUAffinity=2-3", "CPUAffinity=0"))
    system.run("systemctl", "daemon-reload")
    system.run("systemctl", "restart", UNIT)
    found = system.run(*asked.format(system.show(UNIT, "MainPID")).split())
    assert answer in found
    shutil.rmtree(folder)
    system.run("systemctl", "daemon-reload")
    system.run("systemctl", "restart", UNIT)


def test_a_reload_takes_a_good_file_and_refuses_a_bad_one(system: Booted) -> None:
    edit(system, "budget_ms = 20.0", "budget_ms = 15.0")
    system.run("systemctl", "reload", UNIT)
    wait(lambda: "reload taken" in status(system), "the reload")
    assert "[station] budget_ms" in status(system)
    edit(system, "budget_ms = 15.0", "budget_mss = 15.0")
    system.run("systemctl", "reload", UNIT)
    wait(lambda: "reload refused" in status(system), "the refusal")
    assert "did you mean budget_ms?" in status(system)
    wait(lambda: system.show(UNIT, "ActiveState") == "active", "the end of the reload")
    assert system.show(UNIT, "NRestarts") == "0"
    edit(system, "budget_mss = 15.0", "budget_ms = 15.0")


def test_one_that_hangs_is_started_anew(system: Booted) -> None:
    pid = system.show(UNIT, "MainPID")
    system.run("systemctl", "kill", "--signal", "STOP", UNIT)
    wait(lambda: system.show(UNIT, "NRestarts") == "1", "the watchdog")
    wait(lambda: system.show(UNIT, "ActiveState") == "active", "the recovery")
    assert system.show(UNIT, "MainPID") != pid
    assert "Watchdog timeout" in system.log(UNIT)


def ledger(system: Booted) -> dict[str, int | dict[str, int]]:
    """Return the ledger that the station printed last."""
    lines = [line for line in system.log(UNIT).splitlines() if line.startswith("{")]
    found: dict[str, int | dict[str, int]] = json.loads(lines[-1])
    return found


def test_sigterm_drains_it(system: Booted) -> None:
    system.run("systemctl", "stop", UNIT)
    assert system.show(UNIT, "Result") == "success"
    last = ledger(system)
    assert last["inspected"] == last["announced"]
    assert last["invalid"] == {}


def test_a_configuration_that_cannot_be_used_fails_in_the_end(system: Booted) -> None:
    edit(system, 'type = "simulated"', 'type = "simulatet"')
    system.run("systemctl", "start", UNIT, code=1)
    wait(lambda: system.show(UNIT, "Result") == "exit-code", "the failure")
    assert "simulatet" in system.log(UNIT)
    edit(system, 'type = "simulatet"', 'type = "simulated"')
    system.run("systemctl", "stop", UNIT)
    system.run("systemctl", "reset-failed", UNIT)


def last_event(system: Booted) -> int:
    """Return the newest number in the journal, read as the user that it belongs to."""
    ask = f"import sqlite3; print(*sqlite3.connect('/{STATE}/journal/journal.db').execute('{NEWEST}').fetchone())"
    return int(system.run("runuser", "-u", "shadowline", "--", "/opt/shadowline/bin/python", "-c", ask))


def test_an_upgrade_keeps_configuration_and_journal_and_goes_on(system: Booted, packages: tuple[Path, Path]) -> None:
    system.run("systemctl", "start", UNIT)
    pid, config = system.show(UNIT, "MainPID"), (system.root / CONFIG).read_text()
    before = last_event(system)
    install(system, packages[1])
    assert system.run("dpkg-query", "--show", "--showformat", "${Version}", "shadowline").startswith("9")
    wait(lambda: system.show(UNIT, "ActiveState") == "active", "the new version")
    assert system.show(UNIT, "MainPID") != pid
    assert (system.root / CONFIG).read_text() == config
    assert last_event(system) > before


def test_going_back_keeps_them_too(system: Booted, packages: tuple[Path, Path]) -> None:
    before = last_event(system)
    system.run("dpkg", "--force-unsafe-io", "--force-downgrade", "--install", f"/srv/{packages[0].name}")
    wait(lambda: system.show(UNIT, "ActiveState") == "active", "the old version")
    assert last_event(system) > before


def test_a_removal_leaves_what_is_the_users(system: Booted) -> None:
    config = (system.root / CONFIG).read_text()
    system.run("dpkg", "--remove", "shadowline")
    assert system.show(UNIT, "LoadState") == "not-found"
    assert (system.root / CONFIG).read_text() == config
    assert (system.root / STATE / "journal").is_dir()
    for left in ("opt/shadowline", "usr/bin/station", "usr/lib/sysusers.d/shadowline.conf"):
        assert not os.path.lexists(system.root / left)
    assert not list((system.root / "etc/systemd/system").glob("*.wants/station*"))


def test_a_purge_leaves_nothing(system: Booted) -> None:
    system.run("dpkg", "--purge", "shadowline")
    assert not any(
        (system.root / folder / "shadowline").exists() for folder in ("etc", "opt", "var/lib", "var/cache", "usr/share")
    )


def test_an_installation_by_pip_is_put_in_place_and_taken_away(system: Booted, packages: tuple[Path, Path]) -> None:
    unpack = f"dpkg-deb --fsys-tarfile /srv/{packages[0].name} | tar --extract --directory / ./opt"
    system.run("sh", "-c", unpack)
    assert "write /etc/systemd/system/station.service" in system.run("/opt/shadowline/bin/station", "install")
    assert "write" not in system.run("/opt/shadowline/bin/station", "install")
    system.run("systemctl", "enable", "--now", UNIT)
    assert system.show(UNIT, "ActiveState") == "active"
    system.run("/usr/local/bin/station", "install", "--remove")
    assert system.show(UNIT, "LoadState") == "not-found"
    assert not os.path.lexists(system.root / "usr/local/bin/station")
    assert (system.root / CONFIG).exists()
    assert system.run("/opt/shadowline/bin/station", "install", "--remove") == "nothing is installed\n"
