"""A file is whole or as it was."""

import os
import signal
import subprocess
import sys

import pytest

from nlpcompress.core.whole import flush_tree, whole_file, write_whole

KILLED = """
import os, signal, sys
from pathlib import Path
from nlpcompress.core.whole import whole_file
with whole_file(Path(sys.argv[1])) as temporary:
    temporary.write_text("ha")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_file_is_written_and_nothing_beside_it(tmp_path):
    write_whole(tmp_path / "new" / "a.txt", "grün")
    assert (tmp_path / "new" / "a.txt").read_bytes() == "grün".encode()
    assert os.listdir(tmp_path / "new") == ["a.txt"]


def test_what_fails_leaves_the_file_as_it_was(tmp_path):
    write_whole(tmp_path / "a.txt", "before")
    with pytest.raises(ZeroDivisionError), whole_file(tmp_path / "a.txt") as temporary:
        temporary.write_text("half")
        _ = 1 / 0
    assert (tmp_path / "a.txt").read_text() == "before"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_killed_write_leaves_the_file_as_it_was_and_the_next_one_cleans_up(tmp_path):
    path = tmp_path / "a.txt"
    write_whole(path, "before")
    killed = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert path.read_text() == "before"
    write_whole(path, "after")
    assert (path.read_text(), os.listdir(tmp_path)) == ("after", ["a.txt"])


def test_processes_that_write_at_once_do_not_share_a_name(tmp_path):
    with (
        whole_file(tmp_path / "a.txt", alone=False) as mine,
        whole_file(tmp_path / "a.txt") as other,
    ):
        mine.write_text("mine")
        other.write_text("other")
    assert mine != other
    assert (tmp_path / "a.txt").read_text() == "mine"


def test_nor_do_processes_of_the_same_number_on_two_machines(tmp_path):
    path = tmp_path / "a.txt"
    with whole_file(path, alone=False) as mine, whole_file(path, alone=False) as theirs:
        assert mine != theirs
        mine.write_text("mine")
        theirs.write_text("theirs")
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_tree_with_a_dangling_link_can_be_flushed(tmp_path):
    write_whole(tmp_path / "in" / "a.txt", "a")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    flush_tree(tmp_path)
