"""`nlpcompress check`: whether a result meets a budget, by the numbers of its report."""

import argparse

from nlpcompress.bench import read_report
from nlpcompress.bench.decision import Decision, decide
from nlpcompress.core.budget import Budget
from nlpcompress.recipe.overrides import apply_overrides

NO = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`check FOLDER --budget size_bytes=15000000 latency_ms=5 metric_drop=0.01 [--shape 8x64]`"""
    parser.add_argument("folder", help="a result folder: what `out` of a run names")
    parser.add_argument(
        "--budget",
        nargs="+",
        required=True,
        metavar="bound=value",
        help=f"upper bounds of {', '.join(Budget.model_fields)}",
    )
    parser.add_argument("--shape", help="where times are taken, as in 8x64; default the last timed")


def main(args: argparse.Namespace) -> int:
    """Print a line a model and one a bound; 0 if a model that was made holds them all, else 1.

    The model before is told of, and decides nothing: it never loses any quality.
    """
    budget = Budget.parse(apply_overrides({}, args.budget), where="budget")
    decisions = decide(read_report(args.folder), budget, shape=args.shape)
    for decision in decisions:
        print(f"{decision.name}: {_answer(decision)}")
        for name, bound in budget.bounds.items():
            print(f"  {name} {_told(decision, name, bound)}")
    return 0 if any(decision.made and decision.holds for decision in decisions) else NO


def _answer(decision: Decision) -> str:
    return f"{'yes' if decision.holds else 'no'}{'' if decision.made else ' (the model before)'}"


def _told(decision: Decision, name: str, bound: float) -> str:
    cost, margin = decision.costs[name], decision.margins[name]
    end = "to spare" if margin >= 0 else "over"
    return f"{_number(cost)} of {_number(bound)}, {_number(abs(margin))} {end}"


def _number(value: float) -> str:
    """Whole as it is, else to four digits."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.4g}"
