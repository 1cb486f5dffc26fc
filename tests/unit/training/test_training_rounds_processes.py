"""Rounds in real processes: killed, and two that train together."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import load_file

from tests.unit.training.rounds_tiny import (
    same,
)
from tests.unit.training.training_tiny import distance

ROOT = Path(__file__).parents[3]

PLAIN = {
    "learning_rate": "1e-3",
    "report_to": "none",
    "disable_tqdm": "true",
    "use_cpu": "true",
    "dataloader_pin_memory": "false",
    "seed": "3",
    "max_steps": "7",
    "save_strategy": "steps",
    "save_steps": "3",
}


def program(out, launcher=(), expect=0, **values):
    script = Path(__file__).with_name("rounds_script.py")
    files = {"output_dir": out / "run", "weights": out / "w.safetensors"}
    flags = {**PLAIN, **files, **values}
    parts = [part for key, value in flags.items() for part in (f"--{key}", str(value))]
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, *launcher, str(script), *parts],
        check=False,
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == expect, done.stderr[-3000:]
    return out / "w.safetensors"


def test_after_sigkill_in_the_last_round_the_next_process_ends_the_same(tmp_path):
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    values = {"dropout": 0.1, "per_device_train_batch_size": 8}
    expected = load_file(program(tmp_path / "whole", **values))
    kill = {"kill_round": 2, "kill_step": 5}
    program(tmp_path / "killed", expect=-signal.SIGKILL, **values, **kill)
    assert not (tmp_path / "killed" / "w.safetensors").exists()
    actual = load_file(program(tmp_path / "killed", **values))
    assert same(actual, expected)


def test_two_processes_end_as_one_with_the_same_global_batch(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    values = {"optim": "sgd", "learning_rate": 0.5, "max_grad_norm": 0.0}
    single = program(tmp_path / "one", **values, per_device_train_batch_size=8)
    launch = ["-m", "torch.distributed.run", "--rdzv-backend", "c10d"]
    launch += ["--rdzv-endpoint", "localhost:0", "--nproc_per_node", "2"]
    double = program(tmp_path / "two", launch, **values, per_device_train_batch_size=4)
    with safe_open(double, "pt") as file:
        assert file.metadata()["processes"] == "2"
    one, two = load_file(single), load_file(double)
    dense = [name for name in one if "encoder" in name and "dense.weight" in name]
    share = sum(float(((one[n] == 0) == (two[n] == 0)).float().mean()) for n in dense) / len(dense)
    assert share > 0.999 and distance(one, two) < 1e-2
    assert sum(int((one[n] == 0).sum()) for n in dense) > 1000
