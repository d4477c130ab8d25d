"""The table `[archive]`. Pure."""

from station.config.table import ConfigPath, Table

__all__ = ["ArchiveConfig"]


class ArchiveConfig(Table):
    """Pictures kept as evidence, and how much of the disk they may take."""

    folder: ConfigPath | None = None
    """Where crops and frames are kept; without it none are."""
