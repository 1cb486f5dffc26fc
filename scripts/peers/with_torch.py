"""PyTorch as its users have it: floats, its dynamic 8 bits, and torchao's."""

import shutil
from pathlib import Path

import numpy as np
import torch
from serve import Arrays, Predict, run
from transformers import AutoModelForSequenceClassification


def make(kind: str, work: Path, artefact: Path) -> None:
    """The weights lie as the model has them: both tools quantize at load, and save pickles."""
    shutil.copytree(work / "model", artefact)
    (artefact / "kind").write_text(kind)


def load(artefact: Path) -> Predict:
    torch.set_num_threads(1)
    model = AutoModelForSequenceClassification.from_pretrained(artefact).eval()
    kind = (artefact / "kind").read_text()
    if kind == "dynamic-int8":
        model = torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear}, torch.qint8)
    elif kind == "torchao-int8":
        from torchao.quantization import Int8DynamicActivationInt8WeightConfig, quantize_

        quantize_(model, Int8DynamicActivationInt8WeightConfig())

    @torch.inference_mode()
    def predict(arrays: Arrays) -> np.ndarray:
        tensors = {name: torch.from_numpy(values) for name, values in arrays.items()}
        return model(**tensors).logits.numpy()

    return predict


if __name__ == "__main__":
    run(make, load)
