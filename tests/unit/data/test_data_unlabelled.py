"""Texts for a teacher to answer, beside the data's own: no labels, and none of the test set."""

import logging

import datasets
import pytest

from nlpcompress.data.config import DataConfig
from nlpcompress.data.unlabelled import check_unlabelled, with_unlabelled
from nlpcompress.errors import DataError

TRAIN, TEST = ("the sun", "the snow"), ("the moon", "a star")
MORE = ("the moon", "a cloud", "the sun", "rain", "a cloud", "wind")


@pytest.fixture
def table(tmp_path):
    """Name and columns → config of a csv file."""

    def write(name, **columns):
        path = tmp_path / f"{name}.csv"
        datasets.Dataset.from_dict({key: list(texts) for key, texts in columns.items()}).to_csv(
            path
        )
        return str(path)

    return write


@pytest.fixture
def data(table):
    files = {
        "train": table("train", text=TRAIN, label=(0, 1)),
        "test": table("test", text=TEST, label=(0, 1)),
    }
    return DataConfig(name="csv", files=files, test_samples=1)


def csv(path, **config):
    return DataConfig(name="csv", files={"train": path}, **config)


def rows():
    return datasets.Dataset.from_dict({"text": list(TRAIN), "labels": [0, 1]})


def made(data, more, seed=0):
    return with_unlabelled(rows(), ("text",), more=more, data=data, seed=seed)


def test_the_rows_come_first_and_what_the_data_has_or_came_before_is_left_out(data, table, caplog):
    with caplog.at_level(logging.INFO):
        found = made(data, csv(table("more", words=MORE, stars=range(6)), text_columns=("words",)))
    assert found.column_names == ["text"]
    assert found["text"][:2] == list(TRAIN)
    assert sorted(found["text"][2:]) == ["a cloud", "rain", "wind"]
    assert "csv: 3 texts for the teacher to answer; 3 others are in the data" in caplog.text


def test_some_are_drawn_by_the_seed(data, table):
    more = csv(table("many", text=[f"text {n}" for n in range(50)]), train_samples=5)
    drawn = [tuple(made(data, more, seed)["text"][2:]) for seed in (0, 0, 1)]
    assert [len(texts) for texts in drawn] == [5, 5, 5]
    assert drawn[0] == drawn[1] != drawn[2]


def test_pairs_take_pairs(data, table):
    pairs = table("pairs", sentence1=("rain", "wind"), sentence2=("sun", "snow"))
    with pytest.raises(
        DataError, match=r"has 2 text\(s\) a row \(sentence1, sentence2\), the data"
    ):
        made(data, csv(pairs))
    test = table("other", sentence1=("rain", "ice"), sentence2=("sun", "snow"), label=(0, 1))
    own = datasets.Dataset.from_dict({"sentence1": ["a"], "sentence2": ["b"], "labels": [0]})
    found = with_unlabelled(
        own,
        ("sentence1", "sentence2"),
        more=csv(pairs),
        data=DataConfig(name="csv", files={"train": test, "test": test}),
        seed=0,
    )
    assert found[1:] == {"sentence1": ["wind"], "sentence2": ["snow"]}


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"name": "digits"}, "'digits' serves image-classification"),
        ({"name": "movie-snipets"}, "unknown data set 'movie-snipets'; did you mean"),
        ({"name": "movie-ratings", "label_column": "rating"}, "leave it out"),
    ],
)
def test_what_cannot_be_read_as_plain_texts_is_refused(config, said):
    with pytest.raises(DataError, match=said):
        check_unlabelled(DataConfig(**config))
