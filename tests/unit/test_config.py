from pathlib import Path

import pytest

from shadowline.errors import ConfigError
from station.config import AutoEngineConfig, OnnxRuntimeConfig, ReplayConfig, SimulatedConfig, TensorRtConfig
from station.config_file import load

SHIPPED = Path(__file__).parents[2] / "config.toml"
CAMERA = '[[camera]]\nname = "top"\ntype = "simulated"\n'


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    def write_file(text: str, **environment: str) -> Path:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        path = tmp_path / "config.toml"
        path.write_text(text)
        return path

    return write_file


def test_the_shipped_file_is_good() -> None:
    config = load(SHIPPED)
    assert isinstance(config.camera[0], SimulatedConfig)
    assert isinstance(config.engine, AutoEngineConfig)
    assert config.engine.model is None


REFUSED = {
    "unknown key": ("[engine]\ntreads = 2\n", r"config.toml: \[engine\] treads: unknown key; did you mean threads\?"),
    "unknown table": ("[egnine]\nthreads = 2\n", r"\[egnine\]: unknown key; did you mean engine\?"),
    "unknown camera key": (
        "[[camera]]\nname='b'\ntype='simulated'\nrate=2\n",
        r"\[\[camera\]\] number 2 rate: unknown",
    ),
    "wrong type": ("[station]\nbudget_ms = 'soon'\n", r"\[station\] budget_ms: .*valid number.*'soon'"),
    "out of bounds": ("[metrics]\nport = 70000\n", r"\[metrics\] port: .*65535.*70000"),
    "same name twice": (CAMERA, r"\[\[camera\]\] name: top is used twice"),
    "bad name": ("[[camera]]\nname='a b'\ntype='simulated'\n", r"number 2 name"),
    "unknown driver": ("[[camera]]\nname='b'\ntype='webcam'\n", r"'webcam'.*'simulated', 'replay', 'aravis'"),
    "missing key": ("[[camera]]\nname='b'\ntype='replay'\n", r"number 2 path: missing"),
    "contradiction": (
        "[[camera]]\nname='b'\ntype='simulated'\ntimeout_s=1.5\noffline_after_s=1.0\n",
        r"number 2: timeout_s 1.5 is over offline_after_s 1.0",
    ),
    "two names of a device": (
        "[[camera]]\nname='b'\ntype='aravis'\nserial='1'\naddress='10.0.0.2'\n",
        r"number 2: name the device by one of serial, user_name and address",
    ),
    "no name of a device": (
        "[[camera]]\nname='b'\ntype='basler'\n",
        r"number 2: name the device by serial or by user_name",
    ),
    "one device for two cameras": (
        "[[camera]]\nname='b'\ntype='aravis'\nserial='1'\n[[camera]]\nname='c'\ntype='basler'\nserial='1'\n",
        r"\[\[camera\]\] serial 1: two cameras can't use one device",
    ),
    "a password in the url": (
        "[[camera]]\nname='b'\ntype='opencv'\nurl='rtsp://me:secret@host/x'\n",
        r"number 2: url: user and password go into `user` and `password`",
    ),
    "a device and a stream": (
        "[[camera]]\nname='b'\ntype='opencv'\nurl='rtsp://host/x'\ndevice=0\n",
        r"number 2: name either a device or a url",
    ),
    "a stream's size": (
        "[[camera]]\nname='b'\ntype='opencv'\nurl='rtsp://host/x'\nwidth_px=640\n",
        r"number 2: width_px is for a device, not for a url",
    ),
    "software trigger without a rate": (
        "[[camera]]\nname='b'\ntype='aravis'\nserial='1'\n[camera.sfnc.trigger]\nsource='Software'\n",
        r"software_hz goes with source",
    ),
    "unknown pixel format": (
        "[[camera]]\nname='b'\ntype='aravis'\nserial='1'\nsfnc={pixel_format='Mono9'}\n",
        r"pixel_format: .*'Mono8', 'Mono10'",
    ),
    "nobody sends the count": (
        "[[camera]]\nname='b'\ntype='aravis'\nserial='1'\n[line.encoder]\ntype='chunk'\nmm_per_count=0.1\n",
        r"\[line.encoder\] type chunk: camera b sends no count: add chunks",
    ),
    "plain to the network": (
        "[publish]\nendpoint='tcp://0.0.0.0:1'\n",
        r"config.toml: \[publish\] endpoint tcp://0.0.0.0:1 is open .*station keys new.*plain_network = true",
    ),
    "unknown back end": ("[engine]\nbackend = 'tensorrt'\n", r"\[engine\]: backend must be auto, tensor_rt, onnx"),
    "back end that is no word": ("[engine]\nbackend = ['auto']\n", r"\[engine\]: backend must be auto, tensor_rt"),
    "key of another back end": ("[engine]\nbackend = 'auto'\nprovider = 'cuda'\n", r"\[engine\] provider: unknown"),
    "batch beyond the largest": (
        "[engine]\nbackend = 'tensor_rt'\nopt_batch = 16\nmax_batch = 8\n",
        r"\[engine\]: opt_batch 16 is over max_batch 8",
    ),
    "floor out of bounds": ("[verdict.label_floors]\ndent = 2.0\n", r"\[verdict.*dent.*less than or equal to 1"),
    "limit that is no number": ("[verdict]\nnovelty_limit = inf\n", r"\[verdict\] novelty_limit: .*finite"),
    "unknown precision": (
        "[engine]\nbackend = 'auto'\nprecision = 'int4'\n",
        r"\[engine\] precision: .*'int8'.*'int4'",
    ),
    "unknown swap key": (
        "[swap]\nshadow_crop = 1\n",
        r"\[swap\] shadow_crop: unknown key; did you mean shadow_crops\?",
    ),
    "share over one": ("[swap]\nmax_disagreement = 2\n", r"\[swap\] max_disagreement: .*less than or equal to 1"),
    "frames after crops": (
        "[archive]\nframes_free_mb = 100\n",
        r"\[archive\]: frames_free_mb 100 is below crops_free_mb 2048: whole frames must be the first to be left out",
    ),
    "control over the network": ("[control]\nendpoint = 'tcp://127.0.0.1:1'\n", r"\[control\] endpoint: .*ipc://"),
    "unknown finder": (
        "[regions]\ntype = 'yolo'\n",
        r"config.toml: \[regions\]: type must be shadow, heatmap, anomaly",
    ),
    "a finder without a file": ("[regions]\ntype = 'heatmap'\n", r"config.toml: \[regions\] model: missing"),
    "key of another finder": (
        "[regions]\ntype = 'detector'\nmodel = 'x.onnx'\nlow = 0.1\n",
        r"config.toml: \[regions\] low: unknown key",
    ),
    "key of a learned finder": ("[regions]\nthreshold = 0.5\n", r"\[regions\] threshold: unknown key"),
    "threshold out of bounds": (
        "[regions]\ntype = 'anomaly'\nmodel = 'x.onnx'\nthreshold = 1.5\n",
        r"\[regions\] threshold: .*less than or equal to 1 \(is 1.5\)",
    ),
    "low above high": (
        "[regions]\ntype = 'anomaly'\nmodel = 'x.onnx'\nlow = 5\nhigh = 2\n",
        r"\[regions\]: low 5 is not below high 2",
    ),
    "settings of another engine": (
        "[regions]\ntype = 'heatmap'\nmodel = 'x.onnx'\nbackend = 'tensor_rt'\nprovider = 'cuda'\n",
        r"\[regions\]: provider: not with backend tensor_rt",
    ),
    "an anomaly to be confirmed": (
        "[regions]\ntype = 'anomaly'\nmodel = 'x.onnx'\nnaming = 'confirm'\n",
        r"\[regions\] naming: .*'unknown'",
    ),
    "one finder combined": (
        "[regions]\ntype = 'combine'\n[[regions.finders]]\n",
        r"\[regions\] finders: .*at least 2",
    ),
    "a fault in a part": (
        "[regions]\ntype = 'combine'\nfinders = [{}, {type = 'heatmap', model = 'x', tilepx = 1}]\n",
        r"config.toml: \[\[regions.finders\]\] number 2 tilepx: unknown key; did you mean tile_px\?",
    ),
    "two parts of a name": (
        "[regions]\ntype = 'combine'\n[[regions.finders]]\n[[regions.finders]]\n",
        r"\[regions\]: shadow: two finders of that name",
    ),
    "a network as a shadow": (
        "[regions]\ntype = 'heatmap'\nmodel = 'x.onnx'\nname = 'shadow'\n",
        r"\[regions\] name: shadow is what finds shadows",
    ),
    "combined again": (
        "[regions]\ntype = 'combine'\n[[regions.finders]]\n[[regions.finders]]\ntype = 'combine'\n",
        r"\[\[regions.finders\]\] number 2: type must be shadow, heatmap, anomaly or detector",
    ),
    "no toml": ("[station\n", r"config.toml: .*line 4, column 9"),
}


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED)
def test_refuses_in_one_line_with_file_table_and_key(write, text: str, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ConfigError, match=message) as caught:
        load(write(CAMERA + text))
    assert "\n" not in str(caught.value)


