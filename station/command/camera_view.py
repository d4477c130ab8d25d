"""How cameras, their pictures and a recording's progress are shown in a terminal. Pure."""

import json
from collections.abc import Sequence

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from station.camera import Camera
from station.camera.base import Found
from station.command.camera_feed import Tally
from station.frame import Exposure, Image
from station.picture_quality import Quality

__all__ = ["FocusView", "camera_tables", "describe", "draw_found", "draw_shown", "focus_line", "levels", "quality_json"]

_MAX_SATURATED = 0.001
_MAX_BLACK = 0.01
_DARK_MEAN = 32
_ROWS = 6
_EIGHTHS = " ▁▂▃▄▅▆▇█"
_BEST_AT = 0.8  # of the bar's width


def draw_found(found: Sequence[Found]) -> RenderableType:
    """Return the devices as a table."""
    table = Table(box=None, pad_edge=False)
    for name in ("driver", "vendor", "model", "serial", "user name", "address"):
        table.add_column(name, overflow="fold")
    for one in found:
        cells = (one.driver, one.vendor, one.model, one.serial, one.user_name, one.address)
        table.add_row(*(Text(_plain(cell)) for cell in cells))
    return table


def camera_tables(found: Sequence[Found]) -> list[str]:
    """Return for each device the `[[camera]]` table that opens it, its name unique among them."""
    names: list[str] = []
    tables = []
    for one in found:
        name = _camera_name(one.user_name or one.model or one.driver, names)
        names.append(name)
        keys: dict[str, str | int] = {"name": name, "type": one.driver, **one.table}
        lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in keys.items()]
        note = [f"# {_plain(one.note)}"] if one.note else []
        tables.append("\n".join(["[[camera]]", *note, *lines]))
    return tables


def _camera_name(wanted: str, taken: list[str]) -> str:
    """Return `wanted` as the name of a camera: small letters, digits and dashes, with a number where it is taken."""
    words = "".join(letter if letter.isascii() and letter.isalnum() else " " for letter in wanted.lower()).split()
    stem = "-".join(words)[:28].strip("-") or "camera"
    numbered = (f"{stem}-{number}" for number in range(2, len(taken) + 3))
    return stem if stem not in taken else next(name for name in numbered if name not in taken)


def _plain(text: str) -> str:
    """Return what a device says of itself without control characters."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _exposure_note(quality: Quality) -> str:
    """Return what is wrong with the exposure, and what mends it; `good` where nothing is."""
    if quality.saturated > _MAX_SATURATED:
        return "bright parts are lost: less light, exposure or gain"
    if quality.mean < _DARK_MEAN:
        return "dark: more light, exposure or gain"
    if quality.black > _MAX_BLACK:
        return "dark parts are lost: more black level or light"
    return "good"


def quality_json(quality: Quality) -> dict[str, float]:
    """Return the measures, without the histogram, rounded for JSON."""
    names = ("sharpness", "across", "along", "mean", "saturated", "black")
    return {name: round(getattr(quality, name), 5) for name in names}


def draw_shown(camera: Camera, tally: Tally, last: tuple[Exposure, Quality] | None, width: int) -> RenderableType:
    """Return what `station camera show` says, `width` columns wide."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column()
    table.add_column(overflow="fold")
    table.add_row("identity", Text(_plain(camera.identity) or "–"))
    table.add_row("features", ", ".join(sorted(camera.features)) or "–")
    table.add_row("counters", ", ".join(f"{name} {count}" for name, count in camera.counters.items()) or "–")
    table.add_row("measured", f"{tally.pictures} pictures, {tally}")
    if last is None:
        return table
    exposure, quality = last
    table.add_row("picture", describe(exposure))
    table.add_row("sharpness", _sharpness(quality))
    table.add_row("exposure", f"{levels(quality)}: {_exposure_note(quality)}")
    return Group(table, _draw_histogram(quality, width))


