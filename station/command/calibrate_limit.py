"""`station calibrate limit`: choose the shadow limit for a stated rate of false regions. Main thread."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console

from calibration import Binding, Record
from calibration.limit import Choice, Counts, choose, suspects
from shadowline.errors import CalibrationError, ConfigError
from station.binding import binding_of, camera_named, open_store
from station.command.calibrate_limit_frames import Shown, known_defects, of_camera, of_folder
from station.command.calibrate_limit_view import curve_table, draw_curve, sum_up
from station.command.camera_feed import CameraName, feed_of
from station.command.options import AsJson, ConfigFile
from station.config import DEFAULT, CameraConfig, shadow_of
from station.config_file import load
from station.flat_field import open_flat_field
from station.frame import Image
from station.limit import LimitSettings, Per
from station.limit_sweep import Sweep

__all__ = ["limit"]

_MOST_ODD = 0.05
_FIRST = 16


def limit(
    name: CameraName,
    per_metre: Annotated[float | None, typer.Option(help="False regions a metre of strip; needs pitch_mm.")] = None,
    per_frame: Annotated[float | None, typer.Option(help="False regions a frame, or a picture.")] = None,
    frames: Annotated[int, typer.Option(min=1, help="How many frames the camera takes.")] = 500,
    pictures: Annotated[
        Path | None, typer.Option(help="Folder of pictures, instead of frames; each folder in it is a coil.")
    ] = None,
    known: Annotated[
        Path | None, typer.Option(help="Folder of boxes (VOC .xml) or masks (.png) by the pictures' names: left out.")
    ] = None,
    polarity: Annotated[
        Literal["dark", "bright", "both"] | None, typer.Option(help="Instead of the configured one.")
    ] = None,
    min_area: Annotated[int | None, typer.Option(min=1, help="Instead of the configured min_area_px.")] = None,
    zones: Annotated[int, typer.Option(min=1, max=64, help="Zones of equal width across, each with its limit.")] = 1,
    keep_all: Annotated[bool, typer.Option("--keep-all", help="Count also the frames that look defective.")] = False,
    recipe: Annotated[
        str | None, typer.Option(help="By this recipe's [regions], for it alone: it is kept, and not taken into use.")
    ] = None,
    lens: Annotated[str, typer.Option(help="A note on lens, aperture and light, kept with the result.")] = "",
    plot: Annotated[Path | None, typer.Option(help="Draw the curve into this file (.png).")] = None,
    config: ConfigFile = Path("config.toml"),
    as_json: AsJson = False,
) -> None:
    """Choose the limit of a camera's finder for a rate of false regions, and take it into use or give it to a recipe.

    Show it sound surface, enough for ten false regions a zone at that rate. The station's own finder runs over it at
    many limits (noise_sigmas), and a frame with a region that noise does not explain is left out and named.
    """
    settings = load(config).by_recipe(recipe or DEFAULT)
    store, camera = open_store(settings), camera_named(settings, name)
    per, rate = _asked(per_metre, per_frame, camera)
    wanted = {"polarity": polarity, "min_area_px": min_area}
    shadow = shadow_of(settings.regions)
    if shadow is None:
        raise ConfigError(f"[regions] type {settings.regions.type} seeks no shadows: there is no limit to choose")
    regions = shadow.model_copy(update={key: value for key, value in wanted.items() if value is not None})
    flat_field = open_flat_field(settings, camera.model_copy(update={"overlap_rows": 0}))
    pitch_mm = camera.pitch_mm if per == "metre" else None
    make = partial(Sweep, regions, flat_field, zones)
    if pictures is not None:
        bind = partial(binding_of, camera, "", lens=lens)
        sweep, binding = _count(make, of_folder(pictures), known, bind, rate, pitch_mm)
    elif known is not None:
        raise CalibrationError("--known goes with --pictures: what a camera delivers has no names")
    else:
        with feed_of(config, name) as feed:
            bind = partial(binding_of, camera, feed.camera.identity, lens=lens)
            sweep, binding = _count(make, of_camera(feed, frames), None, bind, rate, pitch_mm)
    sweep.check()
    odd = np.zeros(len(sweep.names), np.bool_) if keep_all else _odd(sweep)
    counts = sweep.counts(regions.min_area_px, pitch_mm).where(~odd)
    choice = choose(counts, rate, per)
    record = store.save(
        "limit",
        name,
        binding,
        _figures(choice, counts, odd, per),
        {"noise_sigmas": counts.sigmas, "counted": counts.found.sum(1), "amount": counts.amount},
        LimitSettings.of(regions, choice, per, flat_field is not None).model_dump(mode="json"),
        in_use=recipe is None,
    )
    kept = "is in use" if recipe is None else f"is kept: [recipe.{recipe}.limit] {name} = {record.number} uses it"
    if plot is not None:
        draw_curve(plot, counts, choice, per)
    if as_json:
        typer.echo(json.dumps(_as_json(record, sweep, counts, odd)))
        return
    Console(highlight=False).print(curve_table(counts, choice, per, sweep.recall()))
    others = _other_areas(sweep, pitch_mm, ~odd, choice, per)
    typer.echo("\n".join([*_left_out(sweep, odd), sum_up(choice, counts, per), *others, f"{record.title} {kept}"]))


def _asked(per_metre: float | None, per_frame: float | None, camera: CameraConfig) -> tuple[Per, float]:
    """Return the unit and the rate. Raises `CalibrationError` unless there is just one, and metres can be told."""
    if per_metre is not None and per_frame is None:
        if not camera.pitch_mm:
            raise CalibrationError(f"camera {camera.name}: pitch_mm is missing, so metres can't be told: --per-frame")
        return "metre", per_metre
    if per_frame is not None and per_metre is None:
        return "frame", per_frame
    raise CalibrationError("say how many false regions may be: --per-metre or --per-frame")


def _count(
    make: Callable[..., Sweep],
    frames: Iterator[Shown],
    known: Path | None,
    bind: Callable[[Image], Binding],
    rate: float,
    pitch_mm: float | None,
) -> tuple[Sweep, Binding]:
    """Count in the first frames at limits far apart, then in all at those that matter; return also what binds them."""
    first = [replace(shown, image=shown.image.copy()) for shown in islice(frames, _FIRST)]
    if not first:
        raise CalibrationError("the camera delivered no frame: see what station camera show says")
    binding = bind(first[0].image)
    rough = make()
    _feed(rough, first, known)
    sweep = make(rough.closer(rate if pitch_mm is None else rate * binding.height_px * abs(pitch_mm) / 1e3))
    _feed(sweep, chain(first, frames), known)
    return sweep, binding


def _feed(sweep: Sweep, frames: Iterable[Shown], known: Path | None) -> None:
    for shown in frames:
        if shown.begins:
            sweep.begin()
        sweep.take(shown.name, shown.image, None if known is None else known_defects(known, shown))


def _odd(sweep: Sweep) -> NDArray[np.bool_]:
    """Tell which frames look defective, bool [n]. Raises `CalibrationError` when they are too many."""
    odd = suspects(sweep.strengths())
    if odd.sum() > max(_MOST_ODD * len(odd), 1):
        first = ", ".join(_names(sweep, odd)[:5])
        raise CalibrationError(
            f"{odd.sum()} of {len(odd)} frames look defective, first {first}: take them out, or count them too "
            "with --keep-all if they are sound"
        )
    return odd


def _names(sweep: Sweep, chosen: NDArray[np.bool_]) -> list[str]:
    return [name for name, wanted in zip(sweep.names, chosen.tolist(), strict=True) if wanted]


def _left_out(sweep: Sweep, odd: NDArray[np.bool_]) -> list[str]:
    """Return a line for the frames that look defective and one for those that can't be judged."""
    told = {"look defective": _names(sweep, odd), "can't be judged": sweep.invalid}
    return [f"left out, {why}: {', '.join(names)}" for why, names in told.items() if names]


