"""Novelty of drawn features: known against new, the same in the graph, and the limit's false-unknown rate."""

import logging
import warnings

import numpy as np
import onnxruntime
import pytest
import torch

from shadowline.errors import StationError
from training.novelty import auroc, fit_novelty, novelty_limit, vouched_rate

FEATURES = 24


def drawn(classes, count, seed):
    """Return features [n,D] around a centre of each class, of uneven spread over the features, and the classes [n]."""
    centres = np.random.default_rng(0).normal(0, 3, (8, FEATURES))
    numbers = np.repeat(classes, count)
    spread = np.geomspace(0.2, 3, FEATURES)
    features = centres[numbers] + np.random.default_rng(seed).normal(0, 1, (len(numbers), FEATURES)) * spread
    return features.astype(np.float32), numbers


def novelty_of(head, features):
    with torch.inference_mode():
        return head(torch.from_numpy(features)).numpy()


@pytest.mark.parametrize("known", [[0, 1], [0, 1, 2, 3, 4]])
def test_a_class_that_was_not_learnt_is_novel(known):
    head = fit_novelty(*drawn(known, 60, seed=1))
    held, new = (novelty_of(head, drawn(classes, 60, seed=2)[0]) for classes in (known, [5, 6]))
    assert auroc(held, new) > 0.97


def test_novelty_does_not_depend_on_the_features_units():
    features, classes = drawn([0, 1, 2], 60, seed=1)
    units = np.float32(8)  # a power of two: no digit is lost
    plain = novelty_of(fit_novelty(features, classes), features)
    scaled = novelty_of(fit_novelty(features * units, classes), features * units)
    assert np.ptp(plain) > 0.02
    assert np.allclose(plain, scaled, atol=1e-3)


def test_the_same_features_give_the_same_head():
    one, other = (fit_novelty(*drawn([0, 1, 2], 40, seed=1)).state_dict() for _ in range(2))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_more_features_than_crops_and_few_of_a_class_still_tell():
    rng = np.random.default_rng(0)
    centres = rng.normal(0, 3, (4, 400))
    classes = np.array([0] * 5 + [1] * 30 + [2] * 30)
    head = fit_novelty((centres[classes] + rng.normal(0, 1, (65, 400))).astype(np.float32), classes)
    known, new = (centres[rows] + rng.normal(0, 1, (30, 400)) for rows in (np.repeat([0, 1, 2], 10), [3] * 30))
    assert auroc(novelty_of(head, known.astype(np.float32)), novelty_of(head, new.astype(np.float32))) > 0.97


def test_features_that_never_differ_are_refused():
    with pytest.raises(StationError, match="novelty"):
        fit_novelty(np.ones((20, FEATURES), np.float32), np.arange(20) % 2)


@pytest.fixture(scope="module")
def exported():
    """A head and the graph of it; once, since the exporter leaves its progress monitor running."""
    head = fit_novelty(*drawn([0, 1, 2], 40, seed=1)).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        program = torch.onnx.export(
            head,
            (torch.zeros(2, FEATURES),),
            dynamo=True,
            opset_version=20,
            input_names=["features"],
            dynamic_shapes=({0: torch.export.Dim("N", min=1, max=64)},),
            verbose=False,
        )
    return head, program.model_proto.SerializeToString()


@pytest.mark.parametrize("count", [1, 10])
def test_the_exported_graph_answers_as_torch_for_any_number_of_crops(exported, count):
    head, graph = exported
    features = drawn([0, 3], 5, seed=2)[0][-count:]
    (answer,) = onnxruntime.InferenceSession(graph).run(None, {"features": features})
    assert np.allclose(answer, novelty_of(head, features), atol=1e-5)


def test_a_limit_calls_no_more_known_crops_unknown_than_stated():
    rng = np.random.default_rng(0)
    beyond = [(rng.exponential(size=1000) > novelty_limit(rng.exponential(size=199), 0.05)).mean() for _ in range(300)]
    error = 3 * np.std(beyond) / 300**0.5
    assert 0.05 - 1 / 200 - error <= np.mean(beyond) <= 0.05 + error


def test_the_limit_is_a_score_itself_and_the_one_that_the_rate_says():
    scores = np.random.default_rng(0).permutation(99).astype(np.float32)
    assert novelty_limit(scores, 0.1) == 89
    assert novelty_limit(scores, 0.01) == 98


def test_too_few_crops_for_a_rate_give_their_largest_score_and_say_so(caplog):
    with caplog.at_level(logging.WARNING):
        assert novelty_limit(np.arange(49, dtype=np.float32), 0.01) == 48
    assert "49 held-out crops" in caplog.text
    assert vouched_rate(49, 0.01) == pytest.approx(0.02)
    assert vouched_rate(500, 0.01) == 0.01


def test_a_limit_without_crops_is_refused():
    with pytest.raises(StationError, match="validation side"):
        novelty_limit(np.empty(0, np.float32), 0.01)


def test_auroc_counts_pairs_and_ties_half():
    assert auroc(np.array([0.0, 1.0], np.float32), np.array([1.0, 2.0], np.float32)) == pytest.approx(3.5 / 4)
