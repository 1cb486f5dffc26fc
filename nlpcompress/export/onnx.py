"""A model as one ONNX file with a free batch size and, for text, a free length."""

import logging
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from onnx_ir.passes.common import ClearMetadataAndDocStringPass, DeduplicateInitializersPass
from torch import Tensor, nn
from torch.export import Dim

from nlpcompress.errors import AxisError, ParityError, PlanError
from nlpcompress.export.fuse import fuse_attention
from nlpcompress.export.graph import (
    name_dimensions,
    spell_residuals_as_sums,
    store_scales_as_halves,
)
from nlpcompress.export.inputs import free_dimensions, model_inputs, other_shape
from nlpcompress.export.mode import exporting, suited
from nlpcompress.export.packed import packed
from nlpcompress.export.partial import partial_folder, publish
from nlpcompress.export.quiet import quiet
from nlpcompress.export.runtime import OnnxModel
from nlpcompress.models.activations import rounds_inputs
from nlpcompress.models.dense import decoded_stand_ins, stand_ins
from nlpcompress.models.halves import in_float32
from nlpcompress.models.quantized import records

OPSET = 20
"""The first opset with GELU as one operator; ONNX Runtime reads it since 1.17."""

TOLERANCE = 1e-3
"""Largest difference of an output, relative to its largest value, at the other shape tried here.

Only a wrong graph exceeds it; `check_parity` is the fine gate.
"""
ROUNDED_TOLERANCE = 0.5
"""The same where inputs of layers are rounded: one that lies between two numbers may go either way,
and so may all that follow it. Six layers of 8-bit inputs were 0.15 apart, one layer 1e-6.
"""

Weights = Literal["decoded", "codes"]

logger = logging.getLogger(__name__)


def export_onnx(
    model: nn.Module,
    path: str | Path,
    example_inputs: Mapping[str, Tensor],
    *,
    weights: Weights = "decoded",
    fuse: bool = True,
) -> Path:
    """Write `model` to `path` as ONNX and return the path.

    Inputs keep their names and order. Their first dimension is free (`batch`), and so is the second
    of ids and masks (`length`, `decoder_length`). Outputs are called as the model calls them:
    `logits` for one with a task. The model is exported in eval mode, with the attention it has, and
    left in the mode it was in. Weights lie in the file itself, above 2 GB beside it
    (`model.onnx.data`).

    Quantized weights are written as the floats that their codes stand for, or, with
    `weights="codes"`, as the codes themselves for ONNX Runtime's own operators: nothing is rounded
    again (`nlpcompress.export.packed` says which operators). A model that holds half types is
    exported as its float32 copy.

    With `fuse` attention is one operator of ONNX Runtime's, which OpenVINO reads, too; without it
    the file has standard operators only, but for codes.

    The file is written in a folder beside `path`, and renamed once it is whole and has been run at
    another batch size and length than the example's: `path` never holds a torn model.

    Raises `AxisError` when the model's graph cannot be read with free dimensions, and `ParityError`
    when it does not compute what the model computes at that other shape, `PlanError` for the codes
    of a model that has none.
    """
    path = Path(path)
    model = in_float32(model)
    inputs = suited(model_inputs(example_inputs), model)
    with exporting(model), partial_folder(path) as folder:
        program = _trace(model, inputs, weights)
        rewritten = spell_residuals_as_sums(program.model.graph)
        name_dimensions(program.model.graph, free_dimensions(inputs))
        fused = fuse_attention(program.model) if fuse else 0
        # What the exporter notes of each node: traces with this machine's paths, 0.1 MB a layer.
        ClearMetadataAndDocStringPass()(program.model)
        DeduplicateInitializersPass(size_limit=sys.maxsize)(program.model)
        store_scales_as_halves(program.model.graph)
        program.save(folder / path.name)
        _check_other_shape(model, OnnxModel(folder / path.name), other_shape(inputs))
        publish(folder, path)
    logger.info("exported %s (%d attentions fused, %d residual sums)", path.name, fused, rewritten)
    return path


def _stand_ins(model: nn.Module, weights: Weights) -> AbstractContextManager[None]:
    if weights == "decoded":
        return decoded_stand_ins(model)
    if not records(model):
        raise PlanError(
            f"{type(model).__name__} has no quantized weights whose codes could be written; "
            "quantize it first, or export it with weights='decoded'"
        )
    return stand_ins(model, packed)


def _trace(model: nn.Module, inputs: dict[str, Tensor], weights: Weights) -> torch.onnx.ONNXProgram:
    free = free_dimensions(inputs)
    names = list(_outputs(model, inputs))
    try:
        with quiet(logger), _stand_ins(model, weights):
            program = torch.onnx.export(
                model,
                (),
                kwargs=inputs,
                dynamo=True,
                dynamic_shapes={name: dict.fromkeys(free[name], Dim.DYNAMIC) for name in inputs},
                input_names=list(inputs),
                output_names=names,
                opset_version=OPSET,
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        raise AxisError(_unreadable(model, inputs, error)) from error
    assert program is not None, "the dynamo exporter returns a program"
    return program


def _unreadable(model: nn.Module, inputs: dict[str, Tensor], error: Exception) -> str:
    """The innermost error says what is wrong; those around it how torch.onnx found out."""
    while error.__cause__ is not None:
        error = error.__cause__
    shapes = ", ".join(f"{name} {tuple(value.shape)}" for name, value in inputs.items())
    return (
        f"cannot export {type(model).__name__} with free dimensions on {shapes}: torch.export says "
        f"{type(error).__name__}: {str(error)[:500]}; the forward pass must accept other sizes and "
        "must not branch on the values of tensors"
    )


@torch.no_grad()
def _outputs(model: nn.Module, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """What the model returns, by name; a bare tensor counts as logits."""
    outputs = model(**inputs)
    if isinstance(outputs, Tensor):
        return {"logits": outputs}
    return {name: value for name, value in outputs.items() if isinstance(value, Tensor)}


def _check_other_shape(model: nn.Module, exported: OnnxModel, inputs: dict[str, Tensor]) -> None:
    shapes = ", ".join(f"{name} {tuple(value.shape)}" for name, value in inputs.items())
    got = exported.run(inputs)
    allowed = ROUNDED_TOLERANCE if rounds_inputs(model) else TOLERANCE
    for name, expected in _outputs(model, inputs).items():
        wanted = expected.numpy(force=True)
        if got[name].shape != wanted.shape:
            raise ParityError(
                f"the exported graph is not dynamic: at {shapes} its {name} are "
                f"{got[name].shape}, the model's {wanted.shape}"
            )
        error = np.abs(got[name] - wanted).max() / max(np.abs(wanted).max(), 1e-12)
        if not error <= allowed:
            raise ParityError(
                f"the exported graph computes something else: at {shapes} its {name} differ by "
                f"{error:.1e} of their largest value, {allowed:.0e} is allowed"
            )
