"""The fenced blocks of README.md and docs/, those after `<!-- no test -->` left out."""

from pathlib import Path
from typing import NamedTuple

from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
MARK = "<!-- no test -->"


class Block(NamedTuple):
    """Its code, the number of its first line, and the file that it is to be, if it names one."""

    code: str
    line: int
    file: str | None = None


def blocks(language: str, text: str | None = None) -> list[Block]:
    """The blocks of one language, in order."""
    text = README.read_text("utf-8") if text is None else text
    tokens = MarkdownIt().parse(text)
    found = []
    for before, token in zip([None, *tokens], tokens, strict=False):
        marked = before is not None and before.type == "html_block" and MARK in before.content
        if token.type == "fence" and token.info.split()[:1] == [language] and not marked:
            file = next(iter(token.info.split()[1:]), None)
            found.append(Block(token.content, token.map[0] + 2, file))
    return found
