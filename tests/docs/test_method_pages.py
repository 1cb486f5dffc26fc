"""Each method has a page in docs/methods, which says what its code says."""

import sys

from readme_blocks import ROOT

from nlpcompress.methods.table import METHODS

sys.path.insert(0, str(ROOT / "scripts"))

from method_pages import FOLDER, MEASURED, pages


def test_the_pages_are_what_the_code_says():
    """Write them again with `python scripts/method_pages.py`."""
    written = {path.name: path.read_text("utf-8") for path in FOLDER.glob("*.md")}
    assert written == pages()
    assert set(written) == {"README.md", *(f"{name}.md" for name in METHODS)}


def test_figures_are_where_a_page_says():
    readme = (ROOT / "README.md").read_text("utf-8")
    for title, methods in MEASURED.items():
        assert f"\n## {title}\n" in readme
        assert set(methods) <= set(METHODS)


def test_pages_name_parts_recipes_and_keys():
    page = pages()["movement.md"]
    assert "**Source**: Sanh et al. 2020" in page
    assert "| `final_lambda` | `0.0` | number at least 0 | weight of the sparsity" in page
    assert "[recipes/text/movement-movies.yaml](../../recipes/text/movement-movies.yaml)" in page
    assert "[Pruning while training](../../README.md#pruning-while-training)" in page
