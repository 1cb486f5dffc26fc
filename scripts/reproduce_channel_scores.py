"""How well each criterion for channels tells what a channel is worth, and how steady HRank's are.

    python scripts/reproduce_channel_scores.py --models out/channels/whole_*

Each model is a trained classifier of pictures. The oracle switches every channel off, alone, and
notes by how much the loss changes (its absolute value) on some training pictures; each criterion is
ranked against it within the layers (Spearman, mean over layers) and over all channels. HRank's
scores of one batch are compared with those of five. Source of the shape to expect: Molchanov et al.
2017, table 1 (Taylor before magnitudes, and those before chance); Lin et al. 2020, figure 2 (ranks
hardly depend on the batches).
"""

import argparse
import statistics
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path

import torch
from cells import spread
from scipy.stats import spearmanr
from torch import Tensor
from transformers import PreTrainedModel

from nlpcompress import find_axes
from nlpcompress.axes import Axes, Axis
from nlpcompress.core.edits import Keep
from nlpcompress.core.method import Context
from nlpcompress.data.config import DataConfig
from nlpcompress.data.load import load_data
from nlpcompress.methods.pruning.channel_scores import channel_scores
from nlpcompress.models import example_inputs
from nlpcompress.models.load import load_model
from nlpcompress.scoring import map_rank_scores, taylor_scores
from nlpcompress.surgery.keep import kept_masks, zeroed
from nlpcompress.training.context import Batches

TASK = "image-classification"
CRITERIA = ("taylor", "taylor_weight", "l1", "l2", "batch_norm", "hrank", "two_layer", "random")
FEW, MANY = 1, 5
Scores = Mapping[str, Tensor]


def main() -> None:
    arguments = parse_arguments()
    found = [correlations(seed, folder, arguments) for seed, folder in enumerate(arguments.models)]
    print(table(found))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--models", type=Path, nargs="+", required=True)
    parser.add_argument("--data", default="fashion-mnist")
    parser.add_argument("--samples", type=int, default=1024, help="pictures of the oracle")
    parser.add_argument("--batch", type=int, default=128, help="HRank's is 128")
    return parser.parse_args()


def correlations(seed: int, folder: Path, arguments: argparse.Namespace) -> dict[str, list[float]]:
    """Name of each comparison → correlation within layers, and over all."""
    model = load_model(str(folder), task=TASK).eval()
    data = load_data(DataConfig(name=arguments.data), task=TASK, processor=None, seed=seed)
    batches = Batches(data.train, data.collate, size=arguments.batch, seed=seed)
    axes = find_axes(model, example_inputs(model))
    channels = axes.free("channels")
    count = arguments.samples // arguments.batch
    truth = oracle(model, axes, channels, list(islice(batches(), count)))
    context = Context(example_inputs(model), lambda: islice(batches(), count), seed=seed)
    found = {}
    for criterion in CRITERIA:
        found[criterion] = compared(scores_of(model, channels, context, criterion), truth)
        print(f"{folder.name} {criterion}: {found[criterion][0]:.3f}", flush=True)
    few, many = (map_rank_scores(model, channels, islice(batches(), n)) for n in (FEW, MANY))
    return found | {f"hrank, {FEW} batch against {MANY}": compared(few, many)}


def scores_of(
    model: PreTrainedModel, channels: Sequence[Axis], context: Context, criterion: str
) -> Scores:
    if criterion == "taylor":
        return taylor_scores(model, channels, context.batches())
    return channel_scores(model, channels, context, criterion, num_samples=None, threshold=1.0)


@torch.no_grad()
def oracle(
    model: PreTrainedModel,
    axes: Axes,
    channels: Sequence[Axis],
    batches: Sequence[Mapping[str, Tensor]],
) -> Scores:
    """|change of the mean loss| without each channel."""

    def loss(forward: Callable[[Mapping[str, Tensor]], object]) -> float:
        return statistics.mean(float(forward(batch).loss) for batch in batches)

    whole, found = loss(lambda batch: model(**batch)), {}
    for axis in channels:
        others = [[i for i in range(axis.size) if i != gone] for gone in range(axis.size)]
        edits = [Keep(axis=axis.name, indices=tuple(kept)) for kept in others]
        losses = [loss(zeroed(model, kept_masks(model, axes, [edit]))) for edit in edits]
        found[axis.name] = (torch.tensor(losses) - whole).abs()
    return found


def compared(scores: Scores, truth: Scores) -> list[float]:
    within = [float(spearmanr(scores[name], truth[name]).statistic) for name in scores]
    every = [torch.cat([one[name] for name in scores]) for one in (scores, truth)]
    return [statistics.mean(within), float(spearmanr(*every).statistic)]


def table(found: Sequence[Mapping[str, Sequence[float]]]) -> str:
    """Mean and standard deviation over the models."""
    lines = ["| criterion | within layers | over all | models |", "|---|---:|---:|---:|"]
    for name in found[0]:
        within, every = zip(*(one[name] for one in found), strict=True)
        lines.append(f"| {name} | {spread(list(within))} | {spread(list(every))} | {len(found)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
