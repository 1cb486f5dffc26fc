"""Processes that do not know of each other are stopped before they write."""

import os
import subprocess
import sys

import pytest
from accelerate import PartialState

from nlpcompress.errors import LaunchError
from nlpcompress.recipe.launch import agreed, join, main_first


def test_one_process_is_the_main_one(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    state = join()
    assert (state.num_processes, state.is_main_process) == (1, True)
    assert agreed(state, {"a": 1}) == {"a": 1}
    assert main_first(state, lambda: 7) == 7


def test_several_that_each_believe_to_be_alone_are_refused(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    PartialState(cpu=True)  # what a launch without a process group leaves
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(LaunchError) as raised:
        join()
    assert str(raised.value).startswith(
        "2 processes were launched (WORLD_SIZE=2), but each believes to be alone and would write "
        "the same files; launch them with `torchrun --nproc_per_node 2 -m nlpcompress run …`"
    )


def test_a_launch_without_an_address_is_told(tmp_path):
    run = subprocess.run(
        [sys.executable, "-m", "nlpcompress", "run", "smoke/fine_tune", f"out={tmp_path / 'o'}"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "WORLD_SIZE": "2"},
    )
    assert run.returncode == 2
    assert "error: WORLD_SIZE=2 says that 2 processes were launched, but they cannot find" in (
        run.stderr
    )
    assert "Traceback" not in run.stderr
    assert not (tmp_path / "o").exists()
