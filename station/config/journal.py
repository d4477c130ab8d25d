"""The table `[journal]`. Pure."""

from typing import Annotated

from pydantic import Field

from station.config.table import ConfigPath, Table

__all__ = ["JournalConfig"]


class JournalConfig(Table):
    """What is kept of all messages on this computer, and the socket that gives it again."""

    folder: ConfigPath | None = None
    """Where the journal is kept; without it nothing is kept, and numbers begin anew at each start."""
    max_mb: Annotated[int, Field(ge=1, le=1_000_000)] = 2048
    """Megabytes that messages may take; beyond it the oldest go."""
    max_age_days: Annotated[float, Field(gt=0, le=36_500)] = 90.0
    """Days after which messages go."""
    commit_ms: Annotated[int, Field(ge=1, le=10_000)] = 100
    """About how long a message waits for others before all are written together."""
    queue_mb: Annotated[int, Field(ge=1, le=65_536)] = 64
    """Megabytes of messages kept in memory while the disk takes none; beyond it the newest are lost, which is told."""
    endpoint: Annotated[str, Field(pattern=r"^(tcp|ipc)://.+$")] = "tcp://127.0.0.1:5561"
    """Where consumers ask for what they missed; beyond this computer only with keys."""
    plain_network: bool = False
    """Do without keys beyond this computer: anybody there can ask, and move consumers' marks."""
