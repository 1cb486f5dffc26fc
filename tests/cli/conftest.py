"""A finished smoke run, and copies of it to spoil."""

import shutil
from pathlib import Path

import pytest

from nlpcompress.cli.main import main


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "result"
    assert main(["run", "smoke/logits", f"out={out}"]) == 0
    return out


@pytest.fixture
def result(finished, tmp_path):
    """A copy to spoil."""
    return Path(shutil.copytree(finished, tmp_path / "result"))
