"""The curve of head pruning: accuracy against heads kept, best heads first, at random, reversed.

    python scripts/reproduce_heads.py --models out/seeds/seed-*/teacher --out out/heads

Each model is a fine-tuned text classifier. Heads are scored once (`taylor_scores`, as the method
`head_importance` does) and really cut; nothing is trained afterwards. Source of the shape to
expect: Michel et al. 2019, figures 1 and 2: flat, then a cliff, and importance before random.
"""

import argparse
import copy
import json
import statistics
from pathlib import Path

import matplotlib
import torch

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedModel

from nlpcompress import apply_plan, find_axes, taylor_scores
from nlpcompress.data.config import DataConfig
from nlpcompress.data.load import load_data
from nlpcompress.data.task_data import TaskData
from nlpcompress.evaluation.evaluate import evaluate
from nlpcompress.methods.pruning.layer_axes import heads_to_cut
from nlpcompress.methods.pruning.ranking import Scores, keep_best, keep_plan
from nlpcompress.models import example_inputs
from nlpcompress.training.context import Batches

KEEP = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def main() -> None:
    arguments = parse_arguments()
    curves = [curve(model, seed, arguments) for seed, model in enumerate(arguments.models)]
    print(table(curves))
    plot(curves, arguments.out / "heads.png")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--models", type=Path, nargs="+", required=True)
    parser.add_argument("--data", default="movie-snippets")
    parser.add_argument("--max-length", type=int, default=64)
    parser.add_argument("--samples", type=int, default=2048, help="examples to score with")
    parser.add_argument("--out", type=Path, default=Path("out/heads"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    return arguments


def curve(folder: Path, seed: int, arguments: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Order → share kept → accuracy, from the file of an earlier run where there is one."""
    file = arguments.out / f"model-{seed}.json"
    found = json.loads(file.read_text()) if file.exists() else {}
    model = AutoModelForSequenceClassification.from_pretrained(folder).to(DEVICE).eval()
    config = DataConfig(name=arguments.data, max_length=arguments.max_length)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    data = load_data(config, task="text-classification", processor=tokenizer, seed=seed)
    for order, scores in orders(model, data, seed, arguments.samples).items():
        for keep in KEEP:
            if str(keep) not in found.setdefault(order, {}):
                found[order][str(keep)] = accuracy(cut(model, scores, keep), data)
                file.write_text(json.dumps(found, indent=1))
                print(f"{folder}: {order} {keep}: {found[order][str(keep)]:.4f}", flush=True)
    return found


def orders(model: PreTrainedModel, data: TaskData, seed: int, samples: int) -> dict[str, Scores]:
    axes = heads_to_cut(find_axes(model, example_inputs(model)))
    batches = Batches(data.train, data.collate, size=32, seed=seed)
    limited = (batch for _, batch in zip(range(samples // 32), batches(), strict=False))
    best = {
        name: scores.tolist()
        for name, scores in taylor_scores(model, axes, limited, normalize=True).items()
    }
    generator = torch.Generator().manual_seed(seed)
    return {
        "importance": best,
        "random": {n: torch.rand(len(s), generator=generator).tolist() for n, s in best.items()},
        "reversed": {name: [-score for score in scores] for name, scores in best.items()},
    }


def cut(model: PreTrainedModel, scores: Scores, keep: float) -> PreTrainedModel:
    plan = keep_plan(scores, keep_best(scores, keep=keep))
    return apply_plan(copy.deepcopy(model), plan)


@torch.no_grad()
def accuracy(model: PreTrainedModel, data: TaskData) -> float:
    def predict(batch: dict[str, torch.Tensor]) -> object:
        here = {name: tensor.to(DEVICE) for name, tensor in batch.items()}
        return model(**here).logits.cpu().numpy()

    return evaluate(predict, data.test, data.collate, metrics=["accuracy"])["accuracy"]


def table(curves: list[dict[str, dict[str, float]]]) -> str:
    lines = ["| heads kept | " + " | ".join(curves[0]) + " |", "|---" * (len(curves[0]) + 1) + "|"]
    for keep in map(str, KEEP):
        cells = [spread([c[order][keep] for c in curves]) for order in curves[0]]
        lines.append(f"| {keep} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def spread(values: list[float]) -> str:
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.4f} ± {deviation:.4f}"


def plot(curves: list[dict[str, dict[str, float]]], path: Path) -> None:
    figure, axis = plt.subplots(figsize=(6, 4))
    for order in curves[0]:
        means = [statistics.mean(c[order][str(keep)] for c in curves) for keep in KEEP]
        axis.plot(KEEP, means, marker="o", label=order)
    axis.invert_xaxis()
    axis.set(xlabel="share of heads kept", ylabel="accuracy")
    axis.legend()
    figure.savefig(path, dpi=150, bbox_inches="tight")


if __name__ == "__main__":
    main()
