"""Evidence: pictures of what was found, with their events, in a folder that keeps its limits by itself."""

from station.archive.archive import Archive, ArchiveFigures
from station.archive.selection import refuse_strangers

__all__ = ["Archive", "ArchiveFigures", "refuse_strangers"]
