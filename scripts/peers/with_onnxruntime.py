"""ONNX Runtime as its users have it: floats, and 8 bits by its own tools as they come."""

import shutil
from pathlib import Path

import numpy as np
import onnxruntime
from serve import Arrays, Predict, calibration, run


def make(kind: str, work: Path, artefact: Path) -> None:
    source = work / "model.onnx"
    if kind == "float":
        shutil.copy(source, artefact)
        return
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    prepared = artefact.with_suffix(".prepared.onnx")
    quant_pre_process(source, prepared)
    if kind == "dynamic-int8":
        quantization.quantize_dynamic(prepared, artefact, weight_type=quantization.QuantType.QInt8)
    else:
        quantization.quantize_static(
            prepared,
            artefact,
            reader(work),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=["MatMul", "Gather"],
        )
    prepared.unlink()


def reader(work: Path) -> object:
    from onnxruntime import quantization

    class Reader(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self.rest = iter(calibration(work))

        def get_next(self) -> Arrays | None:
            return next(self.rest, None)

    return Reader()


def load(artefact: Path) -> Predict:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        str(artefact), options, providers=["CPUExecutionProvider"]
    )
    names = [value.name for value in session.get_inputs()]

    def predict(arrays: Arrays) -> np.ndarray:
        (logits,) = session.run(["logits"], {name: arrays[name] for name in names})
        return logits

    return predict


if __name__ == "__main__":
    run(make, load)
