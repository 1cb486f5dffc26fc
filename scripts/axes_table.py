#!/usr/bin/env python3
"""Print a Markdown table: family × kind of axis → how many are exact, how many frozen and why.

Every free axis is cut to a random half and compared with the masked model; "exact" counts those
that agree to 1e-5 relative. BERT-base and ResNet-50 sized models (random weights) are analysed too.
Run from the repository's root: `python scripts/axes_table.py`.
"""

import argparse
import copy
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import torch
import transformers
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from families import FAMILIES

from nlpcompress.axes import Axes, Axis, find_axes
from nlpcompress.core.edits import Keep
from nlpcompress.surgery.keep import cut, kept_masks, zeroed
from nlpcompress.surgery.verify import floating_outputs, relative_error

KINDS = ("heads", "kv_heads", "neurons", "channels", "groups", "head_dim", "width")
TOLERANCE = 1e-5

Example = tuple[nn.Module, dict[str, Tensor]]


def bert_base() -> Example:
    ids = torch.arange(5, 37).reshape(2, 16)
    model = transformers.BertForSequenceClassification(transformers.BertConfig())
    return model.eval(), {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def resnet_50() -> Example:
    model = transformers.ResNetForImageClassification(transformers.ResNetConfig())
    return model.eval(), {"pixel_values": torch.randn(2, 3, 224, 224)}


LARGE: dict[str, Callable[[], Example]] = {"BERT-base": bert_base, "ResNet-50": resnet_50}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("families", nargs="*", help="some families only; all by default")
    chosen = parser.parse_args(arguments).families or [*FAMILIES, *LARGE]
    warnings.filterwarnings("ignore")
    transformers.logging.set_verbosity_error()
    find_axes(*FAMILIES["distilbert"]())  # the first export of a process takes longer
    print(f"torch {torch.__version__}, transformers {transformers.__version__}, ", end="")
    print(f"{torch.get_num_threads()} thread(s); seconds: wall clock (CPU)\n")
    print(f"| family | {' | '.join(KINDS)} | rules missing | seconds |")
    print(f"|---{'|---' * (len(KINDS) + 2)}|")
    for family in chosen:
        print(f"| {family} | {' | '.join(row(family))} |", flush=True)
    return 0


def row(family: str) -> Iterator[str]:
    """One cell a kind, then the operations without a rule, then the time of the analysis."""
    model, inputs = {**FAMILIES, **LARGE}[family]()
    wall, cpu = time.perf_counter(), time.process_time()
    axes = find_axes(model, inputs)
    seconds = f"{time.perf_counter() - wall:.1f} ({time.process_time() - cpu:.1f})"
    check = partial(is_exact, model, inputs, axes) if family in FAMILIES else None
    for kind in KINDS:
        yield cell([axis for axis in axes if axis.kind == kind], check)
    yield ", ".join(axes.unknown_ops) or "none"
    yield seconds


def cell(axes: Sequence[Axis], check: Callable[[Axis], bool] | None) -> str:
    """`4 exact; 2 frozen: normalised by layer norm`; `free` where it was not checked."""
    free = [axis for axis in axes if axis.frozen is None]
    exact = len(free) if check is None else sum(map(check, free))
    parts = [f"{exact} {'free' if check is None else 'exact'}"] if exact else []
    parts += [f"**{len(free) - exact} WRONG**"] if exact < len(free) else []
    reasons = Counter(axis.frozen for axis in axes if axis.frozen)
    parts += [f"{count} frozen: {reason}" for reason, count in reasons.items()]
    return "; ".join(parts) or "–"


def is_exact(model: nn.Module, inputs: Mapping[str, Tensor], axes: Axes, axis: Axis) -> bool:
    """Whether the model cut to a random half of the axis equals the masked one."""
    order = torch.randperm(axis.size, generator=torch.Generator().manual_seed(0))
    indices = tuple(sorted(order[: max(1, axis.size // 2)].tolist()))
    smaller = copy.deepcopy(model)
    masks = kept_masks(smaller, axes, [Keep(axis=axis.name, indices=indices)])
    masked = floating_outputs(smaller, inputs, zeroed(smaller, masks))
    cut(smaller, masks)
    return relative_error(masked, floating_outputs(smaller, inputs)) < TOLERANCE


if __name__ == "__main__":
    raise SystemExit(main())
