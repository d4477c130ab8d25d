"""The journal: every message on disk, and the socket that gives it again."""
