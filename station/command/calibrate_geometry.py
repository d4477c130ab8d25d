"""`station calibrate geometry`: millimetres for a camera's pixels, from a sheet or a ruled target. Main thread."""

from collections.abc import Iterator
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import cv2
import typer

from calibration import CalibrationStore, Record
from calibration.geometry_fit import GeometryFit, fit_views
from calibration.geometry_picture import draw_misses
from calibration.geometry_ruled import fit_ruled
from calibration.targets import Sheet
from shadowline.errors import CalibrationError
from station.binding import binding_of, camera_named, open_store
from station.command.calibrate_geometry_views import Shown, held_views, shown_by, single_views
from station.command.calibrate_target import Columns, DictionaryName, Kind, MarkerMm, PitchMm, Rows, SquareMm
from station.command.camera_feed import CameraName
from station.command.options import AsJson, ConfigFile
from station.config import CameraConfig, ChunkEncoder, LineConfig
from station.config_file import load
from station.frame import Image

__all__ = ["geometry"]

_MOST_PITCH_ERROR = 0.02


def geometry(
    name: CameraName,
    pictures: Annotated[
        Path | None, typer.Option(help="Folder of pictures instead of the camera, the last of the sheet on the strip.")
    ] = None,
    kind: Kind = "charuco",
    columns: Columns = 10,
    rows: Rows = 7,
    square_mm: SquareMm = 25.0,
    marker_mm: MarkerMm = 0.0,
    dictionary: DictionaryName = "4x4_250",
    thickness_mm: Annotated[float, typer.Option(min=0, help="Of the plate that the sheet is glued on.")] = 0.0,
    pitch_mm: PitchMm = 5.0,
    mm_per_row: Annotated[
        float | None, typer.Option(help="Ruled: from row to row; else from the counts in the pictures, or pitch_mm.")
    ] = None,
    left_mm: Annotated[float, typer.Option(help="Where across the line the frame's left edge looks.")] = 0.0,
    lens: Annotated[str, typer.Option(help="A note on lens and mounting, kept with the result.")] = "",
    seconds: Annotated[float | None, typer.Option(min=0, help="End after so long, instead of by Ctrl-C.")] = None,
    config: ConfigFile = Path("config.toml"),
    as_json: AsJson = False,
) -> None:
    """Measure what a camera's pixels are in millimetres, and take that into use.

    Hold the sheet still in ten places or more, tilted to all sides, in all parts of the frame; lay it on the strip at
    last and press Ctrl-C. A ruled target lies across the strip, which moves.
    """
    settings = load(config)
    store, camera = open_store(settings), camera_named(settings, name)
    with shown_by(config, name, pictures, seconds) as (identity, shown):
        seen = _Seen(name, shown)
        if kind == "ruled":
            how: dict[str, Any] = {"kind": kind, "pitch_mm": pitch_mm, "left_mm": left_mm}
            counted = _counted_mm_per_row(seen, settings.line)
            fit = fit_ruled(seen.image, pitch_mm, _choose_mm_per_row(mm_per_row, counted, camera), left_mm)
        else:
            sheet = Sheet(kind, columns, rows, square_mm, marker_mm, dictionary)
            how = {"kind": kind, "thickness_mm": thickness_mm, "left_mm": left_mm} | asdict(sheet)
            views = (held_views if pictures is None else single_views)(sheet, seen)
            fit = fit_views(views, left_mm, thickness_mm)
    _check_pitch(fit, camera)
    binding = binding_of(camera, identity, seen.image, lens).model_copy(update={"exposure_us": None, "gain": None})
    record = store.save("geometry", name, binding, fit.figures, fit.geometry.arrays(), how)
    picture = _save_picture(store, record, fit)
    typer.echo(record.model_dump_json() if as_json else _sum_up(record, picture))


class _Seen:
    """Hands pictures on, and keeps the last one and their counts."""

    def __init__(self, name: str, shown: Iterator[Shown]) -> None:
        self._name = name
        self._shown = shown
        self._image: Image | None = None
        self.counts: list[int | None] = []

    def __iter__(self) -> Iterator[Shown]:
        for one in self._shown:
            self._image = one.image.copy()
            self.counts.append(one.encoder)
            yield one

    @property
    def image(self) -> Image:
        """The last picture. Raises `CalibrationError` when none came."""
        if self._image is None:
            raise CalibrationError(f"camera {self._name}: no picture came: check light and trigger")
        return self._image


def _counted_mm_per_row(seen: _Seen, line: LineConfig) -> float | None:
    """Take all pictures; return what the counts that came with them say a row is, None without such."""
    for _ in seen:
        pass
    pairs = [(one, other) for one, other in pairwise(seen.counts) if one is not None and other is not None]
    if not isinstance(line.encoder, ChunkEncoder) or not pairs:
        return None
    lap = 2**line.encoder.bits
    steps = [(other - one + lap // 2) % lap - lap // 2 for one, other in pairs]
    forward = -1 if line.encoder.reversed else 1
    return float(forward * median(steps) * line.encoder.mm_per_count / len(seen.image))


def _choose_mm_per_row(said: float | None, counted: float | None, camera: CameraConfig) -> float:
    if said is not None:
        return said
    if counted is not None:
        return counted
    if camera.pitch_mm is None:
        raise CalibrationError(
            f"camera {camera.name}: nothing tells how far apart the rows are: give --mm-per-row, or the camera's"
            ' pitch_mm, or type = "chunk" in [line.encoder]'
        )
    return abs(camera.pitch_mm)


def _check_pitch(fit: GeometryFit, camera: CameraConfig) -> None:
    """Refuse a sheet that contradicts the configured pitch: one of both is wrong."""
    along = fit.geometry.mm_per_px[1]
    if camera.pitch_mm and abs(along / abs(camera.pitch_mm) - 1) > _MOST_PITCH_ERROR:
        raise CalibrationError(
            f"camera {camera.name}: {along:.5g} mm from row to row, but pitch_mm says {abs(camera.pitch_mm):.5g}:"
            " measure the squares or bars of the target and say so, or correct pitch_mm"
        )


def _save_picture(store: CalibrationStore, record: Record, fit: GeometryFit) -> Path:
    """Write by how much the corners miss beside the calibrations, and return where."""
    path = store.folder / f"{record.camera}-geometry-{record.number:04}.png"
    beside = path.with_suffix(".part")
    try:
        beside.write_bytes(cv2.imencode(".png", draw_misses(fit))[1].tobytes())
        beside.replace(path)
    except OSError as error:
        raise CalibrationError(f"{path}: can't be written: {error.strerror}") from None
    return path


def _sum_up(record: Record, picture: Path) -> str:
    figures = record.figures
    tilt = f", tilted by {figures['tilt_deg']:.2f} degrees" if "tilt_deg" in figures else ""
    seen = f"{figures['views']:.0f} views" if "views" in figures else f"{figures['bars']:.0f} bars"
    return (
        f"{record.title} is in use: {figures['across_mm_per_px']:.5f} mm per pixel across,"
        f" {figures['along_mm_per_px']:.5f} along{tilt}\n"
        f"{seen}, missed by {figures['rms_px']:.3f} px RMS, {figures['worst_px']:.3f} at worst, blurred by"
        f" {figures['blur_px']:.1f} px: {picture}"
    )
