"""Model files in another precision answer like the fp32 file they were made from, and what can't be made is refused."""

import hashlib
import subprocess
import sys
from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from engines import FrameOnnxEngine, ModelCard, OnnxRuntimeEngine, read_card, read_finder_card, shipped_model
from engines.model import METADATA_KEY
from engines.precision import convert, convert_finder
from shadowline.errors import EngineError, EngineMismatch
from tests.ensemble import draw_crops, make_ensemble, write_ensemble
from tests.finder_files import write_finder

FP32 = shipped_model().with_name("neu-compact-fp32.onnx")
SHIPPED_SIDE = read_card(FP32).crop.size_px
SIDE = 16
SMALL = ModelCard.model_validate(
    {"name": "small", "labels": ["a", "b"], "crop": {"size_px": SIDE, "context": 1.0, "min_side_px": SIDE}}
)
TOLERANCE = {
    ("five", "fp16"): 0.002,
    ("five", "int8"): 0.04,
    ("neu-compact", "fp16"): 0.005,
    ("neu-compact", "int8"): 0.3,
    ("small", "fp16"): 0.002,
    ("small", "int8"): 0.04,
}
"""Largest difference of a probability from fp32. The shipped network never saw such crops, and its softmax is sharp."""
MEAN_TOLERANCE = 0.01
NOVELTY_TOLERANCE = {"fp16": 0.002, "int8": 0.05}
"""Largest difference of a novelty from fp32, as a part of the range of all."""


def answers(path, crops, max_batch=32):
    with OnnxRuntimeEngine(path, max_batch=max_batch) as engine:
        return engine.classify(crops).probabilities.copy()


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def operators(path):
    return [node.op_type for node in onnx.load(path).graph.node]


