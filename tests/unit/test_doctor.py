"""The doctor's checks: what they call a fault and a warning, on a computer laid out in a folder where needed."""

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from engines.gpu import Gpu
from shadowline.errors import EngineError
from station.config import (
    AutoEngineConfig,
    Config,
    EngineConfig,
    FakeEngineConfig,
    OnnxRuntimeConfig,
    RuleConfig,
    TensorRtConfig,
    VerdictConfig,
)
from station.config_file import parse
from station.doctor import Check, as_table, draw, draw_sum, examine
from station.doctor.base import guarded
from station.doctor.gpu import check_gpu, check_gpus, check_no_gpu, nvidia_cards
from station.doctor.packages import (
    Loaded,
    check_onnx_runtime,
    check_opencv,
    check_packages,
    check_tensor_rt,
    load_apart,
)
from station.doctor.settings import check_model, check_sockets, read_settings
from station.doctor.system import (
    check_clock,
    check_disk,
    check_governor,
    check_limits,
    check_links,
    check_open_files,
    check_page_lock,
    check_socket_buffers,
)

ROOT = Path(__file__).parents[2]
MIB = 1 << 20
UNLIMITED = -1

CUDA = OnnxRuntimeConfig(provider="cuda")
TENSOR_RT = TensorRtConfig(backend="tensor_rt")

GPU = Gpu(
    index=0,
    name="NVIDIA L4",
    capability="8.9",
    driver="580.159.03",
    pci_bus_id="00000000:01:00.0",
    memory_mib=24576,
    free_mib=20000,
    persistence=True,
    sm_clock_mhz=2040,
    max_sm_clock_mhz=2040,
    temperature_c=41,
    throttled="",
)


def lay(root: Path, **files: str) -> Path:
    """Write `files` under `root`; `__` in a name stands for a slash."""
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


def summary(checks: Iterator[Check]) -> dict[str, str]:
    return {check.name: check.level for check in checks}


# packages


@pytest.mark.parametrize(
    ("there", "level", "found"),
    [
        ({"numpy": "2.4.6", "pyzmq": "26.0.0"}, "ok", "numpy 2.4.6"),
        ({"numpy": "2.0", "pyzmq": "26.0.0"}, "ok", "numpy 2.0"),
        ({"numpy": "1.26.4", "pyzmq": "27.3"}, "fault", "numpy 1.26.4 is older than 2.0"),
        ({"numpy": "2.4.6"}, "fault", "pyzmq is missing"),
    ],
)
def test_missing_and_old_packages_are_faults(there: dict[str, str], level: str, found: str) -> None:
    check = check_packages({"numpy": "2.0", "pyzmq": "26"}, there)
    assert check.level == level
    assert found in check.found


def test_the_mending_line_names_what_to_install() -> None:
    check = check_packages({"numpy": "2.0", "pyzmq": "26"}, {"numpy": "1.9"})
    assert check.mend.endswith("-m pip install 'pyzmq>=26' 'numpy>=2.0'")


def test_two_opencv_wheels_are_a_fault() -> None:
    assert check_opencv({"opencv-python-headless": "4.12.0"}).level == "ok"
    both = check_opencv({"opencv-python-headless": "4.12.0", "opencv-python": "4.11.0"})
    assert both.level == "fault"
    assert "uninstall -y opencv-python opencv-python-headless" in both.mend


@pytest.mark.parametrize(
    ("there", "providers", "config", "level"),
    [
        ({"onnxruntime": "1.31.1"}, ["CPUExecutionProvider"], OnnxRuntimeConfig(), "ok"),
        ({"onnxruntime": "1.31.1"}, ["CPUExecutionProvider"], None, "ok"),
        ({"onnxruntime": "1.31.1"}, ["CPUExecutionProvider"], CUDA, "fault"),
        ({"onnxruntime-gpu": "1.31.1"}, ["CUDAExecutionProvider", "CPUExecutionProvider"], CUDA, "ok"),
        ({"onnxruntime": "1.31.1", "onnxruntime-gpu": "1.31.1"}, ["CPUExecutionProvider"], None, "fault"),
        ({}, ["CPUExecutionProvider"], None, "ok"),
    ],
)
def test_onnx_runtime(there: dict[str, str], providers: list[str], config: EngineConfig | None, level: str) -> None:
    check = check_onnx_runtime(there, providers, config)
    assert check.level == level
    assert bool(check.mend) == (level == "fault")


# modules of a GPU, loaded in a child process


