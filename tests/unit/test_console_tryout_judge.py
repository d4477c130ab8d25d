"""The judging process: what it says of pictures, what it survives, and what it costs when it does not."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path

import cv2
import numpy as np
import pytest

from engines import shipped_model
from shadowline.errors import JudgeBusy, JudgeGone
from station.config import Config
from station.config_file import load
from station.console.tryout.judge import PictureJudge
from station.console.tryout.judging import Judging, on_cpu
from station.console.tryout.messages import Choice, Judged, Sorry, Task
from station.console.tryout.process import MEMORY_BYTES

pytestmark = pytest.mark.timeout(600)  # at the lowest priority a start takes long where others want the processor

START_S = 250.0
LIVE = Choice("default", "default")
FAKE = '[[camera]]\nname = "top"\ntype = "simulated"\n[engine]\nbackend = "fake"\nlabels = ["dent"]\n'


def picture() -> np.ndarray:
    image = np.full((200, 300), 120, np.uint8)
    image += np.random.default_rng(0).integers(0, 4, image.shape, np.uint8)
    image[80:110, 120:170] = 20
    return image


PNG = cv2.imencode(".png", picture())[1].tobytes()


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(FAKE)
    return path


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PictureJudge]:
    """One process for several tests: it has the lowest priority, so starting it takes long on a busy computer."""
    path = tmp_path_factory.mktemp("judge") / "config.toml"
    path.write_text(FAKE)
    with PictureJudge(path, waiting=0, start_s=START_S) as judge:
        yield judge


def test_a_picture_is_judged_as_the_line_would(config_file: Path) -> None:
    config_file.write_text(FAKE + "[verdict.rules.dent]\nmin_area_px = 100\nmin_count = 2\n")
    with Judging(load(config_file), LIVE, "") as judging:
        judged = judging.judge(picture())
    assert (judged.verdict, judged.found, judged.width_px, judged.height_px) == ("accept", 1, 300, 200)
    region = judged.regions[0]
    assert (region.label, region.confidence, region.probabilities) == ("dent", 1.0, {"dent": 1.0})
    x, y, width, height = region.box_px
    assert np.allclose((x, y, x + width, y + height), (120, 80, 170, 110), atol=2)
    assert (region.rule.min_area_px, region.rule.min_count, region.rule.counts) == (100, 2, True)
    assert cv2.imdecode(np.frombuffer(region.crop, np.uint8), cv2.IMREAD_UNCHANGED).shape == (64, 64)
    assert set(judged.timings_ms) == {"regions", "crops", "classify", "verdict", "total"}


def test_a_region_below_the_floor_says_of_what(config_file: Path) -> None:
    config_file.write_text(FAKE.partition("[engine]")[0] + "[verdict]\nconfidence_floor = 1.0\n")
    with Judging(load(config_file), LIVE, "") as judging:
        region = judging.judge(picture()).regions[0]
    assert (region.label, region.unknown_by, region.floor) == ("unknown", "floor", 1.0)
    assert region.probabilities is not None
    assert len(region.saliency) == 8


def test_sixteen_bits_are_judged_like_eight(config_file: Path) -> None:
    with Judging(load(config_file), LIVE, "top") as judging:
        judged = judging.judge(picture().astype(np.uint16) << 8)
    assert (judged.bits, judged.verdict, judged.found) == (16, "reject", 1)


def test_two_choices_one_of_which_cannot(judge: PictureJudge, tmp_path: Path) -> None:
    gone = Choice("gone", "default", str(tmp_path / "gone.onnx"))
    shipped = Choice("shipped", "default", str(shipped_model()))
    live, other, missing = judge.judge(Task((LIVE, shipped, gone), whole=True), PNG)
    assert isinstance(live, Judged)
    assert isinstance(missing, Sorry)
    assert (live.choice, other.choice, missing.choice) == ("default", "shipped", "gone")
    assert "can't read the model file" in missing.error
    kept = cv2.imdecode(np.frombuffer(live.png, np.uint8), cv2.IMREAD_UNCHANGED)
    assert (kept == picture()).all()


def test_what_cannot_be_decoded_is_told_and_survived(judge: PictureJudge) -> None:
    (sorry,) = judge.judge(Task((LIVE,)), b"\x89PNG\r\n\x1a\n" + bytes(50))
    assert isinstance(sorry, Sorry)
    assert "can't be decoded" in sorry.error
    pid = judge.pid
    assert isinstance(judge.judge(Task((LIVE,)), PNG)[0], Judged)
    assert judge.pid == pid


def test_its_priority_and_memory_are_bounded(judge: PictureJudge) -> None:
    judge.judge(Task((LIVE,)), PNG)
    assert judge.pid is not None
    limits = Path(f"/proc/{judge.pid}/limits").read_text()
    assert os.getpriority(os.PRIO_PROCESS, judge.pid) == 19
    assert str(MEMORY_BYTES) in next(line for line in limits.splitlines() if line.startswith("Max address space"))
    assert " 0 " in next(line for line in limits.splitlines() if line.startswith("Max file size"))


def test_more_than_may_wait_are_sent_away_at_once(judge: PictureJudge) -> None:
    judge.judge(Task((LIVE,)), PNG)
    pid = judge.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    with ThreadPoolExecutor() as pool:
        asked = [pool.submit(judge.judge, Task((LIVE,)), PNG) for _ in range(2)]
        (refused,), (waiting,) = wait(asked, return_when=FIRST_COMPLETED)
        os.kill(pid, signal.SIGCONT)
        assert isinstance(refused.exception(), JudgeBusy)
        assert waiting.exception() is None


def test_one_that_hangs_or_dies_is_started_again_by_the_configuration_of_the_moment(config_file: Path) -> None:
    with PictureJudge(config_file, timeout_s=3.0, start_s=START_S) as judge:
        (before,) = judge.judge(Task((LIVE,)), PNG)
        hung = judge.pid
        assert hung is not None
        os.kill(hung, signal.SIGSTOP)
        with pytest.raises(JudgeGone, match="within 3 s"):
            judge.judge(Task((LIVE,)), PNG)
        assert not Path(f"/proc/{hung}").exists()
        config_file.write_text(FAKE + '[verdict.rules.dent]\naction = "accept"\n')
        (after,) = judge.judge(Task((LIVE,)), PNG)
        assert isinstance(before, Judged)
        assert isinstance(after, Judged)
        assert (before.verdict, after.verdict) == ("reject", "accept")
        assert judge.pid is not None
        os.kill(judge.pid, signal.SIGKILL)
        os.waitid(os.P_PID, judge.pid, os.WEXITED | os.WNOWAIT)
        assert isinstance(judge.judge(Task((LIVE,)), PNG)[0], Judged)


def test_a_gpus_finder_is_run_on_the_cpu() -> None:
    config = Config(
        camera=({"name": "top", "type": "simulated"},),  # type: ignore[arg-type]
        regions={  # type: ignore[arg-type]
            "type": "combine",
            "finders": [{"type": "shadow"}, {"type": "heatmap", "model": "heat.onnx", "backend": "tensor_rt"}],
        },
    )
    shadow, heat = on_cpu(config.regions).finders  # type: ignore[union-attr]
    assert shadow == config.regions.finders[0]  # type: ignore[union-attr]
    assert (heat.backend, heat.provider) == ("onnx_runtime", "cpu")  # type: ignore[union-attr]