def describe(exposure: Exposure) -> str:
    """Return what a picture is: its size, its type, and what the camera said of it."""
    if exposure.image is None:
        return f"no picture: {exposure.fault}"
    height, width = exposure.image.shape
    has = {"frame": exposure.frame_id, "encoder": exposure.encoder, "line status": exposure.line_status}
    cut = exposure.valid_rows is not None and exposure.valid_rows < height
    rows = f", only {exposure.valid_rows} rows valid" if cut else ""
    told = "".join(f", {name} {value}" for name, value in has.items() if value is not None)
    return f"{width}×{height} {exposure.image.dtype}{rows}{told}"


def _sharpness(quality: Quality) -> str:
    return f"{quality.sharpness:.2f} % (across {quality.across:.2f}, along {quality.along:.2f})"


def levels(quality: Quality) -> str:
    """Return the use of the grey levels in words."""
    return f"mean {quality.mean:.0f} of 255, saturated {quality.saturated:.2%}, black {quality.black:.2%}"


def _draw_histogram(quality: Quality, width: int) -> Text:
    """Draw the numbers of pixels over the grey level, as square roots so that few are seen too."""
    columns = 64 if width >= 64 else 32
    heights = np.sqrt(quality.histogram.reshape(columns, -1).sum(axis=1))
    eighths = np.ceil(heights / max(heights.max(), 1) * _ROWS * 8).astype(int)
    text = Text()
    for row in reversed(range(_ROWS)):
        for column, height in enumerate(eighths):
            lost = column == columns - 1 and quality.saturated > _MAX_SATURATED
            text.append(_EIGHTHS[min(max(int(height) - 8 * row, 0), 8)], style="red" if lost else "cyan")
        text.append("\n")
    marks = "".join(f"{level:<{columns // 4}}" for level in (0, 64, 128, 192))
    return text.append(f"{marks[:-3]}255", style="dim")


def focus_line(exposure: Exposure, tally: Tally, quality: Quality | None, best: float) -> str:
    """Return one picture of `station camera focus` in one line."""
    if quality is None:
        return describe(exposure)
    number = tally.pictures if exposure.frame_id is None else exposure.frame_id
    return f"{number}  sharpness {_sharpness(quality)}, best {best:.2f}  {levels(quality)}"


class FocusView:
    """What `station camera focus` shows: the last picture's measures, and the best sharpness so far."""

    def __init__(self, camera: str) -> None:
        self.best = 0.0
        self._camera = camera
        self._last: tuple[Image, Quality] | None = None

    def take(self, image: Image, quality: Quality) -> None:
        """Take the measures of the next picture."""
        self._last = image, quality
        self.best = max(self.best, quality.sharpness)

    def draw(self, tally: Tally, width: int) -> RenderableType:
        """Return the view, `width` columns wide."""
        if self._last is None:
            return Text(f"camera {self._camera}: no picture yet", style="yellow")
        image, quality = self._last
        note = _exposure_note(quality)
        height_px, width_px = image.shape
        return Group(
            Text(f"camera {self._camera}  {width_px}×{height_px} {image.dtype}  {tally}"),
            Text(f"\nsharpness {_sharpness(quality)}, best so far {self.best:.2f}", style="bold"),
            self._bar(quality.sharpness, min(width, 100)),
            Text(f"\n{levels(quality)}"),
            Text(f"exposure: {note}", style="green" if note == "good" else "yellow"),
            _draw_histogram(quality, width),
        )

    def _bar(self, sharpness: float, width: int) -> Text:
        """Draw a bar whose mark is the best so far, so that the way there is seen from afar."""
        mark = round(_BEST_AT * width)
        part = sharpness / self.best if self.best else 0.0
        length = round(mark * part)
        style = "green" if part > 0.95 else "yellow" if part > 0.7 else "red"
        return Text.assemble(("█" * length, style), "░" * (mark - length), ("▏best", "bold"))
