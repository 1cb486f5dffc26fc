"""OpenVINO as its users have it: floats, and 8 bits by NNCF."""

from pathlib import Path

import numpy as np
import openvino
from serve import Arrays, Predict, calibration, run


def make(kind: str, work: Path, artefact: Path) -> None:
    model = openvino.Core().read_model(work / "model.onnx")
    if kind == "nncf-int8":
        import nncf

        feeds = calibration(work)
        model = nncf.quantize(
            model,
            nncf.Dataset(feeds),
            model_type=nncf.ModelType.TRANSFORMER,
            subset_size=len(feeds),
        )
    openvino.save_model(model, artefact, compress_to_fp16=False)


def load(artefact: Path) -> Predict:
    options = {"INFERENCE_NUM_THREADS": 1, "PERFORMANCE_HINT": "LATENCY"}
    compiled = openvino.Core().compile_model(str(artefact), "CPU", options)
    names = [port.any_name for port in compiled.inputs]

    def predict(arrays: Arrays) -> np.ndarray:
        return compiled({name: arrays[name] for name in names})["logits"]

    return predict


if __name__ == "__main__":
    run(make, load)
