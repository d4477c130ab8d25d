"""Every error that Shadowline raises on purpose. Pure.

    StationError            what the command prints as one line, exit code 2
    ├── ConfigError         config.toml or the environment says something that can't be done
    │   └── RestartNeeded   it can, but not while the line runs: from the next start on
    ├── CameraError         a camera can't be opened or set as asked
    │   └── CameraLost      a camera that worked is gone: rebuilt from scratch, never an exit
    ├── EngineError         a model can't be loaded or run
    │   └── EngineMismatch  it loads, but is not what the station or its metadata says
    ├── JournalError        what is kept of the messages can't be read or written
    ├── CalibrationError    a calibration is damaged or of another camera, size or setting
    ├── PictureError        a picture that was handed in can't be taken
    │   ├── JudgeBusy       not now: as many wait as may
    │   └── JudgeGone       the process that judges it died or hung over it
    ├── PeerLost            the PLC, broker or client of a gateway is away: tried again, never an exit
    ├── KeysError           keys are missing, damaged, of somebody else or open to others
    └── MissingExtra        an optional package is not installed; carries the pip line

A message says what is wrong, where, and what to do.
"""

__all__ = [
    "CalibrationError",
    "CameraError",
    "CameraLost",
    "ConfigError",
    "EngineError",
    "EngineMismatch",
    "JournalError",
    "JudgeBusy",
    "JudgeGone",
    "KeysError",
    "MissingExtra",
    "PeerLost",
    "PictureError",
    "RestartNeeded",
    "StationError",
]


class StationError(Exception):
    """Root of the tree."""


class ConfigError(StationError):
    """The configuration can't be used as written."""


class RestartNeeded(ConfigError):
    """The configuration is right, and what it changes can't change while the line runs."""


class CameraError(StationError):
    """A camera can't be opened or set as asked."""


class CameraLost(CameraError):
    """A camera that worked is gone."""


class EngineError(StationError):
    """A model can't be loaded or run."""


class EngineMismatch(EngineError):
    """A model loads but is not what its metadata or the station says."""


class JournalError(StationError):
    """The journal can't be read or written."""


class CalibrationError(StationError):
    """A calibration is damaged or belongs to another camera, size or setting."""


class PictureError(StationError):
    """A picture that somebody handed in is none, is too large, or can't be judged."""


class JudgeBusy(PictureError):
    """As many pictures wait to be judged as may."""


class JudgeGone(PictureError):
    """The judging process died or hung over a picture."""


class PeerLost(StationError):
    """The other side of a gateway does not answer, or does not answer as agreed."""


class KeysError(StationError):
    """Keys can't be used as they are, or nobody is known by them."""


class MissingExtra(StationError):
    """An optional package is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed: pip install 'shadowline[{extra}]'")
