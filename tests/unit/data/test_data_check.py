"""What is refused before anything is read."""

import pytest

from nlpcompress.core.registry import Registry
from nlpcompress.data.check import check_source
from nlpcompress.data.config import DataConfig
from nlpcompress.data.table import DATASET_TASKS, DATASETS, FILE_FORMATS, HUB, TASKS
from nlpcompress.errors import DataError

TEXT = "text-classification"


@pytest.mark.parametrize(
    ("values", "task", "message"),
    [
        (
            {"name": "movie-snipets"},
            TEXT,
            "unknown data set 'movie-snipets'; did you mean 'movie-snippets'",
        ),
        ({"name": "a/b/c/d"}, TEXT, "'a/b/c/d' is no hub id; write owner/name"),
        ({"name": "/b"}, TEXT, "no hub id"),
        ({"name": "digits"}, "image-clasification", "did you mean 'image-classification'"),
        ({"name": "digits"}, TEXT, "'digits' serves image-classification, not text-classification"),
        ({"name": "movie-ratings"}, TEXT, "'movie-ratings' serves text-regression"),
        (
            {"name": "digits", "files": {"train": "x"}},
            "image-classification",
            "data.files goes with",
        ),
        ({"name": "owner/set", "path": "/x"}, TEXT, "data.path says where a built-in"),
        ({"name": "csv"}, TEXT, "data.name csv needs data.files.train"),
        (
            {"name": "csv", "files": {"tran": "x"}},
            TEXT,
            "data.files.tran: unknown split; did you mean 'train'",
        ),
        (
            {"name": "csv", "files": {"train": "/no/such.csv"}},
            TEXT,
            "there is no file /no/such.csv",
        ),
        (
            {"name": "bbc-news", "masking": {}},
            TEXT,
            "model.task masked-lm or pretraining, not with text-classification; leave it out",
        ),
        (
            {"name": "bbc-news", "label_column": "section"},
            "masked-lm",
            "data.label_column: 'section', but the labels of masked-lm are made from the text",
        ),
        ({"name": "digits"}, "masked-lm", "'digits' serves image-classification, not masked-lm"),
    ],
)
def test_a_bad_source_is_refused(values, task, message):
    with pytest.raises(DataError, match=message):
        check_source(DataConfig.parse(values), task=task)


def test_an_empty_file_is_refused(tmp_path):
    empty = tmp_path / "train.csv"
    empty.touch()
    with pytest.raises(DataError, match=r"data\.files\.train: .*train\.csv is empty"):
        check_source(DataConfig(name="csv", files={"train": str(empty)}), task=TEXT)


def test_every_built_in_set_has_its_tasks_and_every_reader_exists():
    assert set(DATASET_TASKS) == set(DATASETS) - set(FILE_FORMATS)
    assert {task for tasks in DATASET_TASKS.values() for task in tasks} <= set(TASKS)
    assert all(callable(DATASETS.load(name)) for name in DATASETS)
    assert callable(HUB.load("hub"))


def test_a_users_own_set_passes(monkeypatch):
    table = Registry("data set", {"mine": "somewhere:read"})
    monkeypatch.setattr("nlpcompress.data.check.DATASETS", table)
    check_source(DataConfig(name="mine", path="/data"), task=TEXT)
