#!/usr/bin/env python3
"""Write docs/methods: a page for each method, out of its docstring, its config and the recipes.

Run from the repository's root: `python scripts/method_pages.py`. A test compares the pages with
what this would write.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import yaml

from nlpcompress.cli.method_page import method_keys, method_text
from nlpcompress.core.markdown import markdown_table
from nlpcompress.methods.table import METHODS
from nlpcompress.recipe.shipped import shipped_recipes

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "methods"
PARTS = ("Source", "Differs", "Cost")
MEASURED = {
    "What the main job gives": ("head_importance", "logits", "neuron_importance"),
    "Pruning while training": ("head_importance", "magnitude", "movement"),
    "Distilling": ("features", "keep_layers", "layerwise", "logits", "triple_loss"),
    "Sharing and factoring": ("albert",),
    "Few bits": ("hessian_mixed",),
    "Fewer tokens": ("keep_vocabulary",),
    "Pictures": ("channels",),
    "What must hold": ("slice", "sort", "supernet"),
}
"""Section of the README → the methods it has figures of."""


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("*.md"):
        old.unlink()
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


def pages() -> dict[str, str]:
    """File in docs/methods → what it says."""
    found = {f"{name}.md": "\n".join(page(name)) + "\n" for name in sorted(METHODS)}
    return {"README.md": "\n".join(index()) + "\n", **found}


def index() -> Iterator[str]:
    yield from (
        "# Methods",
        "",
        "Each decides; edits cut. Written by `scripts/method_pages.py`.",
        "",
    )
    lines = [summary(name) for name in sorted(METHODS)]
    yield markdown_table(["method", "what it does"], lines, words=2)


def summary(name: str) -> list[str]:
    first = method_text(name).partition("\n\n")[0]
    return [f"[{name}]({name}.md)", " ".join(first.split())]


def page(name: str) -> Iterator[str]:
    yield from (f"# {name}", "", marked(method_text(name)), "", keys(name))
    for title, links in (("Recipes", recipes(name)), ("Measured here", sections(name))):
        yield from ("", f"## {title}", "", ", ".join(links) or "None yet.")


def marked(text: str) -> str:
    """The docstring, with its parts told apart."""
    for part in PARTS:
        text = re.sub(rf"^{part}: ", f"\n**{part}**: ", text, flags=re.MULTILINE)
    return re.sub(r"\n{3,}", "\n\n", text)


def keys(name: str) -> str:
    found = [[f"`{k.name}`", f"`{k.default}`", k.kind, k.about] for k in method_keys(name)]
    titles = ["key", "default", "may be", "what it does"]
    return markdown_table(titles, found, words=4) if found else "Its config has no keys."


def recipes(name: str) -> Iterator[str]:
    """Links to the shipped recipes that use it; the smoke ones only where there are no others."""
    paths = [path for path in shipped_recipes().values() if uses(path, name)]
    real = [path for path in paths if path.parent.name != "smoke"]
    for path in real or paths:
        place = path.resolve().relative_to(ROOT).as_posix()
        yield f"[{place}](../../{place})"


def uses(path: Path, name: str) -> bool:
    stages = yaml.safe_load(path.read_text(encoding="utf-8"))["stages"]
    used = [one["method"] for stage in stages for one in (stage, *stage.get("also", ()))]
    return name in used


def sections(name: str) -> Iterator[str]:
    """Links to the sections of the README with figures of it."""
    for title, methods in MEASURED.items():
        if name in methods:
            yield f"[{title}](../../README.md#{title.lower().replace(' ', '-')})"


if __name__ == "__main__":
    main()
