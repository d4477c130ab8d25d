"""The table `[archive]`. Pure."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from station.config.table import ConfigPath, Table

__all__ = ["ArchiveConfig"]


class ArchiveConfig(Table):
    """Pictures kept as evidence, and how much of the disk they may take. All regions of frames that reject are kept."""

    folder: ConfigPath | None = None
    """Where crops and frames are kept; without it none are."""
    frames: Literal["never", "reject", "all"] = "reject"
    """Whole frames that are kept: none, those that do not pass (reject and invalid), or every one."""
    labels: tuple[str, ...] = ("unknown",)
    """Regions of these labels are kept also where the frame passes."""
    audit_share: Annotated[float, Field(ge=0, le=1)] = 0.01
    """Share of all other regions of passing frames that is kept, chosen by chance."""
    max_mb: Annotated[int, Field(ge=1, le=100_000_000)] = 10_240
    """Megabytes that the archive may take; beyond it the oldest of what takes most goes."""
    max_age_days: Annotated[float, Field(gt=0, le=36_500)] = 90.0
    """Days after which evidence goes."""
    frames_free_mb: Annotated[int, Field(ge=0, le=100_000_000)] = 5120
    """With less room on the disk no whole frames are kept."""
    crops_free_mb: Annotated[int, Field(ge=0, le=100_000_000)] = 2048
    """With less room on the disk nothing is kept: what is below stays for the journal."""
    queue_frames: Annotated[int, Field(ge=1, le=256)] = 8
    """Frames that may wait to be written; beyond it evidence is dropped and counted."""
    live_hz: Annotated[float, Field(ge=0, le=20)] = 4.0
    """Pictures of each camera that the console is shown a second, at most; 0 for none."""

    @model_validator(mode="after")
    def _frames_go_first(self) -> Self:
        if self.frames_free_mb < self.crops_free_mb:
            raise ValueError(
                f"frames_free_mb {self.frames_free_mb} is below crops_free_mb {self.crops_free_mb}: "
                "whole frames must be the first to be left out"
            )
        return self
