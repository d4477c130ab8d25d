"""Trainings as processes of their own: one at a time, followed by their files, gone on with, cancelled."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shadowline.errors import StationError
from station.console.teach.job import Job
from station.console.teach.trainings import Trainings

pytest.importorskip("torch")

_TRAIN = """
import json, sys, time
from pathlib import Path
words = sys.argv[1:]
place = Path(__file__).parent
with (place / "asked.txt").open("a") as asked:
    asked.write(" ".join(words) + "\\n")
if words[0] == "fit":
    run = Path(words[words.index("--run") + 1])
    (run / "report").mkdir(parents=True, exist_ok=True)
    (run / "recipe.json").write_text('{"epochs": 4}')
    with (run / "metrics.jsonl").open("a") as lines:
        lines.write('{"epoch": 0, "train_loss": 2.0, "val_loss": 1.5}\\n{"epoch": 1, "tr')
    while not (place / "go").exists():
        time.sleep(0.01)
    if (place / "go").read_text():
        print(place.joinpath("go").read_text())
        sys.exit(2)
    (run / "model.onnx").write_bytes(b"model")
    (run / "manifest.json").write_text("{}")
    (run / "report" / "index.html").write_text("<h1>report</h1>")
if words[0] == "predict":
    said = {"1.0": "dents", "2.0": "pits", "3.0": "unknown"}
    print(json.dumps([{"picture": word, "label": said[Path(word).stem]} for word in words if word.endswith(".png")]))
if words[0] == "compare":
    out = Path(words[words.index("--out") + 1])
    out.mkdir()
    (out / "comparison.json").write_text('{"entries": []}')
    (out / "pareto.png").write_bytes(b"png")
"""


class Bench:
    """A folder of trainings whose work is a script that goes on when it may."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.script = folder / "train.py"
        self.script.write_text(_TRAIN)
        self.set = folder / "set"
        (self.set / "dents").mkdir(parents=True)
        (self.set / "dents" / "coil_A--1.png").write_bytes(b"png")
        (self.set / "set.json").write_text("{}")
        self.trainings = Trainings(folder / "trainings")

    def job(self, number: str = "20261122-080000", live: str = "live.onnx", base: str = "") -> Job:
        train = (sys.executable, str(self.script))
        return Job(number, "20261122-070000", "eve", 1, "quick", "quick.toml", base, live, "live", 1, "^(.+)--", train)

    def go(self, words: str = "") -> None:
        part = self.folder / "part"
        part.write_text(words)
        part.rename(self.folder / "go")

    def asked(self) -> list[list[str]]:
        return [line.split() for line in (self.folder / "asked.txt").read_text().splitlines()]

    def group(self, number: str = "20261122-080000") -> int:
        return int((self.folder / "trainings" / number / "lock").read_text())


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    for one in made.trainings.all():
        if one.state == "running":
            made.trainings.cancel(one.job.id)


def wait(condition: Callable[[], bool]) -> None:
    until_s = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until_s
        time.sleep(0.01)


def test_a_training_is_followed_from_its_first_epoch_to_the_comparison(bench: Bench) -> None:
    bench.trainings.begin(bench.job(), bench.set)
    wait(lambda: bool(bench.trainings.find("20261122-080000").curve))
    now = bench.trainings.find("20261122-080000")
    assert (now.state, now.step, now.epochs) == ("running", "fitting", 4)
    assert now.curve == [{"epoch": 0, "train_loss": 2.0, "val_loss": 1.5}]
    assert (now.model, now.has_report, now.comparison) == ("", False, None)
    bench.go()
    wait(lambda: bench.trainings.all()[0].state == "done")
    (done,) = bench.trainings.all()
    assert done.model.endswith("20261122-080000/run/model.onnx")
    assert done.comparison == {"entries": []}
    assert bench.trainings.report("20261122-080000") == "<h1>report</h1>"
    assert bench.trainings.pareto("20261122-080000") == b"png"
    assert [words[0] for words in bench.asked()] == ["fit", "evaluate", "compare"]
    data = Path(bench.asked()[0][1])
    assert [path.name for path in data.glob("*/*")] == ["coil_A--1.png"]


def test_only_one_runs_at_a_time(bench: Bench) -> None:
    bench.trainings.begin(bench.job(), bench.set)
    with pytest.raises(StationError, match="20261122-080000 still runs: wait for it, or cancel it"):
        bench.trainings.begin(bench.job("20261122-080001"), bench.set)
    with pytest.raises(StationError, match="cancel it first"):
        bench.trainings.delete("20261122-080000")
    bench.go()


