"""Cells whose result runs in ONNX Runtime, as floats and in 8 bits, timed beside their teacher."""

import argparse
import shutil
import statistics
from collections.abc import Iterable
from typing import Any

from cells import Named, Result, grouped, spread

from nlpcompress import run_recipe
from nlpcompress.recipe.load import parse_recipe
from nlpcompress.recipe.workspace import PARTS

Rows = dict[str, Any]
"""Of one report: the row's name → its numbers."""


def run_exported(cell: Named, recipe: dict[str, Any], arguments: argparse.Namespace) -> Result:
    """The rows of the recipe's report, exported and timed."""
    out = arguments.out / "runs" / cell.name
    recipe = recipe | {
        "export": {"onnx": True, "quantize": "dynamic-int8"},
        "bench": {"batch_sizes": [8], "sequence_lengths": [64], "rounds": 20},
    }
    report = run_recipe(parse_recipe(recipe), out)
    shutil.rmtree(out / PARTS, ignore_errors=True)
    rows = {row.name: row.to_json() for row in report.rows}
    return {"accuracy": rows["compressed"]["metrics"]["accuracy"], "rows": rows}


def exported_table(results: Iterable[Result], ways: Iterable[Any]) -> str:
    """A line a way: mean and standard deviation over seeds; sizes and times are medians.

    Each result has its `way`.
    """
    groups = grouped(results, lambda result: result["way"])
    titles = (
        "way, accuracy, of the teacher's, int8, parameters, weights, ONNX, int8, "
        "times faster, int8, seeds"
    )
    lines = [f"| {titles.replace(', ', ' | ')} |", f"|---|{'---:|' * titles.count(',')}"]
    lines += [_line(way, [r["rows"] for r in groups[way]]) for way in ways if way in groups]
    return "\n".join(lines)


def _line(way: Any, group: list[Rows]) -> str:
    accuracies = [rows["compressed"]["metrics"]["accuracy"] for rows in group]
    teachers = [rows["teacher"]["metrics"]["accuracy"] for rows in group]
    ratios = [own / teacher for own, teacher in zip(accuracies, teachers, strict=True)]
    small = [rows["compressed-int8"]["metrics"]["accuracy"] for rows in group]
    sizes = (
        ("compressed", "size_bytes"),
        ("compressed", "onnx_size_bytes"),
        ("compressed-int8", "onnx_size_bytes"),
    )
    megabytes = " | ".join(f"{_middle(group, *size) / 1e6:.2f} MB" for size in sizes)
    return (
        f"| {way} | {spread(accuracies)} | {spread(ratios)} | {spread(small)} "
        f"| {_middle(group, 'compressed', 'parameters') / 1e6:.2f} M | {megabytes} "
        f"| {_faster(group, 'compressed')} | {_faster(group, 'compressed-int8')} | {len(group)} |"
    )


def _middle(group: list[Rows], name: str, key: str) -> float:
    return statistics.median(rows[name][key] for rows in group)


def _faster(group: list[Rows], name: str) -> str:
    """Than the teacher, timed in turn with it: the median of the runs, and their ends."""
    found = sorted(_median(rows["teacher"]) / _median(rows[name]) for rows in group)
    return f"{statistics.median(found):.2f} ({found[0]:.2f} to {found[-1]:.2f})"


def _median(row: dict[str, Any]) -> float:
    """Milliseconds of the one shape that is timed."""
    (timing,) = row["latency_ms"].values()
    return float(timing["median"])
