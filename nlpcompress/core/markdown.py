"""Tables in Markdown."""

from collections.abc import Sequence


def markdown_table(titles: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    r"""The first column is of words, the others are of numbers and set right.

    >>> print(markdown_table(["model", "MB"], [["a|b", "3.5"]]))
    | model | MB |
    | --- | ---: |
    | a\|b | 3.5 |
    """
    rule = ["---", *("---:" for _ in titles[1:])]
    rows = [titles, rule, *lines]
    return "\n".join("| " + " | ".join(map(_escaped, row)) + " |" for row in rows)


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|").replace("\n", " ")