def test_it_outlives_the_console_and_another_one_follows_it(bench: Bench) -> None:
    bench.trainings.begin(bench.job(), bench.set)
    wait(lambda: (bench.folder / "asked.txt").exists())
    later = Trainings(bench.folder / "trainings")
    later.resume()
    assert later.all()[0].state == "running"
    bench.go()
    wait(lambda: later.all()[0].state == "done")
    assert [words[0] for words in bench.asked()] == ["fit", "evaluate", "compare"]


def test_what_was_killed_is_gone_on_with_by_the_next_console(bench: Bench) -> None:
    bench.trainings.begin(bench.job(), bench.set)
    wait(lambda: (bench.folder / "trainings/20261122-080000/run/metrics.jsonl").exists())
    os.killpg(bench.group(), signal.SIGKILL)
    wait(lambda: bench.trainings.all()[0].state == "interrupted")
    later = Trainings(bench.folder / "trainings")
    later.resume()
    wait(lambda: len(bench.asked()) == 2)
    assert "--resume" not in bench.asked()[0]
    assert "--resume" in bench.asked()[1]
    bench.go()
    wait(lambda: later.all()[0].state == "done")


def test_what_is_cancelled_ends_with_all_its_processes_and_is_not_gone_on_with(bench: Bench) -> None:
    bench.trainings.begin(bench.job(), bench.set)
    wait(lambda: (bench.folder / "asked.txt").exists())
    group = bench.group()
    bench.trainings.cancel("20261122-080000")
    assert bench.trainings.find("20261122-080000").state == "cancelled"
    wait(lambda: not _runs(group))
    bench.trainings.resume()
    assert bench.trainings.find("20261122-080000").state == "cancelled"
    with pytest.raises(StationError, match="has ended already"):
        bench.trainings.cancel("20261122-080000")
    bench.trainings.delete("20261122-080000")
    assert bench.trainings.all() == []


def _runs(group: int) -> bool:
    """Whether the process lives; one that ended may wait for whoever adopted it."""
    try:
        return Path(f"/proc/{group}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_what_fails_says_why_and_has_no_model(bench: Bench) -> None:
    bench.go("station: class dents has one usable picture")
    bench.trainings.begin(bench.job(), bench.set)
    wait(lambda: bench.trainings.all()[0].state == "failed")
    (one,) = bench.trainings.all()
    assert one.detail == "fitting: station: class dents has one usable picture"
    assert one.model == ""
    assert "one usable picture" in bench.trainings.log("20261122-080000")
    with pytest.raises(StationError, match="no report yet"):
        bench.trainings.report("20261122-080000")


def test_pictures_of_the_base_lie_beside_those_of_the_set(bench: Bench) -> None:
    base = bench.folder / "base"
    (base / "dents").mkdir(parents=True)
    for name in ("old.png", "coil_A--2.png"):
        (base / "dents" / name).write_bytes(b"png")
    bench.go()
    bench.trainings.begin(bench.job(live="", base=str(base)), bench.set)
    wait(lambda: bench.trainings.all()[0].state == "done")
    data = Path(bench.asked()[0][1])
    assert sorted(path.name for path in data.glob("dents/*")) == [
        "base_old.png",
        "coil_A--1.png",
        "coil_A--base_2.png",
    ]
    assert [words[0] for words in bench.asked()] == ["fit"]
    assert json.loads((data.parent / "job.json").read_text())["by"] == "eve"


def test_what_waits_for_review_is_asked_of_the_new_model_and_what_it_names_otherwise_is_told(bench: Bench) -> None:
    crop = bench.set / "dents" / "coil_A--1.png"
    waiting = {name: ("dents", crop) for name in ("1.0", "2.0", "3.0")} | {"4.0": ("dents", bench.folder / "gone.png")}
    bench.go()
    assert bench.trainings.otherwise() == frozenset()
    bench.trainings.begin(bench.job(live=""), bench.set, waiting)
    wait(lambda: bench.trainings.all()[0].state == "done")
    assert bench.trainings.otherwise() == {"2.0"}
    assert [words[0] for words in bench.asked()] == ["fit", "predict"]


def test_an_unknown_training_is_told(bench: Bench) -> None:
    with pytest.raises(StationError, match="no such training"):
        bench.trainings.find("../x")
