"""A program of several processes that share the runs of sensitivities."""

import json
import sys
import warnings
from pathlib import Path

import torch
from accelerate import PartialState
from torch.utils.data import default_collate

from nlpcompress.scoring.hessian import (
    Runs,
    blocks_of,
    sensitivities,
    sensitivity,
    stored_sensitivities,
)
from tests.unit.training.training_tiny import Examples, tiny_bert

RUNS = 3


def found(*, shared, cache=None):
    """Block → values, and the numbers of the runs whose Hessians this process took."""
    warnings.simplefilter("ignore")
    model, asked = tiny_bert(), []

    def batches_of_run(run):
        return [default_collate([Examples()[run * 4 + i] for i in range(4)])]

    plain = sensitivity.BlockHessians

    def noted(model, blocks, batches):
        (run,) = (r for r in range(RUNS) if same(batches_of_run(r), batches))
        asked.append(run)
        return plain(model, blocks, batches)

    sensitivity.BlockHessians = noted
    try:
        args = model, blocks_of(model, "layers"), batches_of_run, Runs(RUNS)
        if cache:
            result = stored_sensitivities(Path(cache), *args, shared=shared)
        else:
            result = sensitivities(*args, shared=shared)
    finally:
        sensitivity.BlockHessians = plain
    return {block: own.values for block, own in result.items()}, asked


def same(one, other):
    return all(torch.equal(a[key], b[key]) for a, b in zip(one, other, strict=True) for key in a)


def main():
    """Write both to `sensitivities-<rank>.json` in the first folder; the second is a cache."""
    state = PartialState(cpu=True)
    with open(f"{sys.argv[1]}/sensitivities-{state.process_index}.json", "w") as file:
        json.dump(found(shared=True, cache=(sys.argv[2:] or [None])[0]), file)
