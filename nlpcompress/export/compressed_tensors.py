"""Quantized models as folders that transformers opens with compressed-tensors, without us.

The format is pack-quantized: the linear layer `…` is stored as

    ….weight_packed  int32 (rows, ⌈columns · bits / 32⌉), each row's codes from the lowest bit on
    ….weight_scale   (rows, columns / group_size), in the model's own type
    ….weight_shape   int64, rows and columns

A code c stands for `scale · (c - 2^(bits - 1))`. Source: compressed-tensors 0.20,
`compressors/pack_quantized`. Opened with it: BERT, DistilBERT, DeBERTa, Llama and ViT, by both
generations of transformers; T5 by neither. transformers 4.57 computes in float16 unless it is told
`dtype=torch.float32`.
"""

import copy
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from nlpcompress.core.whole import flush, flush_tree
from nlpcompress.errors import FormatError
from nlpcompress.export.partial import partial_folder
from nlpcompress.models.activations import RoundedInputs
from nlpcompress.models.codes import pack_codes
from nlpcompress.models.dense import put_dense
from nlpcompress.models.grid import Scheme
from nlpcompress.models.quantized import Quantized, QuantizedLinear
from nlpcompress.models.record import record_structure
from nlpcompress.models.structure import names_on_disk, skeleton
from nlpcompress.surgery.holders import say_tied, table_of

METHOD, FORMAT = "compressed-tensors", "pack-quantized"
WEIGHTS, CONFIG = "model.safetensors", "config.json"
BEFORE = "_pre_quantization_dtype"
"""What transformers 4.57 notes in a config that it loads, and cannot write without the block."""
WORD = 32
"""Bits of the whole numbers that codes are packed in."""

Layers = Mapping[str, QuantizedLinear]


def export_compressed_tensors(
    model: PreTrainedModel, out: str | Path, *, extra_files: Iterable[Path] = ()
) -> Path:
    """Write config, weights and copies of `extra_files` to the new folder `out`, and return it.

    Linear layers with symmetric groups stay packed. Tables, layers tied to them and convolutions,
    which the format has not, are written as the dense numbers that their codes stand for. The
    folder is written beside `out` and renamed when it is whole; the model is not changed.

    Raises `FormatError` when `out` is there, when a linear layer is not symmetric, when none is
    quantized, and for shapes that no stock config can say (cut unevenly, factored, shared).
    """
    out = Path(out)
    if out.exists():
        raise FormatError(f"{out} is there already; remove it, or name another folder")
    layers = _packable(model)
    dense = _dense(model)
    if not layers:
        raise FormatError("no linear layer is quantized; without one, save_model is enough")
    with partial_folder(out) as folder:
        dense.save_pretrained(folder, max_shard_size="1000TB")
        _pack(folder / WEIGHTS, layers, names_on_disk(dense))
        _describe(folder / CONFIG, {path: layer.scheme for path, layer in layers.items()})
        for file in extra_files:
            shutil.copyfile(file, folder / file.name)
        flush_tree(folder)
        os.replace(folder, out)
        flush(out.parent)
    return out


def _packable(model: nn.Module) -> Layers:
    """Path → quantized linear layer that has its weight for itself."""
    turned = {p for p, m in skeleton(model).named_modules() if isinstance(m, Conv1D)}
    modules = {p: m for p, m in model.named_modules() if isinstance(m, Quantized)}
    holders = Counter(id(module.weight) for module in modules.values())
    layers = {
        path: module
        for path, module in modules.items()
        if isinstance(module, QuantizedLinear) and holders[id(module.weight)] == 1
    }
    for path, layer in layers.items():
        if path in turned:
            raise FormatError(f"'{path}' is a Conv1D, which compressed-tensors cannot quantize")
        if not layer.scheme.sym:
            raise FormatError(
                f"'{path}.weight' has zero points, and transformers reads compressed-tensors "
                "without: quantize it with sym: true"
            )
        if isinstance(layer.inputs, RoundedInputs):
            raise FormatError(
                f"the inputs of '{path}' are rounded, and what is written here has no place for "
                "that: quantize it without input_bits"
            )
    return layers


def _dense(model: PreTrainedModel) -> PreTrainedModel:
    """A copy with dense modules that its stock config describes."""
    dense = copy.deepcopy(model)
    put_dense(dense, lambda module: module.decoded().to(model.dtype))
    table, head = table_of(dense), dense.get_output_embeddings()
    if table is not None and head is not None and head.weight is table.weight:
        say_tied(dense, True)
    vars(dense.config).pop(BEFORE, None)
    structure = record_structure(dense)
    if structure:
        raise FormatError(
            f"the stock config cannot say this model's {', '.join(structure)}; compressed-tensors "
            "holds stock shapes only, save_model holds these"
        )
    return dense


def _pack(path: Path, layers: Layers, on_disk: Mapping[str, str]) -> None:
    tensors = load_file(path)
    for module, layer in layers.items():
        name = on_disk[f"{module}.weight"]
        parts = _parts(layer, tensors.pop(name).dtype)
        tensors |= {f"{name.removesuffix('weight')}{part}": value for part, value in parts.items()}
    save_file(tensors, path, metadata={"format": "pt"})


def _parts(layer: QuantizedLinear, dtype: torch.dtype) -> dict[str, Tensor]:
    scheme, scale = layer.scheme, layer.grid().scale
    return {
        "weight_packed": _words(layer.codes(), scheme.bits),
        "weight_scale": scale.repeat_interleave(scheme.group_rows, 0).to(dtype),
        "weight_shape": torch.tensor([scheme.rows, scheme.columns]),
    }


def _words(codes: Tensor, bits: int) -> Tensor:
    """uint8 `(rows, columns)` → int32 `(rows, ⌈columns · bits / 32⌉)`."""
    rows, columns = codes.shape
    padded = nn.functional.pad(codes, (0, -columns % WORD))
    words = pack_codes(padded.flatten(), bits).view(torch.int32).view(rows, -1)
    return words[:, : -(-columns * bits // WORD)].contiguous()


def _describe(path: Path, schemes: Mapping[str, Scheme]) -> None:
    groups: dict[tuple[int, int], list[str]] = {}
    for module, scheme in schemes.items():
        groups.setdefault((scheme.bits, scheme.group_size), []).append(module)
    block = {
        "quant_method": METHOD,
        "format": FORMAT,
        "quantization_status": "compressed",
        "config_groups": {
            f"group_{place}": {"targets": targets, "weights": _weights(*kind)}
            for place, (kind, targets) in enumerate(groups.items())
        },
    }
    config = json.loads(path.read_text(encoding="utf-8")) | {"quantization_config": block}
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _weights(bits: int, group_size: int) -> dict[str, Any]:
    return {
        "num_bits": bits,
        "type": "int",
        "symmetric": True,
        "strategy": "group",
        "group_size": group_size,
    }
