"""The devices that the installed drivers see. Main thread."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, TypeAlias, assert_never, get_args

import typer

from shadowline.errors import ConfigError, StationError
from station.camera import aravis, basler, gentl, opencv
from station.camera.base import Found

__all__ = ["Driver", "find_devices"]

Driver: TypeAlias = Literal["aravis", "gentl", "basler", "opencv"]

_BROADCASTING = ("aravis", "basler")
_BASLER_CLASSES = ("BaslerGigE", "BaslerUsb", "BaslerCamEmu")
_PRODUCER_FOLDERS = "GENICAM_GENTL64_PATH"


def find_devices(driver: Driver | None, producer: Path | None) -> Iterator[Found]:
    """Yield what `driver` sees, or every one; what keeps a driver from looking is a line on stderr."""
    if producer is not None and driver not in (None, "gentl"):
        raise typer.BadParameter("is for --driver gentl", param_hint="--producer")
    asked: tuple[Driver, ...] = get_args(Driver) if driver is None else (driver,)
    if not set(asked).isdisjoint(_BROADCASTING):
        typer.echo("looking for network cameras broadcasts on every network interface", err=True)
    for one in asked:
        try:
            yield from _ask(one, producer)
        except StationError as fault:
            typer.echo(f"{one}: {fault}", err=True)


def _ask(driver: Driver, producer: Path | None) -> Iterator[Found]:
    match driver:
        case "aravis":
            yield from aravis.discover()
        case "gentl":
            for file in [producer.absolute()] if producer else _producers():
                yield from gentl.discover(file)
        case "basler":
            for device_class in _BASLER_CLASSES:
                yield from basler.discover(device_class)
        case "opencv":
            yield from opencv.discover()
        case _:
            assert_never(driver)


def _producers() -> list[Path]:
    """Return the producers of the folders that makers' installers put into the environment."""
    folders = filter(None, os.environ.get(_PRODUCER_FOLDERS, "").split(os.pathsep))
    found = sorted({file for folder in folders for file in Path(folder).glob("*.cti")})
    if not found:
        raise ConfigError(f"name the maker's producer with --producer FILE.cti, or its folder in {_PRODUCER_FOLDERS}")
    return found
