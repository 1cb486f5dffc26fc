import json

import numpy as np
import onnx
import pytest
import torch
from export_models import text_batch
from onnx import numpy_helper

from nlpcompress.errors import FormatError, ParityError
from nlpcompress.export import (
    MetricGate,
    OnnxModel,
    check_parity,
    compare,
    read_parity,
    write_parity,
)

BATCH = {"input_ids": torch.ones(2, 3)}


def says(logits):
    return lambda batch: np.array(logits, dtype=np.float32)


def gate(candidate, **changes):
    values = {"metric": "accuracy", "reference": 0.86, "max_metric_drop": 0.02, **changes}
    return MetricGate(candidate=candidate, **values)


def test_the_figures_of_a_comparison_are_right():
    parity = compare(says([[3.0, -4.0], [0.0, 1.0]]), says([[3.0, -4.0], [1.2, 1.0]]), [BATCH])
    assert parity.max_difference == pytest.approx(1.2)
    assert parity.scale == 4.0
    assert parity.relative == pytest.approx(0.3)
    assert parity.rms_relative == pytest.approx(1.2 / 26**0.5)
    assert (parity.agreement, parity.rows, parity.shapes) == (0.5, 2, ("2x3",))


def test_regression_has_no_agreement():
    assert compare(says([[1.0], [2.0]]), says([[1.0], [2.0]]), [BATCH]).agreement is None


def test_a_perturbed_weight_in_the_file_breaks_the_gate(bert, bert_file, tmp_path):
    """The injected error: the classifier's weights in the file are 0.1 % too large."""
    model = onnx.load(bert_file)
    name = "classifier.weight"
    weight = next(tensor for tensor in model.graph.initializer if tensor.name == name)
    weight.CopyFrom(
        numpy_helper.from_array(numpy_helper.to_array(weight) * np.float32(1.001), name)
    )
    onnx.save(model, tmp_path / "model.onnx")
    batches = [text_batch(4, 8), text_batch(2, 20)]
    check_parity(bert, OnnxModel(bert_file), batches)
    with pytest.raises(ParityError, match=r"logits differ by up to .*, where 1e-04 is allowed"):
        check_parity(bert, OnnxModel(tmp_path / "model.onnx"), batches)


def test_a_drop_of_the_metric_is_judged_in_absolute_terms():
    same = says([[1.0, 2.0]])
    check_parity(same, same, [BATCH], tolerance=None, gates=[gate(0.84)])
    with pytest.raises(
        ParityError, match=r"accuracy went from 0\.8600 to 0\.8390, worse by 0\.0210"
    ):
        check_parity(same, same, [BATCH], tolerance=None, gates=[gate(0.839)])


def test_the_drop_of_an_error_measure_is_its_rise():
    higher = gate(0.87, metric="mse", higher_is_better=False)
    assert higher.drop == pytest.approx(0.01)
    assert gate(0.5, metric="mse", higher_is_better=False).drop < 0


def test_a_metric_that_is_no_number_does_not_pass():
    same = says([[1.0, 2.0]])
    with pytest.raises(ParityError, match="accuracy went from"):
        check_parity(same, same, [BATCH], gates=[gate(float("nan"))])


def test_drift_is_reported_and_not_judged_without_a_tolerance():
    parity = check_parity(says([[1.0, 2.0]]), says([[1.5, 2.0]]), [BATCH], tolerance=None)
    assert parity.relative == pytest.approx(0.25)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_logits_that_are_not_finite_are_refused(bad):
    with pytest.raises(ParityError, match="exported logits are not all finite"):
        compare(says([[1.0, 2.0]]), says([[bad, 2.0]]), [BATCH], tolerance=None)


def test_unequal_shapes_and_no_batches_are_refused():
    with pytest.raises(ParityError, match=r"at batch 2x3 the exported logits are \(1, 3\)"):
        compare(says([[1.0, 2.0]]), says([[1.0, 2.0, 3.0]]), [BATCH])
    with pytest.raises(ParityError, match="at least one batch"):
        compare(says([[1.0]]), says([[1.0]]), [])


def test_the_record_is_read_back_equal(tmp_path):
    same = says([[1.0, 2.0]])
    seen = {
        "model.onnx": compare(same, same, [BATCH]),
        "model_int8.onnx": compare(same, same, [BATCH], tolerance=None, gates=[gate(0.85)]),
    }
    path = write_parity(tmp_path / "parity.json", seen)
    assert read_parity(path) == seen
    content = json.loads(path.read_text())
    assert content["models"]["model_int8.onnx"]["gates"][0]["max_metric_drop"] == 0.02
    path.write_text(json.dumps({**content, "format_version": 9}))
    with pytest.raises(FormatError, match="format version 9"):
        read_parity(path)
    path.write_text("{")
    with pytest.raises(FormatError, match="not a parity record"):
        read_parity(path)