def test_a_module_is_loaded_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay(
        tmp_path,
        **{
            "whole_one.py": "__version__ = '3.1'",
            "crashing.py": "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)",
            "broken.py": "raise ImportError('libcuda.so.1: cannot open shared object file')",
            "leaning.py": "import nowhere_to_be_found",
        },
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert load_apart("whole_one") == Loaded("whole_one", version="3.1")
    assert load_apart("crashing").fault == "takes its process down by SIGSEGV"
    assert load_apart("broken").fault == "ImportError: libcuda.so.1: cannot open shared object file"
    assert "nowhere_to_be_found" in load_apart("leaning").fault
    assert load_apart("nowhere_to_be_found.driver") == Loaded("nowhere_to_be_found.driver")


MISSING = [Loaded("tensorrt"), Loaded("tensorrt_rtx"), Loaded("pycuda.driver")]
RTX = [Loaded("tensorrt"), Loaded("tensorrt_rtx", version="1.7"), Loaded("pycuda.driver", fault="no libcuda")]


@pytest.mark.parametrize(
    ("modules", "gpu", "config", "tensorrt", "pycuda"),
    [
        (MISSING, False, OnnxRuntimeConfig(), "ok", "ok"),
        (MISSING, True, OnnxRuntimeConfig(), "warning", "warning"),
        (MISSING, True, TENSOR_RT, "fault", "fault"),
        (MISSING, False, AutoEngineConfig(backend="auto"), "ok", "ok"),
        (RTX, False, None, "ok", "ok"),
        (RTX, True, None, "ok", "warning"),
        (RTX, True, TENSOR_RT, "ok", "fault"),
    ],
)
def test_tensor_rt_is_amiss_only_where_it_would_be_used(
    modules: list[Loaded], gpu: bool, config: EngineConfig | None, tensorrt: str, pycuda: str
) -> None:
    checks = list(check_tensor_rt(modules, gpu, config))
    assert summary(iter(checks)) == {"tensorrt": tensorrt, "pycuda": pycuda}
    assert all(check.mend for check in checks if check.level != "ok")


# GPU


def test_a_gpu_at_its_best_is_one_line() -> None:
    (check,) = check_gpu(GPU)
    assert check.level == "ok"
    for fact in ("NVIDIA L4", "capability 8.9", "driver 580.159.03", "20000 of 24576 MiB free", "41 °C"):
        assert fact in check.found


@pytest.mark.parametrize(
    ("gpu", "name", "mend"),
    [
        (replace(GPU, index=1, persistence=False), "gpu 1 driver", "sudo nvidia-smi -i 1 -pm 1"),
        (replace(GPU, sm_clock_mhz=210), "gpu 0 clock", "sudo nvidia-smi -i 0 --lock-gpu-clocks=1428,2040"),
        (replace(GPU, sm_clock_mhz=210, throttled="heat"), "gpu 0 clock", "nvidia-smi -i 0 -q -d PERFORMANCE"),
        (replace(GPU, free_mib=500), "gpu 0 memory", "--query-compute-apps"),
    ],
)
def test_what_keeps_a_gpu_from_its_best_is_a_warning(gpu: Gpu, name: str, mend: str) -> None:
    _, check = check_gpu(gpu)
    assert (check.level, check.name) == ("warning", name)
    assert mend in check.mend


def test_what_a_gpu_does_not_say_is_no_warning() -> None:
    silent = replace(
        GPU,
        memory_mib=None,
        free_mib=None,
        persistence=None,
        sm_clock_mhz=None,
        max_sm_clock_mhz=None,
        temperature_c=None,
    )
    (check,) = check_gpu(silent)
    assert "None" not in check.found


def test_the_configured_gpu_must_be_there() -> None:
    levels = [check.level for check in check_gpus((GPU,), TensorRtConfig(backend="tensor_rt", gpu=1))]
    assert levels == ["ok", "fault"]
    assert [check.level for check in check_gpus((GPU,), TENSOR_RT)] == ["ok"]


REFUSAL = EngineError("no NVIDIA driver on this computer: install it")


@pytest.mark.parametrize(
    ("refusal", "cards", "config", "level", "mend"),
    [
        (REFUSAL, [], OnnxRuntimeConfig(), "ok", ""),
        (REFUSAL, [], AutoEngineConfig(backend="auto"), "ok", ""),
        (REFUSAL, ["0000:01:00.0"], None, "warning", "install it"),
        (REFUSAL, [], CUDA, "fault", "install it"),
        (REFUSAL, [], TENSOR_RT, "fault", "install it"),
        (None, [], TENSOR_RT, "fault", "nvidia-smi"),
    ],
)
def test_no_gpu_is_amiss_only_where_one_is_asked_for_or_lies_idle(
    refusal: EngineError | None, cards: list[str], config: EngineConfig | None, level: str, mend: str
) -> None:
    check = check_no_gpu(refusal, cards, config)
    assert (check.level, check.mend) == (level, mend)


def test_cards_are_found_without_a_driver(tmp_path: Path) -> None:
    devices = "sys__bus__pci__devices__"
    lay(
        tmp_path,
        **{
            f"{devices}0000:00:02.0__vendor": "0x8086",
            f"{devices}0000:00:02.0__class": "0x030000",
            f"{devices}0000:01:00.0__vendor": "0x10de",
            f"{devices}0000:01:00.0__class": "0x030200",
            f"{devices}0000:01:00.1__vendor": "0x10de",
            f"{devices}0000:01:00.1__class": "0x040300",
        },
    )
    assert nvidia_cards(tmp_path) == ["0000:01:00.0"]
    assert nvidia_cards(tmp_path / "none") == []


# the computer


@pytest.mark.parametrize(
    ("governors", "level", "found"),
    [
        ([], "ok", "not visible here"),
        (["performance", "performance"], "ok", "performance on 2 processors"),
        (["performance", "powersave"], "warning", "powersave on 1 of 2"),
    ],
)
def test_the_governor(tmp_path: Path, governors: list[str], level: str, found: str) -> None:
    for number, governor in enumerate(governors):
        lay(tmp_path, **{f"sys__devices__system__cpu__cpu{number}__cpufreq__scaling_governor": governor})
    check = check_governor(tmp_path)
    assert check.level == level
    assert found in check.found


def test_limits() -> None:
    assert [check_open_files(soft).level for soft in (1024, 4096, UNLIMITED)] == ["warning", "ok", "ok"]
    assert [check_page_lock(soft * MIB, gpu=True).level for soft in (8, 64)] == ["warning", "ok"]
    assert check_page_lock(UNLIMITED, gpu=True).level == "ok"
    assert check_page_lock(8 * MIB, gpu=False).level == "ok"
    assert set(summary(check_limits(gpu=False))) == {"open files", "locked memory"}


def test_socket_buffers(tmp_path: Path) -> None:
    small = check_socket_buffers(lay(tmp_path, proc__sys__net__core__rmem_max="212992"))
    assert small.level == "warning"
    assert "sudo sysctl -w net.core.rmem_max=33554432" in small.mend.splitlines()
    assert check_socket_buffers(lay(tmp_path, proc__sys__net__core__rmem_max="33554432")).level == "ok"


def test_links_are_the_wired_ones(tmp_path: Path) -> None:
    net = "sys__class__net__"
    lay(
        tmp_path,
        **{
            f"{net}eno1__mtu": "1500",
            f"{net}eno1__type": "1",
            f"{net}eno1__device__vendor": "0x8086",
            f"{net}eno2__mtu": "9000",
            f"{net}eno2__type": "1",
            f"{net}eno2__device__vendor": "0x8086",
            f"{net}wlan0__mtu": "1500",
            f"{net}wlan0__type": "1",
            f"{net}wlan0__device__vendor": "0x8086",
            f"{net}wlan0__phy80211__name": "phy0",
            f"{net}lo__mtu": "65536",
            f"{net}lo__type": "772",
            f"{net}bonding_masters": "",
        },
    )
    small, jumbo = check_links(tmp_path)
    assert (small.name, small.level, small.mend) == ("link eno1", "ok", "sudo ip link set dev eno1 mtu 9000")
    assert (jumbo.name, jumbo.found, jumbo.mend) == ("link eno2", "MTU 9000", "")


def test_the_disk_of_a_folder_that_is_not_made_yet(tmp_path: Path) -> None:
    check = check_disk("plan cache", tmp_path / "not" / "yet")
    assert "GiB free" in check.found


def test_a_full_disk_is_a_fault() -> None:
    check = check_disk("disk", Path("/proc"))  # a file system of no size
    assert check.level == "fault"
    assert "du -xh --max-depth=2 /proc" in check.mend


def test_the_clock(tmp_path: Path) -> None:
    (check,) = check_clock(lay(tmp_path, run__systemd__timesync__synchronized=""))
    assert check.level == "ok"


def test_a_clock_that_can_not_be_known_is_no_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert list(check_clock(tmp_path)) == []


@pytest.mark.parametrize(("said", "level"), [("yes", "ok"), ("no", "warning")])
def test_systemd_knows_the_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, level: str) -> None:
    lay(tmp_path, timedatectl=f"#!/bin/sh\necho {said}")
    (tmp_path / "timedatectl").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    (check,) = check_clock(tmp_path)
    assert check.level == level


