"""`station camera record`: write what a camera delivers, for `type = "replay"` to play. Main thread."""

import time
from pathlib import Path
from typing import Annotated, TypeAlias

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from station.camera.base import CAN_WAIT
from station.command.camera_feed import CameraName, Feed, feed_of
from station.command.options import ConfigFile
from station.recorder import Recorder
from station.recording import PictureFormat, RecordingWriter

__all__ = ["Format", "record"]

Format: TypeAlias = Annotated[
    PictureFormat, typer.Option("--format", help="pgm is written as fast as the disk goes, png is smaller.")
]

_REDRAW_S = 0.1
_MIB = 1 << 20


def record(
    name: CameraName,
    out: Annotated[Path, typer.Option(help="Folder for the recording; it must not have one.")],
    seconds: Annotated[float | None, typer.Option(min=0, help="End after so long.")] = None,
    frames: Annotated[int | None, typer.Option(min=1, help="End after so many, dropped ones among them.")] = None,
    picture_format: Format = "pgm",
    queue_mib: Annotated[int, typer.Option(min=1, max=1 << 20, help="Memory for what waits for the disk.")] = 256,
    config: ConfigFile = Path("config.toml"),
) -> None:
    """Record a camera; type = "replay" plays it as it was.

    Pictures are written without loss; Ctrl-C ends. The camera never waits for the disk: a picture that finds no room
    is dropped, noted in the recording and counted. Exit code 1 when some were.
    """
    recorder = Recorder(RecordingWriter(out, picture_format), queue_mib * _MIB)
    with feed_of(config, name) as feed:
        began_s = time.monotonic()
        try:
            _take(feed, recorder, seconds, frames)
        finally:
            if recorder.writer.pictures:
                typer.echo(_sum_up(out, feed, recorder, time.monotonic() - began_s))
    if recorder.dropped:
        raise typer.Exit(1)


def _take(feed: Feed, recorder: Recorder, seconds: float | None, frames: int | None) -> None:
    can_wait, taken = CAN_WAIT in feed.camera.features, 0
    with _Progress(recorder) as progress, recorder:
        for exposure in feed.exposures(seconds):
            recorder.check()
            if exposure is not None:
                recorder.put(exposure, can_wait)
                taken += 1
            progress.show(feed)
            if taken == frames:
                return


def _sum_up(out: Path, feed: Feed, recorder: Recorder, passed_s: float) -> str:
    written_mb = recorder.writer.bytes / 1e6
    speed = f"{written_mb:.1f} MB in {passed_s:.1f} s, {written_mb / passed_s:.1f} MB/s"
    return f"{out}: {recorder.writer.pictures} pictures, {speed}; {recorder.dropped} dropped, {feed.tally}"


class _Progress:
    """Shows frames, speed and what was dropped: live on a terminal; elsewhere only the first drop, as a line."""

    def __init__(self, recorder: Recorder) -> None:
        console = Console(stderr=True)
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        self._bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._task = self._bar.add_task("starting")
        self._recorder = recorder
        self._began_s = self._shown_s = time.monotonic()
        self._told = False

    def __enter__(self) -> "_Progress":
        self._bar.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._bar.stop()

    def show(self, feed: Feed) -> None:
        """Show the state of now, if it was not just shown."""
        recorder, now_s = self._recorder, time.monotonic()
        if recorder.dropped and not self._told:
            self._told = True
            typer.echo("the disk is too slow: pictures are dropped", err=True)
        if now_s - self._shown_s >= _REDRAW_S:
            self._shown_s = now_s
            speed = f"{recorder.writer.bytes / 1e6 / (now_s - self._began_s):.1f} MB/s"
            lost = f"{recorder.dropped} dropped, {feed.tally.lost} lost"
            self._bar.update(self._task, description=f"{recorder.writer.pictures} pictures, {speed}, {lost}")
