"""What the review and the trainings of a console stand on, for as long as it runs."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from engines.model import UNKNOWN
from shadowline.errors import StationError
from station.archive.export import NOT_A_DEFECT
from station.config import Config
from station.config_file import load
from station.console.teach.cutting import cut_out
from station.console.teach.decisions import Decided, Decisions, Did
from station.console.teach.item import Box
from station.console.teach.queue import Queue
from station.console.teach.sets import Sets
from station.console.teach.trainings import Trainings
from station.console.tryout.inbox import Inbox
from station.console.web import Console
from station.engine import model_file

__all__ = ["Teach", "open_teach"]


_MOST_WAITING = 300


@dataclass(frozen=True, slots=True)
class Teach:
    """The parts of this page; `app.state.teach`."""

    console: Console
    decisions: Decisions
    queue: Queue
    sets: Sets
    trainings: Trainings

    def decide(self, number: str, item_id: str, person: str, did: Did, label: str, box: Box | None) -> Decided:
        """Keep a decision with the pixels that it is about; one that is known already changes nothing.

        Raises `StationError` where its picture is gone.
        """
        if known := self.decisions.find(number):
            return known
        item = self.queue.find(item_id)
        cut = None
        if did in ("label", "not_a_defect"):
            sent = self.queue.picture(item) if item.reason == "sent" else None
            place = self.queue.place(item) if item.place else None
            cut = cut_out(item, place, sent, box)
        return self.decisions.add(number, item.id, person, did, label, box, item.source, cut)

    def waiting_crops(self) -> dict[str, tuple[str, Path]]:
        """Return label and crop of the first regions that wait, for a new model to be asked about."""
        regions = [item for item in self.queue.waiting() if item.crop is not None][:_MOST_WAITING]
        return {item.id: (item.source.label, self.queue.place(item) / item.crop.file) for item in regions if item.crop}

    def labels(self) -> list[str]:
        """Return the classes to choose from: the live model's, then those that people made."""
        beat = self.console.feed.state().heartbeat
        known = dict.fromkeys(beat.engine.labels if beat else ())
        known |= dict.fromkeys(self.decisions.counts())
        return [label for label in known if label not in (UNKNOWN, NOT_A_DEFECT)]

    def live_model(self) -> tuple[str, Path | None]:
        """Return what the live model is called, and its file where it is known here."""
        beat = self.console.feed.state().heartbeat
        if beat is None or not beat.engine.sha256:
            return "", None
        files = [*_models_of(self.console.config), *self.trainings.models()]
        wanted = beat.engine.sha256[:12]
        there = (file for file in files if file.is_file())
        found = (file for file in there if _sha256(file, file.stat().st_mtime_ns).startswith(wanted))
        return beat.origin.model, next(found, None)

    def kept_models(self) -> list[Path]:
        """Return the model files that the configuration names by now. Raises `ConfigError` where it is none."""
        return _models_of(load(self.console.config_file))

    def keeping(self) -> dict[str, str]:
        """Return what the configuration must say so that a restart of the station loads a live model of a training.

        It is a key, by its place as JSON, and its value; nothing where it says so already. Raises `ConfigError` where
        the configuration is none.
        """
        live = self.live_model()[1]
        if live not in self.trainings.models() or live in self.kept_models():
            return {}
        beat, recipes = self.console.feed.state().heartbeat, load(self.console.config_file).recipe
        name = beat.origin.recipe if beat else ""
        own = name in recipes and recipes[name].model is not None
        place = ("recipe", name, "model") if own else ("engine", "model")
        return {json.dumps(place, separators=(",", ":")): str(live)}


@contextmanager
def open_teach(console: Console) -> Iterator[Teach]:
    """Yield the parts; a training that was cut off with the last console goes on."""
    config = console.config
    folder = console.folder / "teach"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        Inbox(console.database)  # its table is read here
        decisions = Decisions(console.database)
        trainings = Trainings(folder / "trainings")
        queue = Queue(
            config.archive.folder, config.console.teach, console.database, decisions.is_finished, trainings.otherwise
        )
        trainings.resume()
        yield Teach(console, decisions, queue, Sets(folder / "sets"), trainings)
    except OSError as fault:
        raise StationError(f"{folder}: can't be used: {fault.strerror}") from None


def _models_of(config: Config) -> list[Path]:
    """Return the model files that a configuration names: that of its plain tables, and those of recipes."""
    named = [model_file(config.engine), *(recipe.model for recipe in config.recipe.values())]
    return [file for file in named if file is not None]


@lru_cache(maxsize=256)
def _sha256(file: Path, changed_ns: int) -> str:
    """Return the hash of a model file; `changed_ns` is there so that another one is read again."""
    return hashlib.sha256(file.read_bytes()).hexdigest()
