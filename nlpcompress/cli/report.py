"""`nlpcompress report`: the Markdown and HTML pages again, from report.json."""

import argparse

from nlpcompress.bench import read_report, write_report
from nlpcompress.cli.targets import report_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`report FOLDER`"""
    parser.add_argument("folder", help="a result folder: what `out` of a run names")


def main(args: argparse.Namespace) -> int:
    """Write report.md and report.html, and print the former."""
    write_report(read_report(args.folder), args.folder)
    print(report_text(args.folder))
    return 0
