"""The web console: a process of its own, which shows the line and teaches it, and that the station does not need."""
