"""A program of several processes whose data differ: which bits each of them trains with."""

import json
import os
import sys

import torch
from accelerate import PartialState

from nlpcompress.core.method import Context
from nlpcompress.methods import make_method
from nlpcompress.methods.quantization import hessian_mixed
from tests.unit.training.training_tiny import Examples, tiny_bert


def main():
    """Write the bits to `bits-<rank>.json` in the folder that is named."""
    PartialState(cpu=True)
    rank = int(os.environ["RANK"])
    hessian_mixed.omegas = lambda *_, **__: {"layers.0": 1.0 - rank, "layers.1": rank - 0.5}
    batch = torch.utils.data.default_collate([Examples()[i] for i in range(4)])
    inputs = {name: value for name, value in batch.items() if name != "labels"}
    method = make_method("hessian_mixed", {"bits": [2, 4]})
    gates = method.prepare(tiny_bert(), Context(inputs, lambda: [batch]))
    bits = [grid.scheme.bits for grid in gates.grids]
    with open(f"{sys.argv[1]}/bits-{rank}.json", "w") as file:
        json.dump(bits, file)
