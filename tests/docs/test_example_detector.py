"""The example of a distilled detector runs, and its student comes nearer to its teacher."""

import re
import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "scripts" / "example_detector.py"


def test_the_students_cells_come_nearer_to_the_teachers():
    command = [sys.executable, str(EXAMPLE), "--steps", "16"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found = re.findall(r"loss_detections: ([\d.]+) at first, ([\d.]+) at last", done.stdout)
    first, last = (float(value) for value in found[0])
    assert 0 < last < 0.5 * first, done.stdout
