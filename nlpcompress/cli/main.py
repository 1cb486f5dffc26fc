"""The `nlpcompress` command: finds the verb's file, runs it, turns our errors into messages."""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from nlpcompress import __version__
from nlpcompress.core.nearest import nearest
from nlpcompress.errors import NlpCompressError

VERBS = {
    "run": "run a recipe, or go on with one that was stopped",
    "validate": "check a recipe and print it with every default filled in",
    "plan": "say what each stage of a recipe will do and how small the model gets, and do nothing",
    "ls": "list methods, recipes, data, metrics or tasks, one name a line",
    "show": "say what a result folder, a model or a recipe holds, or how a method is used",
    "axes": "list a model's axes: what can be cut, and why the rest cannot",
    "export": "write the model in a folder as checked ONNX files, or for compressed-tensors",
    "evaluate": "measure the models in a result folder on the test set",
    "check": "say whether a result meets a budget, and by how much",
    "scan": "say how far each axis of a result can be cut before its quality falls",
    "bench": "time the models in a result folder",
    "report": "write report.md and report.html again from report.json, and print the table",
    "push": "push a result folder to a model hub",
}
"""Verb → its line in the help; the verb's code is `nlpcompress.cli.<verb>`."""

HINT = "`nlpcompress VERB --help` says more; --debug shows where an error came from."
FAILED, READER_LEFT = 2, 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0, 1 for a no of `check`, 2 after an error.

    Such an error is one message on stderr; `--debug` shows where it came from as well. A reader of
    stdout that leaves early, as `head` does, ends the command without a word.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        status = _run(arguments)
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        if not _reader_left():
            raise
        return READER_LEFT
    except NlpCompressError as error:
        if debug:
            raise
        print(f"nlpcompress: error: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("nlpcompress: stopped; the same command goes on from here", file=sys.stderr)
        return 130


def _reader_left() -> bool:
    """Whether nobody reads stdout any more; what is left for it then goes nowhere.

    The pipe that broke may be another one, such as a hub's. What failed to be written is not kept,
    so only an attempt can tell.
    """
    try:
        print(flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return False


def _run(arguments: list[str]) -> int:
    top = _top_parser()
    if not arguments or arguments[0].startswith("-"):
        top.parse_args(arguments or ["--help"])
    verb, rest = arguments[0], arguments[1:]
    if verb not in VERBS:
        top.error(f"no verb '{verb}'{nearest(verb, VERBS)}")
    module = importlib.import_module(f"nlpcompress.cli.{verb}")
    parser = argparse.ArgumentParser(prog=f"nlpcompress {verb}", description=VERBS[verb])
    module.add_arguments(parser)
    return module.main(_parsed(parser, rest))


def _parsed(parser: argparse.ArgumentParser, arguments: list[str]) -> argparse.Namespace:
    """With overrides behind options, too, where argparse takes no more words."""
    found, rest = parser.parse_known_args(arguments)
    late = [word for word in rest if "=" in word and not word.startswith("-")]
    if len(late) < len(rest) or (late and "overrides" not in found):
        parser.parse_args(arguments)  # which says what is wrong
    if late:
        found.overrides += late
    return found


def _top_parser() -> argparse.ArgumentParser:
    width = max(map(len, VERBS))
    lines = [f"  {verb:<{width}}  {line}" for verb, line in VERBS.items()]
    parser = argparse.ArgumentParser(
        prog="nlpcompress",
        usage="nlpcompress [--version] [--debug] VERB …",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Make trained models really smaller and faster, with every number measured.",
        epilog="\n".join(["verbs:", *lines, "", HINT]),
    )
    parser.add_argument("--version", action="version", version=f"nlpcompress {__version__}")
    return parser
