"""Sensitivities that are found once, however many recipes and processes ask for them."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from torch import nn

from nlpcompress.scoring.hessian.products import Batch
from nlpcompress.scoring.hessian.sensitivity import Runs, Sensitivity, sensitivities
from nlpcompress.scoring.stored import numbers_file, numbers_key, read_numbers, write_numbers

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
    path = numbers_file(folder, _key(model, blocks, batches_of_run, how)) if is_main else None
    values = read_numbers(path, dict.fromkeys(blocks, how.count)) if path else None
    if shared:
        (values,) = broadcast_object_list([values])
    if values is not None:
        return {block: Sensitivity(tuple(own), how.kind) for block, own in values.items()}
    found = sensitivities(model, blocks, batches_of_run, how, shared=shared)
    if path:
        write_numbers(path, {block: list(own.values) for block, own in found.items()})
    return found


def _key(model: nn.Module, blocks: Blocks, batches_of_run: Parts, how: Runs) -> str:
    parts = [batches_of_run(run) for run in range(how.count)]
    named = {block: list(names) for block, names in blocks.items()}
    said = [named, dataclasses.asdict(how), [len(part) for part in parts]]
    return numbers_key(model, _in_order(parts), said)


def _in_order(parts: Sequence[Sequence[Batch]]) -> Iterator[Batch]:
    return (batch for part in parts for batch in part)
