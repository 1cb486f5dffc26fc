"""An export that is killed leaves what was there before, and the next one is not disturbed."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import os, signal, sys
import torch
from nlpcompress.export import export_onnx

folder, event = sys.argv[1:]

def kill(name, arguments):
    if name == event and ".partial" in str(arguments[0]) and not os.path.isdir(str(arguments[0])):
        os.kill(os.getpid(), signal.SIGKILL)

class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.head = torch.nn.Linear(4, 2)

    def forward(self, features):
        return self.head(features)

if event != "none":
    sys.addaudithook(kill)
export_onnx(Model(), folder + "/model.onnx", {"features": torch.ones(2, 4)})
"""
ROOT = Path(__file__).parents[3]


def export(folder, event):
    command = [sys.executable, "-c", SCRIPT, str(folder), event]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("event", ["open", "os.rename"])
def test_a_killed_export_leaves_the_old_model_and_the_next_one_cleans_up(tmp_path, event):
    target = tmp_path / "model.onnx"
    target.write_bytes(b"the old model")
    assert export(tmp_path, event).returncode == -signal.SIGKILL
    assert target.read_bytes() == b"the old model"
    assert (tmp_path / ".model.onnx.partial").is_dir()

    finished = export(tmp_path, "none")
    assert finished.returncode == 0, finished.stderr
    assert target.stat().st_size > 200
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