# the configuration


SIMULATED = {"name": "top", "type": "simulated"}


def config(**tables: object) -> Config:
    return parse({"camera": [SIMULATED], **tables}, Path("config.toml"))


def test_a_configuration_that_can_not_be_read_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[engine]\ntreads = 2\n[[camera]]\nname = 'a'\ntype = 'simulated'\n")
    settings, check = read_settings(tmp_path / "config.toml")
    assert settings is None
    assert check.level == "fault"
    assert "did you mean threads" in check.found


def test_the_model_is_run_and_the_rules_held_against_it(tmp_path: Path) -> None:
    (check,) = check_model(config(), Path("config.toml"))
    assert (check.level, "labels" in check.found) == ("ok", True)
    (check,) = check_model(config(engine=FakeEngineConfig(backend="fake")), Path("config.toml"))
    assert check.level == "ok"
    rules = VerdictConfig(rules={"scratch": RuleConfig()})
    (check,) = check_model(config(verdict=rules), Path("config.toml"))
    assert (check.level, "not a label of the model" in check.found) == ("fault", True)
    (check,) = check_model(config(engine={"model": str(tmp_path / "none.onnx")}), Path("my.toml"))
    assert (check.level, check.mend) == ("fault", "station check --config my.toml")


def test_sockets_that_are_open_to_the_network_are_warned_of(tmp_path: Path) -> None:
    publish = {"endpoint": "tcp://*:1", "plain_network": True}
    journal = {"folder": "journal", "endpoint": "tcp://*:2"}
    security = {"folder": str(tmp_path / "keys")}
    keys, open_one, keyed = check_sockets(config(publish=publish, journal=journal, security=security))
    assert (keys.level, keyed.level) == ("fault", "ok")
    assert "station keys new" in keys.found
    assert (open_one.level, open_one.mend) == ("warning", "remove plain_network from [publish], see docs/security.md")


