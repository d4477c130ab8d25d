"""The floor under every package: the version and the one error tree. Imports nothing of ours."""

__version__ = "0.1.0"
