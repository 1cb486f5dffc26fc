"""Tables in Markdown."""

from collections.abc import Sequence


def markdown_table(titles: Sequence[str], lines: Sequence[Sequence[str]], *, words: int = 1) -> str:
    r"""The first columns are of `words`, the others are of numbers and set right.

    >>> print(markdown_table(["model", "MB"], [["a|b", "3.5"]]))
    | model | MB |
    | --- | ---: |
    | a\|b | 3.5 |
    >>> print(markdown_table(["key", "about"], [], words=2))
    | key | about |
    | --- | --- |
    """
    rule = ["---" if place < words else "---:" for place in range(len(titles))]
    rows = [titles, rule, *lines]
    return "\n".join("| " + " | ".join(map(_escaped, row)) + " |" for row in rows)


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|").replace("\n", " ")