def test_names_every_fault_at_once(write) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ConfigError) as caught:
        load(write(CAMERA + "[engine]\ntreads = 2\n[metrics]\nport = -1\n"))
    assert len(str(caught.value).splitlines()) == 2


def test_no_camera_and_no_file_are_said(write, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ConfigError, match=r"\[camera\]: missing"):
        load(write(""))
    with pytest.raises(ConfigError, match="no such file; name one with --config"):
        load(tmp_path / "other.toml")


def test_the_environment_wins(write) -> None:  # type: ignore[no-untyped-def]
    config = load(write(CAMERA + "[engine]\nthreads = 2\n", STATION__ENGINE__THREADS="3", STATION__METRICS__PORT="0"))
    assert isinstance(config.engine, OnnxRuntimeConfig)
    assert (config.engine.threads, config.metrics.port) == (3, 0)


ENVIRONMENT = {
    "unknown table": ({"STATION__ENGIN__THREADS": "3"}, r"environment STATION__ENGIN__THREADS: no table \[engin\]"),
    "unknown key": ({"STATION__ENGINE__TREADS": "3"}, r"environment: \[engine\] treads: unknown key"),
    "bad value": ({"STATION__METRICS__PORT": "x"}, r"environment: \[metrics\] port: .*'x'"),
    "no JSON": ({"STATION__CAMERA": "top"}, r"environment: .*JSON"),
}


