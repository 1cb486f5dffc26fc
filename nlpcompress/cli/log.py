"""What a command says while it works: the library's log on stderr, of the main process only."""

import logging
import os
import sys

import datasets
import transformers
from rich.console import Console
from rich.logging import RichHandler


def start_log() -> None:
    """Show the library's progress on stderr; the other processes of a launch show warnings.

    Bars of single files that are read and written stay away; those of training and data do not,
    unless nobody sees them move.
    """
    transformers.utils.logging.disable_progress_bar()
    if not sys.stderr.isatty():
        datasets.disable_progress_bars()
    console = Console(stderr=True)
    handler = RichHandler(console=console, show_path=False, omit_repeated_times=False)
    handler.setFormatter(logging.Formatter("%(message)s", datefmt="%H:%M:%S"))
    logger = logging.getLogger("nlpcompress")
    logger.handlers = [handler]
    logger.propagate = False
    logger.setLevel(logging.INFO if int(os.environ.get("RANK", "0")) == 0 else logging.WARNING)
