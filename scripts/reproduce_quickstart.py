"""The quickstart over several seeds: quality of every row of the report, with the spread.

    python scripts/reproduce_quickstart.py --seeds 0 1 2 --out out/seeds

Each seed is one `nlpcompress run` into its own folder; a seed that is done is not run again.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

RECIPE = Path(__file__).parents[1] / "recipes" / "quickstart.yaml"


def main() -> None:
    arguments = parse_arguments()
    reports = {seed: run(seed, arguments.out / f"seed-{seed}") for seed in arguments.seeds}
    print(table(reports, arguments.metric))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("out/seeds"))
    parser.add_argument("--metric", default="accuracy")
    return parser.parse_args()


def run(seed: int, out: Path) -> dict:
    command = [
        sys.executable,
        "-m",
        "nlpcompress",
        "run",
        str(RECIPE),
        f"seed={seed}",
        f"out={out}",
    ]
    subprocess.run(command, check=True)
    return json.loads((out / "report.json").read_text(encoding="utf-8"))


def table(reports: dict[int, dict], metric: str) -> str:
    """A Markdown table: one line a row of the report, one column a seed, then mean and spread."""
    seeds = sorted(reports)
    lines = [
        f"| {metric} | "
        + " | ".join(f"seed {seed}" for seed in seeds)
        + " | mean | standard deviation |",
        "|---" * (len(seeds) + 3) + "|",
    ]
    for name in [row["name"] for row in reports[seeds[0]]["rows"]]:
        values = [quality(reports[seed], name, metric) for seed in seeds]
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        cells = [f"{value:.4f}" for value in (*values, statistics.mean(values), spread)]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def quality(report: dict, name: str, metric: str) -> float:
    return next(row["metrics"][metric] for row in report["rows"] if row["name"] == name)


if __name__ == "__main__":
    main()
