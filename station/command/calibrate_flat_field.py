"""`station calibrate flat-field`: make a camera's flat field of dark and bright frames. Main thread."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.progress import Progress

from calibration import FlatField, Record
from calibration.flat_field_fit import fit_flat_field, linearity_error
from calibration.frame_mean import FrameMean
from shadowline.errors import CalibrationError
from station.binding import binding_of, camera_named, open_store
from station.camera.pictures import list_pictures, read_picture
from station.command.camera_feed import CameraName, Feed, feed_of
from station.command.options import AsJson, ConfigFile
from station.config_file import load
from station.frame import Image, InvalidReason

__all__ = ["flat_field"]

_MOST_PIXELS = 1e8
_MOST_LINEARITY_ERROR = 0.03


def flat_field(
    name: CameraName,
    bright: Annotated[
        Path | None, typer.Option(help="Folder of pictures of an even surface; without it the camera takes them.")
    ] = None,
    dark: Annotated[Path | None, typer.Option(help="Folder of pictures with the lens covered.")] = None,
    no_dark: Annotated[bool, typer.Option("--no-dark", help="No dark frames: black is taken for level 0.")] = False,
    frames: Annotated[int, typer.Option(min=16, max=10_000, help="Bright frames that the camera takes.")] = 200,
    dark_frames: Annotated[int, typer.Option(min=16, max=10_000, help="Dark frames that the camera takes.")] = 32,
    columns: Annotated[
        bool, typer.Option("--columns", help="One gain a column: line-scan cameras, blocks of any height.")
    ] = False,
    lens: Annotated[str, typer.Option(help="A note on lens, aperture and light, kept with the result.")] = "",
    linearity: Annotated[
        Path | None, typer.Option(help="Folder of folders of pictures, each named by its exposure in microseconds.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not wait for lens and light to be made ready.")] = False,
    config: ConfigFile = Path("config.toml"),
    as_json: AsJson = False,
) -> None:
    """Measure how each pixel of a camera answers to even light, and take that into use.

    The even surface may be the running strip: what moves is averaged away, and defects that pass are left out. What
    stands still becomes part of the flat field.
    """
    settings = load(config)
    store, camera = open_store(settings), camera_named(settings, name)
    if no_dark and dark is not None:
        raise CalibrationError("--dark and --no-dark: choose one")
    figures = {} if linearity is None else {"linearity_error": _check_linearity(linearity)}
    identity, black = "", None
    if dark is not None:
        black = _read(dark)
    elif bright is None and not no_dark:
        _ask("Cover the lens.", yes)
        black, identity = _take(config, name, dark_frames, "dark")
    if bright is not None:
        light = _read(bright)
    else:
        _ask("Show the camera an even surface, in the light of the line.", yes)
        light, identity = _take(config, name, frames, "bright")
    binding = binding_of(camera, identity, light.first, lens)
    fit = fit_flat_field(light, black, columns)
    arrays = {"gain": fit.gain, "dark": fit.dark}
    FlatField.of(arrays, fit.level)
    record = store.save("flat-field", name, binding, fit.figures | figures, arrays, {"columns": columns})
    typer.echo(record.model_dump_json() if as_json else _sum_up(record))


def _ask(what: str, yes: bool) -> None:
    if not yes:
        typer.confirm(f"{what} Ready?", default=True, abort=True, err=True)


def _take(config: Path, name: str, count: int, what: str) -> tuple[FrameMean, str]:
    """Return the mean of `count` whole frames of the camera, and what it says that it is."""
    mean = FrameMean(count)
    with feed_of(config, name) as feed:
        identity = feed.camera.identity
        for image in _shown(_images(feed), count, what):
            mean.add(image)
            if mean.count == count:
                break
    return mean, identity


def _images(feed: Feed) -> Iterator[Image]:
    for exposure in feed.exposures():
        if exposure is not None and exposure.image is not None:
            image = exposure.image
            if exposure.valid_rows is None or exposure.valid_rows >= len(image):
                yield image


def _read(folder: Path) -> FrameMean:
    """Return the mean of all pictures of `folder`. Raises `CalibrationError` for none, and for one that is damaged."""
    paths = _pictures(folder)
    mean = FrameMean(len(paths))
    for image in _shown(map(_picture, paths), len(paths), folder.name):
        mean.add(image)
    return mean


def _pictures(folder: Path) -> list[Path]:
    try:
        paths = list_pictures(folder)
    except OSError as error:
        raise CalibrationError(f"{folder}: can't be read: {error.strerror}") from None
    if len(paths) < 2:
        raise CalibrationError(f"{folder}: {len(paths)} pictures: give a folder of many")
    return paths


def _picture(path: Path) -> Image:
    image = read_picture(path, _MOST_PIXELS)
    if isinstance(image, InvalidReason):
        raise CalibrationError(f"{path}: {image}: remove it, or take the pictures again")
    return image


def _shown(images: Iterable[Image], count: int, what: str) -> Iterator[Image]:
    """Yield `images` with a bar of progress on a terminal."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        yield from bar.track(images, total=count, description=f"{what} frames")


def _check_linearity(folder: Path) -> float:
    """Return how far pictures of several exposures are off a straight line. Raises `CalibrationError` if too far."""
    levels = {}
    for part in sorted(folder.iterdir()) if folder.is_dir() else []:
        try:
            exposure_us = float(part.name)
        except ValueError:
            raise CalibrationError(f"{part}: not the name of an exposure in microseconds") from None
        images = [_picture(path) for path in _pictures(part)]
        levels[exposure_us] = float(np.mean([image.mean() / (np.iinfo(image.dtype).max / 255) for image in images]))
    error = linearity_error(levels)
    if error > _MOST_LINEARITY_ERROR:
        raise CalibrationError(
            f"{folder}: the camera's answer is {error:.1%} off a straight line (at most {_MOST_LINEARITY_ERROR:.0%}): "
            "switch off Gamma and other tone curves, and keep the brightest exposure from saturating"
        )
    return error


def _sum_up(record: Record) -> str:
    figures = record.figures
    dark = f"{figures['dark_frames']:.0f} dark" if figures["dark_frames"] else "no dark"
    return (
        f"{record.title} is in use: {figures['bright_frames']:.0f} bright and {dark} frames\n"
        f"uneven by {figures['uneven_levels']:.1f} levels RMS at level {figures['level']:.0f}, "
        f"gain {figures['least_gain']:.2f} to {figures['greatest_gain']:.2f}, "
        f"known to {figures['noise_levels']:.2f} levels\n"
        f"{figures['dead_pixels']:.0f} dead and {figures['hot_pixels']:.0f} hot pixels, repaired from their neighbours"
    )
