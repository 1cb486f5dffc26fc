"""Writes a model folder: whole and verified by reloading, or not at all."""

import json
import shutil
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch.func import functional_call
from transformers import PreTrainedModel

from nlpcompress.core.plan import Plan
from nlpcompress.errors import FormatError, VerificationError
from nlpcompress.io import loader, packing
from nlpcompress.io.format import Manifest, read_json, write_manifest
from nlpcompress.io.load import open_model
from nlpcompress.io.storage import Storage, check_storage, pack_folder
from nlpcompress.io.swap import replacing
from nlpcompress.models import (
    activations,
    codes,
    factors,
    filters,
    grid,
    heads,
    quantized,
    structure,
    ties,
)
from nlpcompress.models.examples import example_inputs as made_up_inputs
from nlpcompress.models.record import record_structure
from nlpcompress.surgery.verify import floating_outputs

LOADER_FILES = {
    "nlpcompress_loader.py": loader.__file__,
    "nlpcompress_structure.py": structure.__file__,
    "nlpcompress_factors.py": factors.__file__,
    "nlpcompress_filters.py": filters.__file__,
    "nlpcompress_heads.py": heads.__file__,
    "nlpcompress_activations.py": activations.__file__,
    "nlpcompress_codes.py": codes.__file__,
    "nlpcompress_grid.py": grid.__file__,
    "nlpcompress_quantized.py": quantized.__file__,
    "nlpcompress_ties.py": ties.__file__,
    "nlpcompress_packing.py": packing.__file__,
}

UNCHANGED = Plan()
NOTHING: Mapping[str, Any] = MappingProxyType({})


def save_model(  # noqa: PLR0913
    model: PreTrainedModel,
    out: str | Path,
    *,
    processor: Any = None,
    plan: Plan = UNCHANGED,
    lineage: Mapping[str, Any] = NOTHING,
    extra_files: Mapping[str, str] = NOTHING,
    max_shard_size: str = "5GB",
    storage: Storage = "dense",
    example_inputs: Mapping[str, torch.Tensor] | None = None,
) -> Path:
    """Write config, weights, processor and nlpcompress.json to the folder `out`, and return it.

    What a stock config can say is saved stock; any other shape is recorded in config.json, with the
    loader's files beside it. The new folder is reopened before it takes the place of an older
    `out`: its logits on `example_inputs` (made up for texts and pictures) must equal the model's to
    the last bit. Files in `out` that no earlier save wrote stay there, but for weights that a
    reader could take for the new ones. `lineage` is JSON; `extra_files` maps names to their text.

    With `storage` "bitmask" the body's weights are stored as a bit mask and their nonzeros where
    that is smaller, with "bitmask-int8" as a bit mask, int8 values and a scale a row, which must
    hold them exactly (`round_to_int8` makes it so). Opened again they are dense in memory.

    Raises `FormatError` when the folder cannot be written, the model not be described or a weight
    not be held, `ConfigError` for another `storage`, `VerificationError` when the reopened model
    computes something else, or there is nothing to compute it on.
    """
    check_storage(storage)
    out = Path(out).resolve()
    shapes = record_structure(model)
    with replacing(out) as folder:
        with loader.stand_ins(model):
            model.save_pretrained(folder, max_shard_size=max_shard_size)
        if processor is not None:
            processor.save_pretrained(folder)
        packed = pack_folder(folder, model, storage)
        if shapes or packed:
            _add_loader(folder, packed)
        for name, text in extra_files.items():
            (folder / name).write_text(text, encoding="utf-8")
        files = tuple(path.name for path in folder.iterdir())
        write_manifest(folder, Manifest(plan, dict(lineage), files))
        _check_reloads(model, folder, example_inputs)
    return out


def _add_loader(folder: Path, packed: Mapping[str, Any]) -> None:
    for name, source in LOADER_FILES.items():
        shutil.copyfile(source, folder / name)
    path = folder / "config.json"
    config = read_json(path) | {"auto_map": loader.AUTO_MAP}
    if packed:
        block = loader.StructureConfig(packing=dict(packed)).to_dict()
        config["quantization_config"] = block | config.get("quantization_config", {})
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _check_reloads(
    model: PreTrainedModel, folder: Path, inputs: Mapping[str, torch.Tensor] | None
) -> None:
    """Open the folder as the model's type, device and attention; random state stays as it is."""
    attention = getattr(model.config, "_attn_implementation", None)
    options = {"dtype": model.dtype, "attn_implementation": attention}
    with torch.random.fork_rng():
        try:
            twin = open_model(type(model), folder, strict=True, **options).to(model.device)
        except FormatError as error:
            raise VerificationError(f"the model just saved does not reload: {error}") from error
        _check_bits(model, twin)
        _check_logits(model, twin, inputs)


def _check_bits(model: PreTrainedModel, twin: PreTrainedModel) -> None:
    again = twin.state_dict()
    other = [n for n, t in model.state_dict().items() if not _same(t, again[n])]
    if other:
        raise VerificationError(
            f"{len(other)} tensors of the model just saved are not what was in memory, first "
            f"'{other[0]}'; nothing was written to the output folder"
        )


def _check_logits(
    model: PreTrainedModel, twin: PreTrainedModel, given: Mapping[str, torch.Tensor] | None
) -> None:
    """Both with aligned tensors: where a tensor lies in memory moves the last bits of a sum."""
    tied_once = chain(model.named_parameters(), model.named_buffers())
    tensors = {name: loader.aligned(tensor) for name, tensor in tied_once}

    def run(batch: Mapping[str, torch.Tensor]) -> Any:
        return functional_call(model, tensors, (), batch)

    try:
        inputs = made_up_inputs(model) if given is None else given
        live = floating_outputs(model, inputs, run)
    except Exception as error:  # whatever another model's code raises on inputs it does not know
        raise VerificationError(
            f"the model does not run on {'made-up' if given is None else 'these'} inputs "
            f"({type(error).__name__}: {error}), so nothing shows that it reloads, and nothing was "
            "written; pass the keyword arguments of a forward pass as example_inputs="
        ) from error
    pairs = zip(live, floating_outputs(twin, inputs), strict=True)
    differences = [float((a - b).abs().max()) for a, b in pairs if not _same(a, b)]
    if differences:
        raise VerificationError(
            f"the model just saved differs from the one in memory by {max(differences):.1e} when "
            "reloaded, allowed is exactly 0; nothing was written to the output folder"
        )


def _same(a: torch.Tensor, b: torch.Tensor) -> bool:
    alike = a.shape == b.shape and a.dtype == b.dtype
    return alike and torch.allclose(a, b, rtol=0, atol=0, equal_nan=True)
