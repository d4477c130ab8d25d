"""The control socket between `ask` and a real swap thread on fake models, and everything that is no request."""

import contextlib
import os
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import zmq

from engines import FakeEngine
from shadowline.errors import ConfigError, StationError
from station.calibrated import open_calibration
from station.clock import HostClock, ManualClock
from station.config import Config, ControlConfig, LineConfig, LineSpeed
from station.control import Control
from station.control_protocol import (
    Coil,
    Job,
    ModelStatus,
    Part,
    Recipe,
    Recipes,
    Reload,
    Reloaded,
    Rollback,
    Status,
    Swap,
    ask,
    endpoint_of,
)
from station.frame import Piece
from station.inspector import Inspector
from station.model import Model
from station.models import Models
from station.pieces import Pieces
from station.positions import Positions
from station.recipe_book import Change, RecipeBook
from station.reload_desk import ReloadDesk
from station.security.gate import Gate
from station.swapper import Swapper
from station.trial import make_model
from station.worker import Worker
from tests.system.lines import make_config


def control_config(folder: Path, endpoint: str = "", name: str = "line", **tables: Any) -> Config:
    return make_config(
        folder,
        {"top": {}},
        station={"name": name},
        **{"engine": {"backend": "fake", "labels": ["dent"]}} | tables,
        swap={"cache": str(folder / "plans"), "shadow_s": 0.0},
        control={"endpoint": endpoint or f"ipc://{folder}/control"},
    )


class Rig:
    """The control and the swap thread of a station without cameras; the test is its inspect thread."""

    def __init__(self, config: Config, with_previous: bool = True) -> None:
        self.endpoint = config.control.endpoint
        live = self._model(config, "as configured")
        self.previous = self._model(config, "the one before") if with_previous else None
        self.models = Models(live, self.previous, 10)
        self.inspector = Inspector({}, live, 20.0, ManualClock(), self.previous)
        self.reports: list[tuple[str, str]] = []
        swapper = Swapper(config, config.engine, self.models, self._report, HostClock())
        self.positions = Positions(config, HostClock())
        self.pieces = Pieces(HostClock())
        self.changes: list[Change] = []
        plain = {camera.name: open_calibration(config, camera) for camera in config.camera}
        recipes = RecipeBook(config, self.models, swapper, self.changes.append, {}, plain, HostClock())
        gate = Gate(config.security)
        self.reloads = ReloadDesk()
        control = Control(config, self.models, swapper, recipes, self.positions, self.pieces, gate, self.reloads)
        self._workers = (
            Worker("gate", gate.run, gate.stop),
            Worker("swap", swapper.run, swapper.stop),
            Worker("control", control.run, control.stop),
        )
        self._running = ExitStack()

    def __enter__(self) -> "Rig":
        with ExitStack() as starting:
            for worker in self._workers:
                starting.enter_context(worker)
            self._running = starting.pop_all()
        return self

    def __exit__(self, *failure: object) -> None:
        self._running.close()
        assert [worker.failure for worker in self._workers] == [None, None, None]

    def exchange(self) -> None:
        """Be the frame boundary that the next model waits for."""
        while not self.models.exchange(self.inspector):
            self.models.wait(0.01)

    def finish(self) -> ModelStatus:
        """Return the status after the job under way."""
        while (status := ask(self.endpoint, Status())).stage != "idle":
            pass
        return status

    def _model(self, config: Config, why: str) -> Model:
        return make_model(FakeEngine(("dent",)).__enter__(), config, why)

    def _report(self, action: str, model: str, detail: str) -> None:
        self.reports.append((action, detail))


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with Rig(control_config(tmp_path)) as running:
        yield running


@pytest.fixture
def client(rig: Rig) -> Iterator[Callable[[int], zmq.Socket[bytes]]]:
    """Make connected sockets of any kind."""
    with zmq.Context(io_threads=1) as context, ExitStack() as closing:

        def connect(kind: int) -> zmq.Socket[bytes]:
            made = closing.enter_context(context.socket(kind))
            made.linger = 0
            made.connect(rig.endpoint)
            return made

        yield connect


