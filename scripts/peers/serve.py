"""One artefact in a process of its own, which answers a line of JSON for each that it reads.

    {"time": "8x64"}          a pass over that batch after another  → {"ms": 12.3}
    {"answer": "logits.npy"}  all test batches, to that file        → {"rows": 2009}
    {"memory": true}          the most this process has taken       → {"bytes": 123456789}

The first line it writes, `{"cold_seconds": 0.8}`, is the time from the process's start to its
first answer. Batches lie in `batches.npz` of the working folder: those to time by shape, others as
`test.<number>` and `train.<number>`, with one array for each of the model's inputs
(`8x64/input_ids`).
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

Arrays = dict[str, np.ndarray]
Predict = Callable[[Arrays], np.ndarray]
"""A batch's arrays of int64 → logits `(B, C)`."""
FIRST = "1x64"


def serve(predict: Predict, work: Path) -> None:
    """Answer until standard input ends."""
    batches = read_batches(work)
    predict(batches[FIRST])
    say(cold_seconds=seconds_since_start())
    for line in sys.stdin:
        request = json.loads(line)
        if "time" in request:
            say(ms=milliseconds(predict, batches[request["time"]]))
        elif "answer" in request:
            test = [predict(arrays) for name, arrays in batches.items() if name.startswith("test.")]
            logits = np.concatenate(test)
            np.save(request["answer"], logits)
            say(rows=len(logits))
        else:
            say(bytes=most_memory())


def milliseconds(predict: Predict, arrays: Arrays) -> float:
    """Of a pass that finds in the caches what the one before it left there, not other processes."""
    predict(arrays)
    begin = time.perf_counter()
    predict(arrays)
    return (time.perf_counter() - begin) * 1e3


def read_batches(work: Path) -> dict[str, Arrays]:
    """Name → the arrays of a batch, in the order that they were written in."""
    batches: dict[str, Arrays] = {}
    with np.load(work / "batches.npz") as stored:
        for key in stored.files:
            batch, column = key.split("/")
            batches.setdefault(batch, {})[column] = stored[key]
    return batches


def calibration(work: Path) -> list[Arrays]:
    """Batches of the training set, for ranges of activations."""
    return [arrays for name, arrays in read_batches(work).items() if name.startswith("train.")]


def seconds_since_start() -> float:
    """Since the system started this process, from its own clock's ticks."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    started = int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started


def most_memory() -> int:
    """Bytes that this program has taken at most; `ru_maxrss` counts what started it, too."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (peak,) = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
    return int(peak) * 1024


def say(**values: float) -> None:
    print(json.dumps(values), flush=True)


def run(make: Callable[[str, Path, Path], None], load: Callable[[Path], Predict]) -> None:
    """`make KIND WORK ARTEFACT` once, then `serve WORK ARTEFACT`."""
    command, *rest = sys.argv[1:]
    if command == "make":
        kind, work, artefact = rest
        make(kind, Path(work), Path(artefact))
    else:
        work, artefact = rest
        serve(load(Path(artefact)), Path(work))
