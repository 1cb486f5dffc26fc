"""OpenVINO says what torch says, of whole, cut and quantized models; NNCF's files run in both."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from export_models import graph_file, text_batch
from onnx import helper

from nlpcompress.errors import ConfigError, DataError, FormatError, ParityError
from nlpcompress.export import (
    OnnxModel,
    OpenVinoModel,
    check_parity,
    compare,
    count_integer_products,
    export_onnx,
    quantize_nncf,
)
from nlpcompress.export.optional import needed

for package in ("openvino", "nncf"):
    if importlib.util.find_spec(package) is None:
        pytest.skip("the extra openvino is not installed", allow_module_level=True)


def batches(count):
    return [text_batch(4, 10, seed=seed) for seed in range(count)]


def pictures(seed):
    generator = torch.Generator().manual_seed(seed)
    return {"pixel_values": torch.randn(4, 3, 32, 32, generator=generator)}


def test_whole_and_unevenly_cut_models_say_what_torch_says(bert, uneven_bert, tmp_path):
    for name, model in (("whole", bert), ("cut", uneven_bert)):
        path = export_onnx(model, tmp_path / f"{name}.onnx", text_batch())
        several = [text_batch(4, 10), text_batch(1, 20), text_batch(3, 5)]
        assert check_parity(model, OpenVinoModel(path), several).relative < 1e-5


def test_it_takes_what_onnx_runtime_takes(bert_file):
    one, other = OnnxModel(bert_file), OpenVinoModel(bert_file)
    assert one.inputs == other.inputs and one.outputs == other.outputs
    batch = text_batch(4, 10) | {"labels": torch.zeros(4)}
    logits = other({name: value.numpy().astype(np.int32) for name, value in batch.items()})
    assert logits.dtype == np.float32
    np.testing.assert_allclose(logits, one(batch), atol=1e-5)
    del batch["attention_mask"]
    with pytest.raises(DataError, match="the batch lacks attention_mask"):
        other(batch)


def test_texts_of_another_rank_are_told_of(bert_file):
    batch = {name: ids[0] for name, ids in text_batch().items()}
    with pytest.raises(DataError, match=r"model.onnx takes inputs of another shape \(.*shape="):
        OpenVinoModel(bert_file)(batch)


def test_threads_are_what_was_asked_for_and_floats_stay_floats(bert_file):
    for threads in (1, 2):
        compiled = OpenVinoModel(bert_file, threads=threads)._compiled
        assert compiled.get_property("INFERENCE_NUM_THREADS") == threads
        assert str(compiled.get_property("INFERENCE_PRECISION_HINT")) == "<Type: 'float32'>"


def test_missing_and_torn_files_are_told(bert_file, tmp_path):
    with pytest.raises(FormatError, match=r"no ONNX file at .*gone\.onnx"):
        OpenVinoModel(tmp_path / "gone.onnx")
    torn = tmp_path / "model.onnx"
    torn.write_bytes(bert_file.read_bytes()[:1000])
    with pytest.raises(FormatError, match=r"\(1000 bytes\) is torn or not an ONNX .* OpenVINO 20"):
        OpenVinoModel(torn)


def test_a_missing_package_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ConfigError, match=r"pip install nlpcompress\[openvino\]"):
        needed("openvino")


def test_nobody_is_told_of_the_use(bert_file, tmp_path):
    """In a home of its own, where what reports would leave its number."""
    code = (
        "import sys; from nlpcompress.export import OpenVinoModel, quantize_nncf\n"
        "from export_models import text_batch\n"
        "OpenVinoModel(sys.argv[1]); quantize_nncf(sys.argv[1], sys.argv[2], [text_batch()])\n"
        "assert sys.modules['openvino_telemetry'] is None"
    )
    home = tmp_path / "home"
    home.mkdir()
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    command = [sys.executable, "-c", code, str(bert_file), str(tmp_path / "int8.onnx")]
    environment = os.environ | {"HOME": str(home), "PYTHONPATH": paths}
    subprocess.run(command, check=True, env=environment)
    assert not list(home.rglob("*openvino*"))


def test_nncf_puts_the_products_of_an_encoder_on_integers(bert, bert_file, tmp_path):
    path = quantize_nncf(bert_file, tmp_path / "int8.onnx", batches(8))
    assert count_integer_products(path) >= 2 * 6
    assert [file.name for file in tmp_path.iterdir()] == ["int8.onnx"]
    assert path.stat().st_size < bert_file.stat().st_size
    for runtime in (OpenVinoModel, OnnxModel):
        drift = compare(bert, runtime(path), batches(3), tolerance=None).rms_relative
        assert 1e-4 < drift < 0.1


def test_nncf_puts_filters_on_integers(resnet, tmp_path):
    source = export_onnx(resnet, tmp_path / "model.onnx", pictures(0))
    assert check_parity(resnet, OpenVinoModel(source), [pictures(1)]).relative < 1e-5
    path = quantize_nncf(source, tmp_path / "int8.onnx", map(pictures, range(8)))
    assert count_integer_products(path) >= 5
    assert compare(resnet, OpenVinoModel(path), [pictures(9)], tolerance=None).rms_relative < 0.1


def test_what_nncf_cannot_do_is_told_and_nothing_is_written(bert_file, tmp_path):
    with pytest.raises(DataError, match="no batches to see ranges"):
        quantize_nncf(bert_file, tmp_path / "int8.onnx", [])
    plain = graph_file(tmp_path / "plain.onnx", [helper.make_node("Relu", ["x"], ["y"])], {})
    with pytest.raises(ParityError, match=r"nothing in plain\.onnx could be quantised"):
        quantize_nncf(plain, tmp_path / "int8.onnx", [{"x": torch.randn(2, 4)}])
    assert [file.name for file in tmp_path.iterdir()] == ["plain.onnx"]
