"""What `station install` writes: units, user, folders, example and completion, as paths and text. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import station

__all__ = ["LOCAL", "PACKAGE", "PACKAGE_PREFIX", "Places", "ServiceFile", "service_files", "users_config"]

PACKAGE_PREFIX = Path("/opt/shadowline")
"""The installation that the shipped unit names."""
_CONFIG = Path("/etc/shadowline/station.toml")
_STATE = Path("/var/lib/shadowline/station")


@dataclass(frozen=True, slots=True)
class Places:
    """Folders of the files, and where the command is linked to."""

    units: Path
    settings: Path
    share: Path
    command: Path


PACKAGE = Places(Path("/usr/lib/systemd/system"), Path("/usr/lib"), Path("/usr/share"), Path("/usr/bin/station"))
"""Where a distribution's package puts them."""
LOCAL = Places(Path("/etc/systemd/system"), Path("/etc"), Path("/usr/local/share"), Path("/usr/local/bin/station"))
"""Where an administrator puts them."""


@dataclass(frozen=True, slots=True)
class ServiceFile:
    """A file and what stands in it."""

    path: Path
    text: str


def service_files(places: Places, prefix: Path, completion: str) -> Iterator[ServiceFile]:
    """Yield the files of a service that runs the installation at `prefix`; `completion` is bash's."""
    unit = _read("station@.service").replace(str(PACKAGE_PREFIX), str(prefix))
    yield ServiceFile(places.units / "station@.service", unit)
    yield ServiceFile(places.units / "station.service", unit.replace("%i", "station"))
    gateway = _read("station-gateway@.service").replace(str(PACKAGE_PREFIX), str(prefix))
    yield ServiceFile(places.units / "station-gateway@.service", gateway)
    console = _read("station-console.service").replace(str(PACKAGE_PREFIX), str(prefix))
    yield ServiceFile(places.units / "station-console.service", console)
    yield ServiceFile(places.settings / "sysusers.d" / "shadowline.conf", _read("shadowline.sysusers"))
    yield ServiceFile(places.settings / "tmpfiles.d" / "shadowline.conf", _read("shadowline.tmpfiles"))
    yield ServiceFile(places.share / "bash-completion" / "completions" / "station", completion)
    yield ServiceFile(places.share / "shadowline" / "station.toml", _config())
    for drop_in in sorted((_shipped() / "drop-ins").glob("*.conf")):
        yield ServiceFile(places.share / "shadowline" / "drop-ins" / drop_in.name, drop_in.read_text())


def users_config() -> ServiceFile:
    """Return the configuration of station.service: written once, then its user's own."""
    return ServiceFile(_CONFIG, _config())


def _config() -> str:
    """Return the shipped configuration with its folders where a service may write."""
    shipped = re.sub(r'^(# )?folder = "(?!/)', rf'\1folder = "{_STATE}/', _read("config.toml"), flags=re.MULTILINE)
    return shipped + _read("service.toml")


def _read(name: str) -> str:
    path = _shipped() / name
    return (path if path.exists() else path.parents[1] / name).read_text()


def _shipped() -> Path:
    """Return the folder `systemd`: in an installed package, or beside it in a checkout."""
    package = Path(station.__file__).parent
    inside = package / "systemd"
    return inside if inside.is_dir() else package.parent / "systemd"
