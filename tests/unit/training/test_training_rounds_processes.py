"""Rounds in real processes: killed, and two that train together."""

import signal
from functools import partial

from safetensors import safe_open
from safetensors.torch import load_file

from tests.unit.training.programs import trained
from tests.unit.training.rounds_program import main
from tests.unit.training.rounds_tiny import same
from tests.unit.training.training_tiny import distance

program = partial(trained, main, max_steps=7, save_strategy="steps", save_steps=3)


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
    double = program(tmp_path / "two", processes=2, **values, per_device_train_batch_size=4)
    with safe_open(double, "pt") as file:
        assert file.metadata()["processes"] == "2"
    one, two = load_file(single), load_file(double)
    dense = [name for name in one if "encoder" in name and "dense.weight" in name]
    share = sum(float(((one[n] == 0) == (two[n] == 0)).float().mean()) for n in dense) / len(dense)
    assert share > 0.999 and distance(one, two) < 1e-2
    assert sum(int((one[n] == 0).sum()) for n in dense) > 1000