# the whole


def test_a_look_that_fails_is_one_warning_and_no_traceback(tmp_path: Path) -> None:
    lay(tmp_path, proc__sys__net__core__rmem_max="many")
    for root in (tmp_path, tmp_path / "none"):
        (check,) = guarded("socket buffers", lambda root=root: [check_socket_buffers(root)])  # type: ignore[misc]
        assert (check.level, check.name) == ("warning", "socket buffers")
        assert check.found.startswith("could not be looked at: ")


def test_this_computer_can_be_examined() -> None:
    checks = list(examine(ROOT / "config.toml"))
    names = [check.name for check in checks]
    assert len(set(names)) == len(names)
    assert {"packages", "kernels", "model", "onnx runtime", "tensorrt", "governor", "disk"} <= set(names)
    assert all(check.mend for check in checks if check.level != "ok")
    assert json.loads(json.dumps(as_table(checks)))["checks"][0]["name"] == "shadowline"


CHECKS = [
    Check("ok", "packages", "numpy 2.4.6, " * 10),
    Check("warning", "socket buffers", "too little", "sudo sysctl -w a=1\necho " + "long " * 30),
    Check("fault", "configuration", "config.toml: one\nconfig.toml: two", "station check"),
]


@pytest.mark.parametrize("width", [20, 80, 160])
def test_lines_fit_the_terminal_and_commands_stay_whole(width: int) -> None:
    paper = io.StringIO()
    console = Console(file=paper, width=width, soft_wrap=True)
    for check in CHECKS:
        console.print(draw(check, width))
    lines = paper.getvalue().splitlines()
    commands = [line.strip().removeprefix("→ ") for line in lines if "→" in line]
    assert commands == ["sudo sysctl -w a=1", ("echo " + "long " * 30).strip(), "station check"]
    assert all(len(line) <= max(width, 55) for line in lines if "→" not in line)
    assert any(line.startswith("fault    configuration   config.toml: one") for line in lines)


def test_the_last_line_counts() -> None:
    assert draw_sum(CHECKS).plain == "1 fault, 1 warning"
    assert draw_sum(CHECKS[:1]).plain == "all is well"
    assert as_table(CHECKS)["level"] == "fault"
    assert as_table([])["level"] == "ok"
