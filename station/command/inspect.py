"""`station inspect`: single pictures and folders through the same finder, crops, network and rules as the line."""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import typer
from numpy.typing import NDArray

from shadowline.errors import ConfigError
from station.camera.pictures import list_pictures, read_picture
from station.command.options import AsJson
from station.config import Config, RegionsConfig, SimulatedConfig
from station.config_file import load
from station.engine import open_engine
from station.frame import Image, InvalidReason
from station.picture_line import PictureLine
from station.regions import FrameEngines
from station.regions.base import SHADOW
from station.verdict import Defect, Verdict

__all__ = ["TEXTURE", "inspect"]

_COLOURS = {"accept": (80, 170, 60), "reject": (50, 50, 220), "unknown": (0, 190, 230)}
TEXTURE = RegionsConfig(
    background="frame",
    scale=2,
    cell_px=8,
    background_px=96,
    contrast=0.02,
    offset_levels=4,
    noise_sigmas=2.0,
    speck_px=4,
    merge_gap_px=0,
    min_area_px=128,
    min_length_px=12,
    max_part=0.75,
)
"""Settings `texture` of docs/regions.md: for single pictures of textured surfaces."""

_LEAST_SIDE_PX = 600
_MAX_PIXELS = 100e6


@dataclass(frozen=True, slots=True)
class _Result:
    """What was found in one picture; `probabilities` and `novelty` are those of the whole picture as one crop."""

    file: Path
    verdict: str
    reason: str
    defects: tuple[Defect, ...] = ()
    probabilities: dict[str, float] | None = None
    novelty: float | None = None
    detail: str = ""

    @property
    def best(self) -> tuple[str | None, float | None]:
        if not self.probabilities:
            return None, None
        label = max(self.probabilities, key=self.probabilities.__getitem__)
        return label, self.probabilities[label]

    def as_json(self) -> dict[str, Any]:
        label, confidence = self.best
        return {
            "file": str(self.file),
            "verdict": self.verdict,
            "reason": self.reason,
            "defects": [
                {
                    "label": defect.label,
                    "confidence": round(defect.confidence, 4),
                    "box_px": list(defect.box_px),
                    "area_px": defect.area_px,
                    "novelty": _rounded(defect.novelty),
                    "found_by": defect.found_by,
                    "score": round(defect.score, 4),
                }
                for defect in self.defects
            ],
            "label": label,
            "confidence": confidence,
            "probabilities": self.probabilities,
            "novelty": _rounded(self.novelty),
        }

    def as_line(self) -> str:
        label, confidence = self.best
        regions = ", ".join(
            f"{defect.label} {defect.confidence:.2f}{_in_words(defect.novelty)}{_who(defect)}"
            for defect in self.defects[:4]
        )
        more = f" and {len(self.defects) - 4} more" if len(self.defects) > 4 else ""
        whole = f"; the whole picture looks like {label} {confidence:.2f}{_in_words(self.novelty)}" if label else ""
        detail = f" ({self.detail})" if self.detail else ""
        return f"{self.file}: {self.verdict} {regions or self.reason}{more}".rstrip() + detail + whole


def _inspect(line: PictureLine, file: Path, image: Image | InvalidReason) -> _Result:
    """Return the result of one picture, or of the reason why there is none."""
    if isinstance(image, InvalidReason):
        return _Result(file, Verdict.INVALID, image)
    inspection, whole = line.inspect(image), line.ask_of_whole(image)
    probabilities = {
        label: round(value, 6)
        for label, value in zip(line.engine.card.labels, whole.probabilities[0].tolist(), strict=True)
    }
    novelty = None if whole.novelty is None else float(whole.novelty[0])
    return _Result(
        *(file, inspection.verdict, inspection.reason, inspection.defects),
        *(probabilities, novelty, inspection.detail),
    )