def optimised(path, folder):
    """Return the operators that ONNX Runtime really runs for the model at `path`."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return operators(folder / "optimised.onnx")


@pytest.fixture(scope="session")
def ensemble(tmp_path_factory):
    path = tmp_path_factory.mktemp("ensemble") / "five.onnx"
    write_ensemble(path)
    return path


@pytest.fixture(params=["shipped", "ensemble"])
def source(request):
    return FP32 if request.param == "shipped" else request.getfixturevalue("ensemble")


@pytest.fixture(params=["fp16", "int8"])
def converted(request, source, tmp_path):
    """The fp32 file, the file made of it, and its precision."""
    target = tmp_path / f"{request.param}.onnx"
    convert(source, target, request.param, draw_crops(128, 1, read_card(source).crop.size_px))
    return source, target, request.param


def test_answers_are_near_those_of_fp32(converted):
    source, target, precision = converted
    crops = draw_crops(200, 2, read_card(source).crop.size_px)
    expected, found = answers(source, crops), answers(target, crops)
    assert np.abs(found - expected).max() <= TOLERANCE[read_card(source).name, precision]
    assert np.abs(found - expected).mean() <= MEAN_TOLERANCE
    assert (found.argmax(1) == expected.argmax(1)).mean() >= 0.95


def test_the_card_is_that_of_the_source_and_names_it(converted):
    source, target, precision = converted
    dropped = {"novelty_limit": None, "false_unknown": None} if precision == "int8" else {}
    facts = {"precision": precision, "made_from": sha256(source)}
    assert read_card(target) == read_card(source).model_copy(update=facts | dropped)


def test_the_file_is_whole_valid_and_smaller(converted):
    source, target, _ = converted
    onnx.checker.check_model(onnx.load(target, load_external_data=False), full_check=True)
    assert [path.name for path in target.parent.iterdir()] == [target.name]
    assert target.stat().st_size < 0.7 * source.stat().st_size


def test_one_crop_is_answered_like_eight(converted):
    _, target, _ = converted
    crops = draw_crops(8, 3, read_card(target).crop.size_px)
    assert np.allclose(answers(target, crops, max_batch=1), answers(target, crops, max_batch=8), atol=1e-4)


def test_tensorrt_builds_it(converted):
    trt = pytest.importorskip("tensorrt_rtx")
    _, target, _ = converted
    log = trt.Logger(trt.Logger.INTERNAL_ERROR)
    builder = trt.Builder(log)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log)
    assert parser.parse(target.read_bytes()), parser.get_error(0).desc()
    config, profile = builder.create_builder_config(), builder.create_optimization_profile()
    config.num_compute_capabilities = 1
    config.set_compute_capability(trt.ComputeCapability.SM89, 0)
    side = read_card(target).crop.size_px
    profile.set_shape("crops", *((batch, 1, side, side) for batch in (1, 8, 32)))
    config.add_optimization_profile(profile)
    assert builder.build_serialized_network(network, config) is not None


def test_the_ensemble_answers_as_its_modules_do(ensemble):
    crops = draw_crops(50, 4)
    with torch.inference_mode():
        expected = make_ensemble()(torch.from_numpy(crops)).numpy()
    assert set(expected.argmax(1).tolist()) == {0, 1, 2, 3}
    assert np.allclose(answers(ensemble, crops), expected, atol=1e-4)


@pytest.mark.parametrize("pattern", ["black", "white", "stripes"])
def test_squares_of_grey_levels_do_not_overflow_fp16(ensemble, tmp_path, pattern):
    crops = np.zeros((1, 1, 64, 64), np.uint8)
    crops[..., {"black": slice(0), "white": slice(None), "stripes": slice(None, None, 2)}[pattern]] = 255
    convert(ensemble, tmp_path / "fp16.onnx", "fp16")
    assert np.allclose(answers(tmp_path / "fp16.onnx", crops), answers(ensemble, crops), atol=TOLERANCE["five", "fp16"])


def test_the_shipped_int8_file_is_the_fp32_one_converted(tmp_path):
    assert read_card(shipped_model()).made_from == sha256(FP32)
    convert(FP32, tmp_path / "int8.onnx", "int8", draw_crops(32, 1, SHIPPED_SIDE))
    made, shipped = (onnx.load(path).graph.node for path in (tmp_path / "int8.onnx", shipped_model()))
    assert Counter(node.op_type for node in made) == Counter(node.op_type for node in shipped)


def test_int8_runs_in_integers_through_residual_additions(ensemble, tmp_path):
    convert(ensemble, tmp_path / "int8.onnx", "int8", draw_crops(64, 1))
    runs = optimised(tmp_path / "int8.onnx", tmp_path)
    members = 5
    assert runs.count("QLinearConv") == 3 * members
    assert runs.count("QLinearAdd") == members
    assert runs.count("Conv") == members, "only the first of each member"


HEADER = """<ir_version: 10, opset_import: ["": 20, "com.microsoft": 1]>
small (uint8[N,1,16,16] crops) => (OUTPUTS) {
    levels = Cast<to=1>(crops)
    scaled = Mul(levels, scale)
"""
NETWORKS = {
    "only convolutions": """
        a = Conv(scaled, first)  b = Relu(a)  c = Conv(b, second)  d = Relu(c)  e = Conv(d, head)
        logits = ReduceMean<keepdims=0>(e, axes)
        probabilities = Softmax(logits)
    }""",
    "only dense layers": """
        row = Flatten(scaled)
        a = MatMul(row, wide)  b = Relu(a)  c = Gemm(b, middle)  d = Relu(c)  logits = Gemm(d, narrow)
        probabilities = Softmax(logits)
    }""",
    "one layer": """
        row = Flatten(scaled)
        mixed = MatMul(row, wide)
        logits = Slice(mixed, zero, two, one)
        probabilities = Softmax(logits)
    }""",
    "novelty of features, deep and shallow": """
        a = Conv(scaled, first)  b = Relu(a)  c = Conv(b, second)  d = Relu(c)
        features = ReduceMean<keepdims=0>(d, axes)
        logits = Gemm(features, narrow)
        probabilities = Softmax(logits)
        shallow = ReduceMean<keepdims=0>(b, axes)
        both = Add(features, shallow)  turned = Gemm(both, middle)  squares = Mul(turned, turned)
        distances = MatMul(squares, narrow)
        novelty = ReduceMax<keepdims=0>(distances, last)
    }""",
    "novelty of logits": """
        a = Conv(scaled, first)  b = Relu(a)  c = Conv(b, second)  d = Relu(c)
        features = ReduceMean<keepdims=0>(d, axes)
        logits = Gemm(features, narrow)
        probabilities = Softmax(logits)
        turned = MatMul(logits, back)
        novelty = ReduceMax<keepdims=0>(turned, last)
    }""",
    "novelty of crops": """
        a = Conv(scaled, first)  b = Relu(a)  c = Conv(b, second)  d = Relu(c)
        features = ReduceMean<keepdims=0>(d, axes)
        logits = Gemm(features, narrow)
        probabilities = Softmax(logits)
        row = Flatten(scaled)
        turned = MatMul(row, wide)
        novelty = ReduceMax<keepdims=0>(turned, last)
    }""",
    "two members with novelty": """
        a = Conv(scaled, first)  b = Relu(a)  c = Conv(b, second)  d = Relu(c)
        e = ReduceMean<keepdims=0>(d, axes)
        logits_1 = Gemm(e, narrow)
        probabilities_1 = Softmax(logits_1)
        row = Flatten(scaled)
        f = MatMul(row, wide)  g = Relu(f)  h = Gemm(g, middle)  i = Relu(h)
        logits_2 = Gemm(i, narrow)
        probabilities_2 = Softmax(logits_2)
        probabilities = Mean(probabilities_1, probabilities_2)
        turned_1 = Gemm(e, middle_1)  squares_1 = Mul(turned_1, turned_1)  distances_1 = MatMul(squares_1, narrow)
        turned_2 = Gemm(i, middle_1)  squares_2 = Mul(turned_2, turned_2)  distances_2 = MatMul(squares_2, narrow)
        most = Max(distances_1, distances_2)
        novelty = ReduceMax<keepdims=0>(most, last)
    }""",
    "of no known type": """
        a = Conv(scaled, first)  strange = com.microsoft.Gelu(a)  c = Conv(strange, second)  e = Conv(c, head)
        logits = ReduceMean<keepdims=0>(e, axes)
        probabilities = Softmax(logits)
    }""",
}
CONSTANTS = {
    "scale": np.float32(1 / 255),
    "axes": np.array([2, 3]),
    "zero": np.array([0, 0]),
    "one": np.array([0, 1]),
    "two": np.array([2**31, 2]),
    "last": np.array([1]),
    **{
        name: np.random.default_rng(len(name)).normal(0, 0.3, shape).astype(np.float32)
        for name, shape in {
            "first": (8, 1, 3, 3),
            "second": (8, 8, 3, 3),
            "head": (2, 8, 1, 1),
            "wide": (256, 8),
            "middle": (8, 8),
            "middle_1": (8, 8),
            "narrow": (8, 2),
            "back": (2, 8),
        }.items()
    },
}


def write_small(path, network):
    """Write one of `NETWORKS`, whose nodes have no names."""
    outputs = "float[N,2] probabilities" + (", float[N] novelty" if "novelty" in network else "")
    model = onnx.parser.parse_model(HEADER.replace("OUTPUTS", outputs) + NETWORKS[network])
    read = {name for node in model.graph.node for name in node.input}
    model.graph.initializer.extend(
        numpy_helper.from_array(value, name) for name, value in CONSTANTS.items() if name in read
    )
    helper.set_model_props(model, {METADATA_KEY: SMALL.model_dump_json()})
    onnx.save(model, path)
    return path


@pytest.mark.parametrize(
    ("network", "precision", "inside"),
    [
        ("only convolutions", "fp16", 2),
        ("only convolutions", "int8", 1),
        ("only dense layers", "fp16", 2),
        ("only dense layers", "int8", 1),
        *((network, "fp16", 2) for network in NETWORKS if network.startswith("novelty")),
        *((network, "int8", 1) for network in NETWORKS if network.startswith("novelty")),
        ("two members with novelty", "fp16", 4),
        ("two members with novelty", "int8", 2),
    ],
)
def test_last_layers_and_what_is_behind_the_features_stay_fp32(tmp_path, network, precision, inside):
    source, target = write_small(tmp_path / "small.onnx", network), tmp_path / "target.onnx"
    crops = draw_crops(64, 1, SIDE)
    convert(source, target, precision, crops)
    assert np.allclose(answers(target, crops), answers(source, crops), atol=TOLERANCE["small", precision])
    onnx.checker.check_model(onnx.load(target), full_check=True)
    kinds = {"fp16": TensorProto.FLOAT16, "int8": TensorProto.INT8}
    weights = [
        tensor.name
        for tensor in onnx.load(target).graph.initializer
        if tensor.data_type == kinds[precision] and len(tensor.dims) > 1
    ]
    assert len(weights) == inside


@pytest.mark.parametrize("precision", ["fp16", "int8"])
@pytest.mark.parametrize("network", [network for network in NETWORKS if "novelty" in network])
def test_novelty_is_near_that_of_fp32(tmp_path, network, precision):
    source, target = write_small(tmp_path / "small.onnx", network), tmp_path / "target.onnx"
    crops = draw_crops(64, 1, SIDE)
    convert(source, target, precision, crops)
    with OnnxRuntimeEngine(source) as exact, OnnxRuntimeEngine(target) as converted:
        expected, found = exact.classify(crops).novelty, converted.classify(crops).novelty
    assert np.abs(found - expected).max() <= NOVELTY_TOLERANCE[precision] * np.ptp(expected)


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_what_only_novelty_is_made_by_is_computed_as_in_fp32(tmp_path, precision):
    source, target = write_small(tmp_path / "small.onnx", "novelty of crops"), tmp_path / "target.onnx"
    crops = draw_crops(64, 1, SIDE)
    convert(source, target, precision, crops)
    with OnnxRuntimeEngine(source) as exact, OnnxRuntimeEngine(target) as converted:
        assert np.array_equal(exact.classify(crops).novelty, converted.classify(crops).novelty)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_a_file_of_the_precision_asked_for_is_copied_as_it_is(tmp_path, precision):
    source, target = tmp_path / "source.onnx", tmp_path / "target.onnx"
    convert(FP32, source, precision, draw_crops(32, 1, SHIPPED_SIDE))
    assert convert(source, target, precision) == read_card(source)
    assert target.read_bytes() == source.read_bytes()


@pytest.mark.parametrize(("made", "asked"), [("fp16", "int8"), ("fp16", "fp32"), ("int8", "fp16"), ("int8", "fp32")])
def test_a_converted_file_becomes_nothing_else(tmp_path, made, asked):
    source, target = tmp_path / "source.onnx", tmp_path / "target.onnx"
    crops = draw_crops(32, 1, SHIPPED_SIDE)
    convert(FP32, source, made, crops)
    with pytest.raises(EngineMismatch, match="convert from its fp32 source"):
        convert(source, target, asked, crops)
    assert not target.exists()


UNUSABLE = {
    "none": None,
    "no rows": np.zeros((0, 1, SHIPPED_SIDE, SHIPPED_SIDE), np.uint8),
    "another side": np.zeros((4, 1, 80, 80), np.uint8),
    "three channels": np.zeros((4, 3, SHIPPED_SIDE, SHIPPED_SIDE), np.uint8),
    "no batch": np.zeros((SHIPPED_SIDE, SHIPPED_SIDE), np.uint8),
    "a number": np.uint8(3),
    "floats": np.zeros((4, 1, SHIPPED_SIDE, SHIPPED_SIDE), np.float32),
}


def refusal(source, target, precision, crops=None):
    """Return the one line that refuses the conversion; nothing is written."""
    with pytest.raises(EngineError) as caught:
        convert(source, target, precision, crops)
    assert "\n" not in str(caught.value)
    assert not target.exists()
    return str(caught.value)


@pytest.mark.parametrize("case", UNUSABLE)
def test_int8_without_usable_crops_is_refused(tmp_path, case):
    words = refusal(FP32, tmp_path / "int8.onnx", "int8", UNUSABLE[case])
    assert words.startswith(f"{FP32}: ")
    assert (
        "there are none" if case in ("none", "no rows") else f"must be uint8 [n, 1, {SHIPPED_SIDE}, {SHIPPED_SIDE}]"
    ) in words


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_a_network_of_one_layer_is_refused(tmp_path, precision):
    source = write_small(tmp_path / "small.onnx", "one layer")
    assert "use it as it is" in refusal(source, tmp_path / "target.onnx", precision, draw_crops(32, 1, SIDE))


def test_a_graph_that_the_tools_refuse_is_an_engine_error(tmp_path):
    source = write_small(tmp_path / "small.onnx", "of no known type")
    assert "can't be converted to fp16: " in refusal(source, tmp_path / "fp16.onnx", "fp16")


@pytest.mark.parametrize("content", [b"", b"no model", None])
def test_a_source_that_is_no_model_is_refused(tmp_path, content):
    source = tmp_path / "source.onnx"
    source.write_bytes(FP32.read_bytes()[:100_000] if content is None else content)
    assert str(source) in refusal(source, tmp_path / "fp16.onnx", "fp16")


def test_a_target_that_can_not_be_written_is_refused(tmp_path):
    target = tmp_path / "nowhere" / "fp16.onnx"
    assert str(target) in refusal(FP32, target, "fp16")


def test_without_onnx_the_pip_line_is_named():
    code = "import sys; sys.modules['onnx'] = None\nimport engines.precision"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "MissingExtra: onnx is not installed: pip install 'shadowline[build]'" in done.stderr


def frames(count, seed=0, sides=(64, 96)):
    return [draw_crops(1, seed + number, sides[1])[:, :, : sides[0]] for number in range(count)]


def found_by(path, picture):
    with FrameOnnxEngine(path) as engine:
        return dict(engine.run(picture))


@pytest.mark.parametrize("precision", ["fp16", "int8"])
@pytest.mark.parametrize("kind", ["heatmap", "anomaly", "detector"])
def test_a_finder_file_finds_as_in_fp32(tmp_path, kind, precision):
    source, target = write_finder(tmp_path / "source.onnx", kind), tmp_path / "target.onnx"
    card = convert_finder(source, target, precision, frames(8))
    facts = {"precision": precision, "made_from": sha256(source)}
    assert card == read_finder_card(target) == read_finder_card(source).model_copy(update=facts)
    onnx.checker.check_model(onnx.load(target, load_external_data=False), full_check=True)
    (picture,) = frames(1, seed=99)
    expected, answered = found_by(source, picture), found_by(target, picture)
    tolerance = {"anomaly": 0.2}.get(kind, 0.02)
    measured = "scores" if kind == "detector" else "heat"
    assert np.abs(answered[measured] - expected[measured]).max() <= tolerance
    assert {name: part.dtype for name, part in answered.items()} == {name: p.dtype for name, p in expected.items()}


def test_int8_of_a_finder_runs_in_integers_but_for_first_and_last_layer(tmp_path):
    source, target = write_finder(tmp_path / "source.onnx"), tmp_path / "int8.onnx"
    convert_finder(source, target, "int8", frames(8))
    runs = optimised(target, tmp_path)
    assert runs.count("QLinearConv") == 1
    assert runs.count("Conv") == 2


def test_ranges_are_measured_on_frames_of_several_sizes(tmp_path):
    source, target = write_finder(tmp_path / "source.onnx"), tmp_path / "int8.onnx"
    convert_finder(source, target, "int8", frames(3) + frames(2, sides=(96, 96)))
    (picture,) = frames(1, seed=99)
    assert np.abs(found_by(target, picture)["heat"] - found_by(source, picture)["heat"]).max() <= 0.02


UNUSABLE_FRAMES = {
    "none": ([], "a few dozen: there are none"),
    "crops": ([np.zeros((1, 1, 60, 60), np.uint8)], r"must be uint8 [N,1,H,W of multiples of 8]"),
    "one of floats": ([*frames(1), np.zeros((1, 1, 64, 64), np.float32)], "frames are float32"),
}


@pytest.mark.parametrize("case", UNUSABLE_FRAMES)
def test_int8_of_a_finder_without_usable_frames_is_refused(tmp_path, case):
    source, target = write_finder(tmp_path / "source.onnx"), tmp_path / "int8.onnx"
    given, words = UNUSABLE_FRAMES[case]
    with pytest.raises(EngineError) as caught:
        convert_finder(source, target, "int8", given)
    assert str(caught.value).startswith(str(source))
    assert words in str(caught.value)
    assert not target.exists()


def test_a_classifier_is_no_finder_to_convert(tmp_path):
    with pytest.raises(EngineMismatch, match=r"belongs in .engine. model"):
        convert_finder(FP32, tmp_path / "int8.onnx", "int8", frames(1))
