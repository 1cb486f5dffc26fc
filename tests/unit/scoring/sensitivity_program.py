"""A program of several processes that share the runs of sensitivities."""

import json
import sys
import warnings

from accelerate import PartialState
from torch.utils.data import default_collate

from nlpcompress.scoring.hessian import Runs, blocks_of, sensitivities
from tests.unit.training.training_tiny import Examples, tiny_bert

RUNS = 3


def found(*, shared):
    """Block → values, and the numbers of the runs that this process was asked the batches of."""
    warnings.simplefilter("ignore")
    model, asked = tiny_bert(), []

    def batches_of_run(run):
        asked.append(run)
        return [default_collate([Examples()[run * 4 + i] for i in range(4)])]

    blocks = blocks_of(model, "layers")
    result = sensitivities(model, blocks, batches_of_run, Runs(RUNS), shared=shared)
    return {block: sensitivity.values for block, sensitivity in result.items()}, asked


def main():
    """Write both to `sensitivities-<rank>.json` in the folder that is named."""
    state = PartialState(cpu=True)
    with open(f"{sys.argv[1]}/sensitivities-{state.process_index}.json", "w") as file:
        json.dump(found(shared=True), file)
