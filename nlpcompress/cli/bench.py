"""`nlpcompress bench`: the times of every model of a result, all in one interleaved run."""

import argparse
import json

from nlpcompress.bench.environment import environment
from nlpcompress.cli.log import start_log
from nlpcompress.cli.targets import add_folder
from nlpcompress.recipe.measuring import THREADS, latencies
from nlpcompress.recipe.result import open_result, result_rows


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`bench FOLDER [bench.batch_sizes=[…]] [bench.rounds=…]`"""
    add_folder(parser)


def main(args: argparse.Namespace) -> int:
    """Print `{latency_ms: {row: {shape: times}}, environment: …}` as JSON."""
    start_log()
    job = open_result(args.folder, args.overrides)
    found = latencies(job, result_rows(job))
    times = {
        row: {shape: timing.to_json() for shape, timing in shapes.items()}
        for row, shapes in found.items()
    }
    print(json.dumps({"latency_ms": times, "environment": environment(threads=THREADS)}, indent=2))
    return 0
