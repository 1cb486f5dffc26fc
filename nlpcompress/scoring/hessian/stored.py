"""Sensitivities that are found once: in a folder, under a hash of all that they come from.

The hash is of the model's weights, class and config, the blocks, the batches of each run, how the
runs are made, and the versions of what computed them. Anything else makes another file, so that
none is ever stale.
"""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from torch import nn

from nlpcompress.core.hashing import class_and_config, hash_tensors
from nlpcompress.core.whole import whole_file
from nlpcompress.scoring.examples import on_device_of
from nlpcompress.scoring.hessian.products import Batch
from nlpcompress.scoring.hessian.sensitivity import Runs, Sensitivity, sensitivities
from nlpcompress.scoring.trace import no_trace

FORMAT_VERSION = 1
Blocks = Mapping[str, Sequence[str]]
Parts = Callable[[int], Sequence[Batch]]


def stored_sensitivities(
    folder: Path,
    model: nn.Module,
    blocks: Blocks,
    batches_of_run: Parts,
    how: Runs,
    *,
    shared: bool = False,
) -> dict[str, Sensitivity]:
    """As `sensitivities`, from `folder`, or computed and written there.

    A file that is torn or not ours is written anew. With `shared` the main process reads for all.
    """
    is_main = not shared or PartialState().is_main_process
    path = folder / f"{_key(model, blocks, batches_of_run, how)}.json" if is_main else None
    found = _read(path, blocks, how) if path else None
    if shared:
        (found,) = broadcast_object_list([found])
    if found is None:
        found = sensitivities(model, blocks, batches_of_run, how, shared=shared)
        if path:
            _write(path, found)
    return found


def _read(path: Path, blocks: Blocks, how: Runs) -> dict[str, Sensitivity] | None:
    """None where there is no such file, or not a whole one."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    values = record.get("values") if isinstance(record, dict) else None
    if not _fits(values, blocks, how) or record.get("format_version") != FORMAT_VERSION:
        return None
    return {block: Sensitivity(tuple(values[block]), how.kind) for block in blocks}


def _fits(values: Any, blocks: Blocks, how: Runs) -> bool:
    """Whether it is block → one number a run."""
    return (
        isinstance(values, dict)
        and set(values) == set(blocks)
        and all(isinstance(own, list) and len(own) == how.count for own in values.values())
        and all(isinstance(value, float) for own in values.values() for value in own)
    )


def _write(path: Path, found: Mapping[str, Sensitivity]) -> None:
    """Jobs that share a folder may come to the same values at once."""
    values = {block: sensitivity.values for block, sensitivity in found.items()}
    text = json.dumps({"format_version": FORMAT_VERSION, "values": values}, indent=1)
    with whole_file(path, alone=False) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _key(model: nn.Module, blocks: Blocks, batches_of_run: Parts, how: Runs) -> str:
    _settle(model, batches_of_run(0))
    versions = [FORMAT_VERSION, torch.__version__, transformers.__version__]
    named = {block: list(names) for block, names in blocks.items()}
    parts = [*class_and_config(model), named, dataclasses.asdict(how), versions]
    total = hashlib.sha256(json.dumps(parts, default=str).encode())
    total.update(hash_tensors(model.state_dict()))
    for run in range(how.count):
        for batch in batches_of_run(run):
            total.update(hash_tensors(batch, f"run {run}"))
    return total.hexdigest()[:32]


@torch.no_grad()
def _settle(model: nn.Module, batches: Sequence[Batch]) -> None:
    """The first loss of a classifier writes its kind (`problem_type`) into the config."""
    with no_trace(model):
        for batch in batches[:1]:
            model(**on_device_of(model, batch))