def inspect(
    paths: Annotated[list[Path], typer.Argument(help="Pictures, or folders of pictures.", metavar="PATH…")],
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="Inspect with the settings of this line's file.")
    ] = None,
    recipe: Annotated[
        str | None, typer.Option(help="By this recipe of it; without it, by the one that holds at the line's start.")
    ] = None,
    as_json: AsJson = False,
    annotate: Annotated[Path | None, typer.Option(help="Write the pictures with their regions drawn here.")] = None,
) -> None:
    """Inspect pictures: regions, labels and verdict of each, and what the whole picture looks like.

    Each picture is its own background. Without --config, regions are sought with settings for single pictures of
    textured surfaces (`texture` in docs/regions.md) and named by the shipped model; with it, as that line does. Exit
    code 1 when not one picture could be read.
    """
    read_any = False
    files = list(_find_files(paths))
    settings = _settings(config, recipe)
    with (
        FrameEngines(settings.swap.cache) as engines,
        closing(open_engine(settings.engine, settings.swap)) as opened,
    ):
        line = PictureLine(settings, opened.engine, engines)
        for file, shown in files:
            image = read_picture(file, _MAX_PIXELS)
            result = _inspect(line, file, image)
            typer.echo(json.dumps(result.as_json()) if as_json else result.as_line())
            if not isinstance(image, InvalidReason):
                read_any = True
                if annotate is not None:
                    _annotate(result, image, (annotate / shown).with_suffix(".png"))
    if not read_any:
        raise typer.Exit(1)


def _rounded(novelty: float | None) -> float | None:
    return None if novelty is None else round(novelty, 6)


def _in_words(novelty: float | None) -> str:
    return "" if novelty is None else f" (novelty {novelty:.4g})"


def _who(defect: Defect) -> str:
    """Return who found a region, where it was not the shadows alone."""
    return "" if defect.found_by == SHADOW else f" by {defect.found_by}"


def _settings(path: Path | None, recipe: str | None) -> Config:
    """Return what holds at `path` while `recipe` does, or the settings for pictures of which nothing is known."""
    if path is not None:
        whole = load(path)
        return whole.by_recipe(recipe or whole.first_recipe)
    if recipe is not None:
        raise ConfigError(f"--recipe {recipe}: recipes are a line's: name its file by --config")
    return Config(camera=(SimulatedConfig(name="file", type="simulated"),), regions=TEXTURE)


def _find_files(paths: list[Path]) -> Iterator[tuple[Path, Path]]:
    """Yield each picture with the name that its annotated copy gets. Raises `ConfigError` where there is none."""
    for path in paths:
        if path.is_dir():
            if not (found := list_pictures(path)):
                raise ConfigError(f"{path}: no pictures in this folder")
            yield from ((file, file.relative_to(path)) for file in found)
        elif path.exists():
            yield path, Path(path.name)
        else:
            raise ConfigError(f"{path}: no such file or folder")


def _annotate(result: _Result, image: Image, path: Path) -> None:
    """Write `image`, enlarged until it is comfortable to look at, with each region and its label."""
    grey = image if image.dtype == np.uint8 else (image >> 8).astype(np.uint8)
    scale = max(1, -(-_LEAST_SIDE_PX // max(grey.shape)))
    picture = cv2.cvtColor(
        cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC), cv2.COLOR_GRAY2BGR
    )
    for defect in reversed(result.defects):
        colour = _COLOURS.get(defect.label, _COLOURS["reject"])
        x, y, w, h = (scale * value for value in defect.box_px)
        cv2.rectangle(picture, (x, y), (x + w, y + h), colour, 2)
        _write(
            picture, f"{defect.label} {defect.confidence:.2f}{_who(defect)}", (x, y if y > 20 else y + h + 16), colour
        )
    _write(picture, result.verdict, (0, picture.shape[0]), _COLOURS.get(result.verdict, _COLOURS["unknown"]))
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imencode(".png", picture)[1].tofile(path)


def _write(picture: NDArray[Any], text: str, corner: tuple[int, int], colour: tuple[int, int, int]) -> None:
    """Write `text` in white on `colour`, its lower left at `corner` and inside the picture."""
    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.45, 1)
    x, y = max(0, min(corner[0], picture.shape[1] - width - 4)), max(height + 6, corner[1])
    cv2.rectangle(picture, (x, y - height - 6), (x + width + 4, y), colour, -1)
    cv2.putText(picture, text, (x + 2, y - 4), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 255), 1, cv2.LINE_AA)
