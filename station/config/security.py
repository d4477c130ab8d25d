"""The table `[security]`. Pure."""

from station.config.table import ConfigPath, Table

__all__ = ["SecurityConfig"]


class SecurityConfig(Table):
    """Who may listen, ask and command from other computers."""

    folder: ConfigPath | None = None
    """Where `station keys` keeps the keys of station and clients; needed for sockets beyond this computer."""
