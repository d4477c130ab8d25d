"""Try a picture: judged as the line would, by a process of its own that may die."""
