"""Exports of a finished run, in every way and every runtime."""

import importlib.util
import json
import os
import shutil
from pathlib import Path

import pytest
from reports import report_of

from nlpcompress.cli.main import main
from nlpcompress.recipe import exporting, runtimes, smaller


def test_export_again(result, capsys):
    """What an earlier export made in another way is gone: no parity was checked of it."""
    assert (result / "onnx" / "model_int8.onnx").exists()
    assert main(["export", str(result), "--quantize", "none"]) == 0
    assert {p.name for p in (result / "onnx").iterdir()} >= {"model.onnx", "parity.json"}
    assert not (result / "onnx" / "model_int8.onnx").exists()


def test_an_export_that_is_refused_leaves_what_was_there(result, monkeypatch, capsys):
    (result / "onnx" / "model_int8.onnx").write_bytes(b"as it was")
    before = {path.name: path.read_bytes() for path in (result / "onnx").iterdir()}
    monkeypatch.setattr(exporting, "FLOAT_TOLERANCE", -1.0)
    command = ["export", str(result), "--quantize", "dynamic-int8", "export.fuse=false"]
    assert main(command) == 2
    assert "model.onnx" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in (result / "onnx").iterdir()} == before
    monkeypatch.undo()
    assert main(command) == 0
    assert (result / "onnx" / "model_int8.onnx").read_bytes() != b"as it was"


def test_every_runtime_has_its_rows(result, capsys):
    if importlib.util.find_spec("nncf") is None:
        pytest.skip("the extra openvino is not installed")
    wanted = ["export.runtimes=[onnxruntime,openvino]", "export.quantize=nncf-int8"]
    assert main(["run", str(result), *wanted, "bench.rounds=3"]) == 0
    rows = {row["name"]: row for row in report_of(result)["rows"]}
    models, runtimes = ("teacher", "compressed"), ("", "-openvino")
    assert list(rows) == [
        f"{model}{small}{last}"
        for model in models
        for last in runtimes
        for small in ("", "-nncf-int8")
    ]
    assert rows["compressed"]["metrics"] == rows["compressed-openvino"]["metrics"]
    sizes = {name: row["onnx_size_bytes"] for name, row in rows.items()}
    assert sizes["compressed-nncf-int8-openvino"] < sizes["compressed-openvino"]
    assert all(row["latency_ms"]["2x16"]["median"] > 0 for row in rows.values())
    parities = json.loads((result / "onnx" / "parity.json").read_text())["models"]
    assert list(parities) == [
        "model.onnx",
        "model.onnx in openvino",
        "model_nncf_int8.onnx",
        "model_nncf_int8.onnx in openvino",
    ]


def test_all_that_is_installed_is_tried(result, monkeypatch, capsys):
    """Files that left their bounds are told, and the run fails only where all have."""
    monkeypatch.setattr(runtimes, "installed", lambda package: False)
    monkeypatch.setattr(smaller, "installed", lambda package: False)
    wanted = ["export.runtimes=auto", "export.quantize=auto", "bench.rounds=2"]
    bound = "export.max_metric_drop=0.5"
    assert main(["run", str(result), *wanted, bound]) == 0
    names = ("", "-int8", "-static-int8")
    rows = {row["name"]: row for row in report_of(result)["rows"]}
    assert list(rows) == [f"{model}{name}" for model in ("teacher", "compressed") for name in names]
    assert {row["runtime"] for row in rows.values()} == {"onnxruntime"}

    def worse(metric):
        return lambda predict, *data, **options: {
            "accuracy": 0.0 if getattr(predict, "path", Path()).name in metric else 1.0
        }

    command = ["export", str(result), *wanted, bound]
    shutil.rmtree(result / "onnx")
    monkeypatch.setattr(exporting, "evaluate", worse({"model_static_int8.onnx"}))
    assert main(command) == 0
    assert "model_static_int8.onnx left its bounds: accuracy went from" in capsys.readouterr().err
    left = {path.name for path in (result / "onnx").glob("*.onnx")}
    assert left == {"model.onnx", "model_int8.onnx"}
    monkeypatch.setattr(exporting, "evaluate", worse({"model_static_int8.onnx", "model_int8.onnx"}))
    assert main(command) == 2


def test_torch_has_rows_beside_files(result):
    if shutil.which(os.environ.get("CXX", "g++")) is None:
        pytest.skip("no C++ compiler")
    wanted = ["export.runtimes=[onnxruntime,torch,torch-compile]", "export.quantize=none"]
    assert main(["run", str(result), *wanted, "bench.rounds=2"]) == 0
    rows = {row["name"]: row for row in report_of(result)["rows"]}
    assert list(rows)[3:] == ["compressed", "compressed-torch", "compressed-torch-compile"]
    assert rows["compressed-torch-compile"]["metrics"] == rows["compressed"]["metrics"]
    assert rows["compressed-torch"]["onnx_size_bytes"] is None
    assert all(row["latency_ms"]["2x16"]["median"] > 0 for row in rows.values())


def test_a_compiler_is_missed_before_any_work(result, monkeypatch, capsys):
    monkeypatch.setattr(runtimes.shutil, "which", lambda name: None)
    monkeypatch.setenv("CXX", "g++-99")
    wanted = "export.runtimes=[onnxruntime,torch-compile]"
    assert main(["run", str(result), wanted]) == 2
    assert "torch-compile needs a C++ compiler, and there is no g++-99" in capsys.readouterr().err