def _other_areas(sweep: Sweep, pitch_mm: float | None, keep: NDArray[np.bool_], choice: Choice, per: Per) -> list[str]:
    """Return a line that says which limits other least areas would allow at the same rate."""
    allowed = []
    for area_px in sorted(sweep.areas_px):
        try:
            other = choose(sweep.counts(area_px, pitch_mm).where(keep), choice.rate, per)
        except CalibrationError:
            continue
        allowed.append(f"{area_px} px: {np.mean(other.sigmas):.2f}")
    return [f"by least area (--min-area): {', '.join(allowed)}"]


def _figures(choice: Choice, counts: Counts, odd: NDArray[np.bool_], per: Per) -> dict[str, float]:
    rates = {"rate": choice.rate, "low": choice.low, "high": choice.high}
    frames = {"frames": len(counts.amount), "frames_left_out": int(odd.sum())}
    return {f"{name}_per_{per}": rate for name, rate in rates.items()} | {"clustering": choice.clustering} | frames


def _as_json(record: Record, sweep: Sweep, counts: Counts, odd: NDArray[np.bool_]) -> dict[str, Any]:
    curve = np.column_stack([counts.sigmas, counts.found.sum((1, 2)), counts.rates()])
    names = ("noise_sigmas", "counted", "rate", "low", "high")
    return record.model_dump(mode="json") | {
        "curve": [dict(zip(names, row, strict=True)) for row in curve.tolist()],
        "looks_defective": _names(sweep, odd),
        "not_judged": sweep.invalid,
    }
