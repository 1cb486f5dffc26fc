"""An experiment in cells: a cell is one training with one seed, and its result a file of its own.

Workers share the cells of one folder; what was killed goes on with the first that has no file.
"""

import argparse
import json
import statistics
from collections.abc import Callable, Hashable, Iterable
from pathlib import Path
from typing import Any, Protocol, TypeVar

from nlpcompress.core.whole import write_whole


class Named(Protocol):
    """A cell; no two of an experiment have one name."""

    @property
    def name(self) -> str:
        """Of its file."""
        ...


C = TypeVar("C", bound=Named)
Result = dict[str, Any]


def parser_of(description: str | None, out: str) -> argparse.ArgumentParser:
    """With the options that all experiments have."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path(out))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--worker", type=int, default=0, help="which of the workers this is")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--report", action="store_true", help="train nothing")
    parser.add_argument("--bf16", action="store_true", help="products of trainings in bfloat16")
    return parser


def run_cells(
    cells: Iterable[C], run: Callable[[C], Result], arguments: argparse.Namespace
) -> list[Result]:
    """Run this worker's cells that have no result yet, and give the results of all there are."""
    folder = arguments.out / "cells"
    mine = [] if arguments.report else list(cells)[arguments.worker :: arguments.workers]
    for cell in mine:
        file = folder / f"{cell.name}.json"
        if not file.exists():
            result = run(cell)
            write_whole(file, json.dumps(result, indent=1))
            print(f"{cell.name}: accuracy {result['accuracy']:.4f}", flush=True)
    return [json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))]


def grouped(
    results: Iterable[Result], key: Callable[[Result], Hashable]
) -> dict[Any, list[Result]]:
    """Results of one key together, mostly those of several seeds."""
    groups: dict[Any, list[Result]] = {}
    for result in results:
        groups.setdefault(key(result), []).append(result)
    return groups


def mean_and_deviation(values: list[float]) -> tuple[float, float]:
    """The standard deviation of one value is 0."""
    return statistics.mean(values), statistics.stdev(values) if len(values) > 1 else 0.0


def spread(values: list[float]) -> str:
    """Mean ± standard deviation."""
    return "{:.4f} ± {:.4f}".format(*mean_and_deviation(values))