def test_a_reload_is_the_main_threads_and_its_outcome_comes_back(rig: Rig) -> None:
    with ThreadPoolExecutor() as pool:
        asking = pool.submit(ask, rig.endpoint, Reload())
        while (asked := rig.reloads.take()) is None:
            pass
        asked.set_result(Reloaded("restart", "abc", "[publish] endpoint: a change of that needs a restart"))
        assert asking.result() == Reloaded("restart", "abc", "[publish] endpoint: a change of that needs a restart")


def plain_socket(rig: Rig) -> socket.socket:
    """Connect without ZeroMQ."""
    made = socket.socket(socket.AF_UNIX)
    made.connect(rig.endpoint.removeprefix("ipc://"))
    return made


def test_the_status_names_the_models_and_that_nothing_happens(rig: Rig) -> None:
    status = ask(rig.endpoint, Status())
    assert (status.live, status.previous) == (rig.models.live.title, rig.models.live.title)
    assert (status.engine, status.why, status.golden) == ("fake", "as configured", None)
    assert (status.job, status.stage, status.outcome, status.report) == (0, "idle", None, "")
    assert (status.shadowed, status.disagreed) == ({}, {})


def test_a_rollback_answers_at_once_with_its_job_and_is_then_done(rig: Rig) -> None:
    left = rig.models.live
    begun = ask(rig.endpoint, Rollback())
    assert (begun.job, begun.outcome) == (1, None)
    assert begun.stage != "idle"
    rig.exchange()
    done = rig.finish()
    assert (done.job, done.outcome, done.part) == (1, "kept", 0)
    assert "rolled back by hand" in done.report
    assert (rig.models.live, rig.models.previous) == (rig.previous, left)
    assert [action for action, _ in rig.reports] == ["swapped", "kept"]
    assert done.why == "the one before"


def test_only_one_job_at_a_time(rig: Rig) -> None:
    ask(rig.endpoint, Rollback())
    for request in (Rollback(), Swap("/a.onnx")):
        with pytest.raises(StationError, match=r"^another model is on its way in \(\w+\): wait for it$"):
            ask(rig.endpoint, request)
    assert ask(rig.endpoint, Status()).job == 1
    rig.exchange()
    rig.finish()
    assert ask(rig.endpoint, Rollback()).job == 2


def test_while_a_model_is_on_its_way_in_recipes_wait(tmp_path: Path) -> None:
    with Rig(control_config(tmp_path, recipe={"thick": {}})) as rig:
        ask(rig.endpoint, Rollback())
        with pytest.raises(StationError, match=r"^another model is on its way in \(\w+\): wait for it$"):
            ask(rig.endpoint, Recipe("thick"))
        assert ask(rig.endpoint, Recipes()).active == "default"
        rig.exchange()
        rig.finish()
        assert ask(rig.endpoint, Recipe("thick")).active == "thick"


def test_without_a_previous_model_there_is_no_way_back(tmp_path: Path) -> None:
    with Rig(control_config(tmp_path), with_previous=False) as rig:
        ask(rig.endpoint, Rollback())
        status = rig.finish()
        assert (status.previous, status.outcome) == (None, "refused")
        assert status.report == "there is no model to go back to"


def test_a_station_that_stops_while_a_model_waits_keeps_both(tmp_path: Path) -> None:
    with Rig(control_config(tmp_path)) as rig:
        ask(rig.endpoint, Rollback())
        while ask(rig.endpoint, Status()).stage != "switching":
            pass
    assert rig.reports[-1] == ("refused", "the station stops: the model was not exchanged")
    for model in (rig.models.live, rig.models.previous):
        assert model is not None
        assert len(model.engine.classify(model.room(1)[:1]).probabilities) == 1


@pytest.mark.parametrize("path", ["{folder}/none.onnx", "/a\0b.onnx", "/" + "a" * 5000, "{folder}"])
def test_a_model_file_that_can_not_be_read_is_refused_by_the_build(rig: Rig, tmp_path: Path, path: str) -> None:
    live = rig.models.live
    assert ask(rig.endpoint, Swap(path.format(folder=tmp_path))).stage != "idle"
    status = rig.finish()
    assert status.outcome == "refused"
    assert status.report
    assert "\n" not in status.report
    assert rig.models.live is live


