"""Short texts with mean human ratings from -4 to 4: movie reviews, and three other kinds.

Source: C.J. Hutto and E. Gilbert, "VADER: A Parsimonious Rule-based Model for Sentiment Analysis of
Social Media Text", ICWSM 2014; the tables of the sdist vaderSentiment 0.5 (MIT). The snippets of
movie reviews stem from reviews that SST-2 also drew on, but the ratings and the split are others:
it is not SST-2.
"""

import io
import tarfile
from pathlib import Path

import datasets

from nlpcompress.data.config import DataConfig
from nlpcompress.data.places import Archive, find_archive, open_zip
from nlpcompress.data.source import Source
from nlpcompress.errors import DataError

ARCHIVE = Archive(
    what="the set of movie snippets",
    pattern="vaderSentiment-0.5.zip",
    command="pip download --no-deps --no-binary vadersentiment -d {folder} vadersentiment==0.5",
)
TAR = "vaderSentiment-0.5/additional_resources/hutto_ICWSM_2014.tar.gz"
TABLE = "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt"
OTHERS = tuple(
    f"hutto_ICWSM_2014/{kind}_GroundTruth.txt"
    for kind in ("amazonReviewSnippets", "nytEditorialSnippets", "tweets")
)
NEUTRAL = 0.5


def read_snippets(config: DataConfig) -> Source:
    """Two classes, 10,041 rows: ratings above 0.5 are positive, below -0.5 negative."""
    rows = [(text, rating) for text, rating in _rated_texts(config, TABLE) if abs(rating) > NEUTRAL]
    values = {"text": [text for text, _ in rows], "label": [int(rating > 0) for _, rating in rows]}
    features = datasets.Features(
        {
            "text": datasets.Value("string"),
            "label": datasets.ClassLabel(names=["negative", "positive"]),
        }
    )
    return Source(datasets.Dataset.from_dict(values, features=features), None, ("text",), "label")


def read_ratings(config: DataConfig) -> Source:
    """Every snippet with its mean rating, a real number in [-4, 4] (10,603 rows)."""
    return _ratings(_rated_texts(config, TABLE))


def read_other_ratings(config: DataConfig) -> Source:
    """Sentences of product reviews, editorials and tweets, rated alike (13,016 rows)."""
    return _ratings(_rated_texts(config, *OTHERS))


def _ratings(rows: list[tuple[str, float]]) -> Source:
    values = {"text": [text for text, _ in rows], "rating": [rating for _, rating in rows]}
    return Source(datasets.Dataset.from_dict(values), None, ("text",), "rating")


def _rated_texts(config: DataConfig, *tables: str) -> list[tuple[str, float]]:
    """(text, rating) in the order of files.

    A few texts occur twice in the real ones; the first stays, so that none is in train and test.
    """
    archive = find_archive(ARCHIVE, config.path)
    unique: dict[str, float] = {}
    for line in (line for table in tables for line in _table(archive, table).splitlines()):
        _, rating, text = line.split("\t")
        unique.setdefault(text, float(rating))
    return list(unique.items())


def _table(archive: Path, table: str) -> str:
    try:
        packed = (open_zip(archive) / TAR).read_bytes()
        with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
            member = tar.extractfile(table)
            assert member is not None, "the table is a plain file in every such archive"
            return member.read().decode("utf-8")
    except (KeyError, FileNotFoundError, tarfile.TarError) as error:
        raise DataError(
            f"{archive} does not hold {TAR} with {table} ({error}); it is not {ARCHIVE.pattern}"
        ) from None
