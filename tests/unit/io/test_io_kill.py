"""A writer killed with SIGKILL, again and again: the folder is always whole."""

import os
import random
import subprocess
import sys
import time

from nlpcompress.io.swap import recover

WRITER = """
import itertools, sys
from pathlib import Path
from nlpcompress.io.format import Manifest, write_manifest
from nlpcompress.io.swap import replacing
names = [f"file-{i}" for i in range(20)]
for round in itertools.count(int(sys.argv[2])):
    with replacing(Path(sys.argv[1])) as folder:
        for name in names:
            (folder / name).write_text(str(round))
        write_manifest(folder, Manifest(files=tuple(names)))
"""


def newest(out):
    """Round of the folder that is there; between two renames there is none."""
    try:
        return int((out / "file-0").read_text())
    except FileNotFoundError:
        return -1


def test_a_killed_writer_leaves_a_whole_folder(tmp_path):
    out, seen, delays = tmp_path / "m", set(), random.Random(0)
    for kill in range(12):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(out), str(kill * 100_000)])
        while newest(out) < kill * 100_000:
            time.sleep(0.002)
        time.sleep(delays.random() * 0.05)
        os.kill(writer.pid, 9)
        writer.wait()
        recover(out)
        rounds = {(out / f"file-{i}").read_text() for i in range(20)}
        assert len(rounds) == 1
        assert len(list(out.iterdir())) == 21
        seen |= rounds
    assert len(seen) == 12