REFUSED = {
    "empty": (b"", "not a request"),
    "no JSON": (b"swap it", "not a request"),
    "another shape": (b'["swap"]', "not a request"),
    "null": (b"null", "not a request"),
    "no `do`": (b"{}", "`do`"),
    "unknown `do`": (b'{"do":"reboot"}', "reboot"),
    "unknown field": (b'{"do":"status","please":1}', "unknown field `please`"),
    "missing field": (b'{"do":"swap"}', "`model`"),
    "wrong type": (b'{"do":"swap","model":5}', "`str`"),
    "unknown precision": (b'{"do":"swap","model":"/a","precision":"int4"}', "int4"),
    "relative path": (b'{"do":"swap","model":"a.onnx"}', "a.onnx: not an absolute path"),
    "empty path": (b'{"do":"swap","model":""}', "not an absolute path"),
    "not UTF-8": (b'{"do":"\xff"}', "not a request"),
    "path not UTF-8": (b'{"do":"swap","model":"/\xff"}', "not a request"),
    "half a character": (b'{"do":"swap","model":"\\ud800"}', "not a request"),
    "very deep": (b'{"x":' + b"[" * 8000 + b"]" * 8000 + b"}", "not a request"),
    "very long number": (b'{"do":"swap","model":' + b"1" * 16000 + b"}", "not a request"),
}


@pytest.mark.parametrize(("payload", "words"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_request_is_told_so(
    rig: Rig, client: Callable[[int], zmq.Socket[bytes]], payload: bytes, words: str
) -> None:
    asking = client(zmq.REQ)
    asking.send(payload)
    assert asking.poll(10_000)
    reply = msgspec.json.decode(asking.recv())
    assert reply["reply"] == "refused"
    assert words in reply["error"]
    assert "\n" not in reply["error"]
    assert ask(rig.endpoint, Status()).job == 0


def test_random_bytes_are_told_so(rig: Rig, client: Callable[[int], zmq.Socket[bytes]]) -> None:
    asking, numbers = client(zmq.REQ), np.random.default_rng(0)
    for size in numbers.integers(1, 16_000, 300).tolist():
        asking.send(numbers.bytes(size))
        assert asking.poll(10_000)
        assert b'"refused"' in asking.recv()
    assert ask(rig.endpoint, Status()).job == 0


def test_a_request_in_parts_is_answered_once(rig: Rig, client: Callable[[int], zmq.Socket[bytes]]) -> None:
    asking = client(zmq.REQ)
    for parts in ([b'{"do":', b'"status"}'], [b"{}"] * 1000):
        asking.send_multipart(parts)
        assert asking.poll(10_000)
        assert len(asking.recv_multipart()) == 1
    assert ask(rig.endpoint, Status()).stage == "idle"


def test_a_request_of_a_megabyte_is_cut_off(rig: Rig, client: Callable[[int], zmq.Socket[bytes]]) -> None:
    asking = client(zmq.REQ)
    with asking.get_monitor_socket(zmq.EVENT_DISCONNECTED) as lost:
        asking.send(b'{"do":"status"}' + b" " * 1_000_000)
        cut_off = lost.poll(10_000)
        asking.disable_monitor()
    assert cut_off
    assert not asking.poll(0)
    assert ask(rig.endpoint, Status()).stage == "idle"


def test_a_client_that_never_reads_holds_nobody_up(rig: Rig, client: Callable[[int], zmq.Socket[bytes]]) -> None:
    deaf = client(zmq.DEALER)
    deaf.rcvhwm = 1
    for _ in range(5000):
        with contextlib.suppress(zmq.Again):
            deaf.send_multipart([b"", b'{"do":"status"}'], zmq.DONTWAIT)
    assert ask(rig.endpoint, Status()).stage == "idle"


def test_messages_that_no_asking_socket_sends_hold_nobody_up(
    rig: Rig, client: Callable[[int], zmq.Socket[bytes]]
) -> None:
    odd = client(zmq.DEALER)
    for parts in ([b'{"do":"status"}'], [b"x"] * 50, [b""]):
        odd.send_multipart(parts)
    assert ask(rig.endpoint, Status()).stage == "idle"
    for _ in range(100):
        odd.send(b"the last words before the station ends")


def test_two_hundred_connections_and_bytes_that_are_not_zeromq(rig: Rig) -> None:
    with ExitStack() as closing:
        numbers = np.random.default_rng(107)  # with these a REP socket loses the next request
        for number in range(200):
            made = closing.enter_context(plain_socket(rig))
            if number % 2:
                made.send(numbers.bytes(100))
        assert ask(rig.endpoint, Status()).stage == "idle"
    assert ask(rig.endpoint, Status()).stage == "idle"


def test_two_hundred_clients_at_once_all_get_their_answer(rig: Rig, client: Callable[[int], zmq.Socket[bytes]]) -> None:
    asking = [client(zmq.REQ) for _ in range(200)]
    for one in asking:
        one.send(b'{"do":"status"}')
    for one in asking:
        assert one.poll(10_000)
        assert b'"status"' in one.recv()


def test_the_socket_is_this_users_alone_and_goes_with_the_station(tmp_path: Path) -> None:
    place = tmp_path / "made" / "for it" / "control"
    with Rig(control_config(tmp_path, f"ipc://{place}")):
        mode = place.stat().st_mode
        assert stat.S_ISSOCK(mode)
        assert stat.S_IMODE(mode) == 0o600
        assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700
    assert not place.exists()


def test_the_file_of_a_station_that_was_killed_is_taken_over(tmp_path: Path) -> None:
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / "control"))
    left.close()
    with Rig(control_config(tmp_path)) as rig:
        assert ask(rig.endpoint, Status()).stage == "idle"


