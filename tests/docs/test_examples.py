"""Every example in a docstring gives what it says."""

import doctest
import importlib
from pathlib import Path

import pytest

import nlpcompress

ROOT = Path(nlpcompress.__file__).parent.parent
FILES = [
    file for file in Path(nlpcompress.__file__).parent.rglob("*.py") if ">>>" in file.read_text()
]
MODULES = sorted(".".join(file.relative_to(ROOT).with_suffix("").parts) for file in FILES)


@pytest.mark.parametrize("module", MODULES)
def test_the_examples_hold(module):
    done = doctest.testmod(importlib.import_module(module))
    assert done.attempted and not done.failed
