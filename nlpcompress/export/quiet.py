"""Talkative tools made to speak through our log, and only at the debug level."""

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout

TALKATIVE = ("torch.onnx", "torch.export", "onnxscript", "onnx_ir", "nncf", "root")


@contextmanager
def quiet(logger: logging.Logger) -> Iterator[None]:
    """Send prints and warnings of the block to `logger.debug`; hold back logs below ERROR.

    Log levels, warning filters and the streams are restored. Errors pass through untouched.
    """
    loggers = [logging.getLogger(None if name == "root" else name) for name in TALKATIVE]
    levels = [talker.level for talker in loggers]
    said = io.StringIO()
    try:
        for talker in loggers:
            talker.setLevel(max(talker.level, logging.ERROR))
        with (
            warnings.catch_warnings(record=True) as caught,
            redirect_stdout(said),
            redirect_stderr(said),
        ):
            warnings.simplefilter("always")
            yield
    finally:
        for talker, level in zip(loggers, levels, strict=True):
            talker.setLevel(level)
    for line in said.getvalue().splitlines():
        logger.debug("%s", line)
    for warning in caught:
        logger.debug("%s", warning.message)