def test_a_second_station_of_one_name_is_refused(rig: Rig, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\[control\] endpoint .*another station listens there"):
        Rig(control_config(tmp_path)).__enter__()
    assert ask(rig.endpoint, Status()).stage == "idle"


def test_a_file_in_the_sockets_place_is_kept(tmp_path: Path) -> None:
    (tmp_path / "control").write_text("evidence")
    with pytest.raises(ConfigError, match=r"\[control\] endpoint .*no socket is in its place"):
        Rig(control_config(tmp_path)).__enter__()
    assert (tmp_path / "control").read_text() == "evidence"


def test_a_folder_that_can_not_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "file" / "control", Path("/proc/shadowline/control")):
        with pytest.raises(ConfigError, match=rf"\[control\] endpoint ipc://{place}: \w") as fault:
            Rig(control_config(tmp_path, f"ipc://{place}")).__enter__()
        assert "\n" not in str(fault.value)


def test_a_folder_that_others_may_write_is_refused_unless_it_is_sticky(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    config = control_config(tmp_path, f"ipc://{shared}/control")
    with pytest.raises(ConfigError, match="others can put their own socket there"):
        Rig(config).__enter__()
    shared.chmod(0o1777)
    with Rig(config) as rig:
        assert ask(rig.endpoint, Status()).stage == "idle"


@pytest.mark.parametrize("path", ["a" * 100, "ü" * 50])
def test_a_path_longer_than_a_sockets_is_named(tmp_path: Path, path: str) -> None:
    config = control_config(tmp_path, f"ipc:///{path}")
    with pytest.raises(ConfigError, match=r"longer than a socket's path may be \(100\)"):
        Rig(config).__enter__()
    with pytest.raises(ConfigError, match="longer than"):
        endpoint_of(config)


def test_without_an_endpoint_the_users_runtime_folder_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = control_config(tmp_path, name="coil-3").model_copy(update={"control": ControlConfig()})
    for name in ("RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    assert endpoint_of(config).endswith(f"/shadowline-{os.getuid()}/shadowline-coil-3.control")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/7")
    assert endpoint_of(config) == "ipc:///run/user/7/shadowline-coil-3.control"
    monkeypatch.setenv("RUNTIME_DIRECTORY", "/run/shadowline")
    assert endpoint_of(config) == "ipc:///run/shadowline/shadowline-coil-3.control"


def test_where_nobody_listens_one_line_says_where_was_asked(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/nobody"
    with pytest.raises(StationError, match=rf"^no station answers at {endpoint}: does one run") as fault:
        ask(endpoint, Status(), timeout_s=0.05)
    assert "\n" not in str(fault.value)


def test_an_answer_that_no_answering_socket_sends_is_not_waited_for(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/other"
    with zmq.Context(io_threads=1) as context, context.socket(zmq.ROUTER) as other:
        other.linger = 0
        other.bind(endpoint)
        answering = threading.Thread(target=lambda: other.send_multipart([other.recv_multipart()[0], b"odd"]))
        answering.start()
        with pytest.raises(StationError, match=r"^no station answers at"):
            ask(endpoint, Status(), timeout_s=0.5)
        answering.join()


NO_ANSWERS = {
    "empty": b"",
    "no JSON": b"hello",
    "not UTF-8": b'{"reply":"refused","error":"\xff"}',
    "another shape": b"[]",
    "a reply with a field missing": b'{"reply":"status"}',
    "very deep": b'{"x":' + b"[" * 8000 + b"]" * 8000 + b"}",
}


@pytest.mark.parametrize("payload", NO_ANSWERS.values(), ids=NO_ANSWERS)
def test_an_answer_that_is_none_is_said_to_be_none(tmp_path: Path, payload: bytes) -> None:
    endpoint = f"ipc://{tmp_path}/other"
    with zmq.Context(io_threads=1) as context, context.socket(zmq.REP) as other:
        other.linger = 0
        other.bind(endpoint)
        answering = threading.Thread(target=lambda: (other.recv(), other.send(payload)))
        answering.start()
        with pytest.raises(StationError, match=r"what answers there is no station") as fault:
            ask(endpoint, Status())
        answering.join()
    assert "\n" not in str(fault.value)


def test_a_coil_begins_for_the_positions(tmp_path: Path) -> None:
    config = control_config(tmp_path).model_copy(
        update={"line": LineConfig(encoder=LineSpeed(type="speed", mm_per_s=1000.0))}
    )
    with Rig(config) as rig:
        locate = rig.positions.locate(config.camera[0])
        ask(rig.endpoint, Coil("A17"))
        position = locate(None, HostClock().tick_ns())
        assert position is not None
        assert position.coil == "A17"
        assert 0 <= position.mm < 20_000
        with pytest.raises(StationError, match="not a request"):
            ask(rig.endpoint, Coil(""))


def test_parts_and_jobs_hold_from_now_on(rig: Rig) -> None:
    before_ns = HostClock().tick_ns()
    ask(rig.endpoint, Part("A17"))
    ask(rig.endpoint, Job("4711"))
    assert rig.pieces.now == Piece("A17", "4711")
    assert rig.pieces.at(before_ns) == Piece()
    ask(rig.endpoint, Part(""))
    assert rig.pieces.now == Piece("", "4711")


@pytest.mark.parametrize("part", ["a\x00b", "a\nb", "\x7f", "\u200b", "\ue000"])
def test_an_id_that_can_not_be_printed_is_refused(rig: Rig, part: str) -> None:
    with pytest.raises(StationError, match="a part id has at most 64 printable characters"):
        ask(rig.endpoint, Part(part))
    with pytest.raises(StationError, match="a job id has at most 64 printable characters"):
        ask(rig.endpoint, Job(part))
    assert rig.pieces.now == Piece()


def test_an_id_that_is_too_long_is_no_request(rig: Rig) -> None:
    ask(rig.endpoint, Part("x" * 64))
    with pytest.raises(StationError, match=r"length <= 64 - at `\$.id`"):
        ask(rig.endpoint, Part("x" * 65))


def test_recipes_are_listed_and_selected_by_name_or_number(tmp_path: Path) -> None:
    recipes = {"thick": {"external_id": 7, "description": "over 5 mm"}, "thin": {}}
    with Rig(control_config(tmp_path, recipe=recipes)) as rig:
        listed = ask(rig.endpoint, Recipes())
        assert listed.active == "default"
        assert [(one.name, one.number, one.state) for one in listed.recipes] == [
            ("default", 0, "active"),
            ("thick", 7, "prepared"),
            ("thin", None, "prepared"),
        ]
        assert ask(rig.endpoint, Recipe(7)).active == "thick"
        assert ask(rig.endpoint, Recipe("thin")).active == "thin"
        assert ask(rig.endpoint, Recipe(0)).active == "default"
        assert [change.recipe for change in rig.changes] == ["thick", "thin", ""]
        for key in ("none", 8, 65_535):
            with pytest.raises(StationError, match=f"no recipe {key}: station recipe list"):
                ask(rig.endpoint, Recipe(key))
        for odd in ("", "x" * 33, -1, 65_536):
            with pytest.raises(StationError, match="not a request of this station"):
                ask(rig.endpoint, Recipe(odd))
