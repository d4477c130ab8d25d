"""`station train`: from pictures to a measured model file. Each command loads what it needs, torch only some."""

from training.command.app import app

__all__ = ["app"]