@pytest.mark.parametrize(("variables", "message"), ENVIRONMENT.values(), ids=ENVIRONMENT)
def test_a_bad_variable_is_named(write, variables: dict[str, str], message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ConfigError, match=message):
        load(write(CAMERA, **variables))


def test_paths_start_at_the_files_folder(write, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    config = load(write("[[camera]]\nname='b'\ntype='replay'\npath='pictures'\n"))
    assert isinstance(config.camera[0], ReplayConfig)
    assert config.camera[0].path == tmp_path / "pictures"


def test_the_hash_follows_the_values_in_force(write) -> None:  # type: ignore[no-untyped-def]
    plain = load(write(CAMERA)).sha256
    assert load(write(CAMERA + "# a remark\n")).sha256 == plain
    assert load(write(CAMERA + "[metrics]\nport = 1\n")).sha256 != plain


ENGINES = {
    "tensor_rt": ("backend='tensor_rt'\ngpu=1\nprecision='fp16'", TensorRtConfig),
    "auto": ("backend='auto'\non_mismatch='refuse'\nkeep_warm_ms=5", AutoEngineConfig),
    "no back end named": ("provider='cuda'", OnnxRuntimeConfig),
}


@pytest.mark.parametrize(("text", "kind"), ENGINES.values(), ids=ENGINES)
def test_the_back_end_decides_which_keys_there_are(write, text: str, kind: type) -> None:  # type: ignore[no-untyped-def]
    assert type(load(write(f"{CAMERA}[engine]\n{text}\n")).engine) is kind


def test_one_variable_changes_the_back_end(write) -> None:  # type: ignore[no-untyped-def]
    assert isinstance(load(write(CAMERA, STATION__ENGINE__BACKEND="auto")).engine, AutoEngineConfig)


def test_swapping_has_its_defaults_and_its_folders_start_at_the_files(write, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    plain = load(write(CAMERA))
    assert (plain.swap.cache, plain.swap.golden) == (None, None)
    assert (plain.control.enabled, plain.control.endpoint) == (True, "")
    config = load(write(CAMERA + "[swap]\ncache='plans'\ngolden='/golden'\n[control]\nendpoint='ipc:///run/a'\n"))
    assert (config.swap.cache, config.swap.golden) == (tmp_path / "plans", Path("/golden"))
    assert config.control.endpoint == "ipc:///run/a"
