"""Programs in processes of their own, forked from one in which torch is imported already."""

import gc
import multiprocessing
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from pathlib import Path

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(
    ["onnxruntime", "transformers.trainer", "nlpcompress.training", "nlpcompress.cli.main"]
)


def start(
    program: Callable[[], object], arguments: Sequence[object], errors: Path, **variables: str
) -> BaseProcess:
    """A child that calls `program` with a command line and writes stdout and stderr to `errors`.

    `program` is a function of a module, found by its name in the child. `variables` are set in the
    child's environment before, but after its imports.
    """
    line = [str(part) for part in arguments]
    child = _context.Process(target=_child, args=(program, line, str(errors), variables))
    child.start()
    return child


def run(
    program: Callable[[], object],
    arguments: Sequence[object],
    folder: Path,
    *,
    processes: int = 1,
    timeout: float = 300,
) -> subprocess.CompletedProcess:
    """Run `program` to its end, in one process or in several that are launched as torchrun does.

    Gives the first exit status that is not zero (negative: the signal) and, as `stderr`, all that
    was written, which also stays in `folder`.
    """
    group = _group(processes) if processes > 1 else [{}]
    logs = [folder / f"process-{rank}.log" for rank in range(processes)]
    children = [
        start(program, arguments, log, **variables)
        for log, variables in zip(logs, group, strict=True)
    ]
    _wait(children, timeout)
    codes = [child.exitcode for child in children]
    written = "\n".join(log.read_text() for log in logs)
    return subprocess.CompletedProcess(
        arguments, next((code for code in codes if code), 0), stderr=written
    )


def _wait(children: Sequence[BaseProcess], timeout: float) -> None:
    """Until all have ended well; one that fails, or the time, ends the others."""
    end = time.monotonic() + timeout
    while alive := [child.sentinel for child in children if child.exitcode is None]:
        connection.wait(alive, timeout=max(0, end - time.monotonic()))
        if any(child.exitcode for child in children) or time.monotonic() > end:
            for child in children:
                child.kill()
    for child in children:
        child.join()


def _group(processes: int) -> list[dict[str, str]]:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = str(free.getsockname()[1])
    shared = {"WORLD_SIZE": str(processes), "MASTER_ADDR": "localhost", "MASTER_PORT": port}
    return [{**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(processes)]


def _child(
    program: Callable[[], object], arguments: list[str], errors: str, variables: dict[str, str]
) -> None:
    gc.freeze()
    log = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w", buffering=1), os.fdopen(2, "w", buffering=1)
    os.environ.update(variables)
    sys.argv = [program.__module__, *arguments]
    sys.exit(program())
