"""The pages in docs/ do what they say: their Python runs, in order, in one fresh process a page,
and their recipes load.
"""

import os
import re
import subprocess
import sys

import pytest
from readme_blocks import MARK, ROOT, blocks

from nlpcompress.cli.main import main

PAGES = sorted((ROOT / "docs").glob("*.md"))
NEEDS_RESULT = "out/reviews"


def page(name):
    return (ROOT / "docs" / name).read_text("utf-8")


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """A folder with a small result under the name that pages use."""
    folder = tmp_path_factory.mktemp("docs")
    assert main(["run", "smoke/head_importance", f"out={folder / NEEDS_RESULT}"]) == 0
    return folder


@pytest.mark.parametrize("name", [path.name for path in PAGES if blocks("python", page(path.name))])
def test_the_python_of_a_page_runs(name, tmp_path, request):
    text = page(name)
    folder = request.getfixturevalue("result") if NEEDS_RESULT in text else tmp_path
    code = []
    for block in blocks("python", text):
        if block.file:
            (folder / block.file).write_text(block.code)
        else:
            code.append(block.code)
    (folder / "page.py").write_text("\n".join(code))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}
    done = subprocess.run(
        [sys.executable, "page.py"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


RECIPES = [(path.name, block) for path in PAGES for block in blocks("yaml", page(path.name))]


@pytest.mark.parametrize(("name", "block"), RECIPES, ids=[name for name, _ in RECIPES])
def test_the_recipes_of_a_page_load(name, block, tmp_path):
    (tmp_path / "recipe.yaml").write_text(block.code)
    assert main(["validate", str(tmp_path / "recipe.yaml")]) == 0


@pytest.mark.parametrize("name", [path.name for path in PAGES])
def test_every_block_is_tested_and_every_file_named_is_there(name):
    text = page(name)
    tested = len(blocks("python", text)) + len(blocks("yaml", text))
    assert text.count("```") == 2 * (tested + text.count(MARK))
    for path in re.findall(r"`((?:nlpcompress|tests)/[\w/]+\.py)`", text):
        assert (ROOT / path).is_file(), path


def test_the_readme_leads_to_every_page():
    readme = (ROOT / "README.md").read_text("utf-8")
    assert PAGES
    for path in PAGES:
        assert f"(docs/{path.name})" in readme, path.name


MESSAGES = re.compile(r"^\| `([^`]+)`", re.MULTILINE)


@pytest.mark.parametrize("message", MESSAGES.findall(page("troubleshooting.md")))
def test_a_message_that_is_explained_is_one_of_ours(message):
    """Each longer part between the dots stands in the source, whichever way its line breaks."""
    sources = [path.read_text("utf-8") for path in (ROOT / "nlpcompress").rglob("*.py")]
    flat = re.sub(r'"\s*\n\s*f?"', "", "\n".join(sources))
    parts = [part.strip(" '") for part in message.split("…")]
    for part in (part for part in parts if len(part) > 12):
        assert part in flat, part
