"""The result folder: parts by hash, done once their record is written, held by one process."""

import os
import subprocess
import sys

import pytest

from nlpcompress.errors import ConfigError, LaunchError
from nlpcompress.recipe.workspace import Workspace, copy_whole, digest

DESCRIPTION = {"seed": 0, "stages": [{"method": "fine_tune"}]}


def test_a_part_is_done_only_after_its_record(tmp_path):
    part = Workspace(tmp_path).part(DESCRIPTION)
    assert not part.folder.exists()
    part.folder.mkdir(parents=True)
    (part.folder / "model.safetensors").write_bytes(b"torn")
    assert part.record is None
    part.finish({"plan": []})
    assert Workspace(tmp_path).part(DESCRIPTION).record == {"plan": []}


def test_another_description_is_another_part(tmp_path):
    space = Workspace(tmp_path)
    space.part(DESCRIPTION).finish({})
    assert space.part({**DESCRIPTION, "seed": 1}).record is None
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1}) != digest({"a": 1, "b": 3})


def test_a_folder_that_is_not_ours_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with (
        pytest.raises(ConfigError, match=r"holds files that no run made \(thesis.tex\)"),
        Workspace(tmp_path).opened(),
    ):
        pass
    assert os.listdir(tmp_path) == ["thesis.tex"]


def test_an_empty_or_missing_folder_is_taken(tmp_path):
    with Workspace(tmp_path / "a" / "b").opened():
        assert (tmp_path / "a" / "b" / ".stages").is_dir()
    with Workspace(tmp_path / "a" / "b").opened():
        pass


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(ConfigError, match=r"out: cannot write to .*file.*choose a folder"),
        Workspace(tmp_path / "file" / "out").opened(),
    ):
        pass


HOLD = """
import sys
from pathlib import Path
from nlpcompress.recipe.workspace import Workspace
with Workspace(Path(sys.argv[1])).opened():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_two_processes_never_share_a_folder_and_a_killed_one_lets_go(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(LaunchError, match="another process is working in"),
            Workspace(tmp_path).opened(),
        ):
            pass
    finally:
        holder.kill()
        holder.wait()
    with Workspace(tmp_path).opened():
        pass


def test_a_copy_replaces_in_one_step(tmp_path):
    (tmp_path / "new").write_text("new")
    (tmp_path / "old").write_text("old")
    copy_whole(tmp_path / "new", tmp_path / "old")
    assert (tmp_path / "old").read_text() == "new"
    assert sorted(os.listdir(tmp_path)) == ["new", "old"]
