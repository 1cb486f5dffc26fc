"""Sets of the hub: ids, splits and what is said without a connection."""

import datasets
import pytest

from nlpcompress.data.config import DataConfig
from nlpcompress.data.hub import hub_id, read_hub
from nlpcompress.data.load import load_data
from nlpcompress.errors import DataError


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("glue/sst2", ("nyu-mll/glue", "sst2")),
        ("nyu-mll/glue/mrpc", ("nyu-mll/glue", "mrpc")),
        ("stanfordnlp/imdb", ("stanfordnlp/imdb", None)),
    ],
)
def test_an_id_may_carry_a_configuration(name, expected):
    assert hub_id(name) == expected


def test_without_a_connection_the_error_says_what_to_do(monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    with pytest.raises(
        DataError,
        match=r"nyu-mll/glue \(sst2\) could not be loaded .*or use "
        r"data.name csv",
    ):
        read_hub(DataConfig(name="glue/sst2"))


def split(*labels):
    values = {"sentence": ["ice"] * len(labels), "label": list(labels)}
    names = datasets.ClassLabel(names=["negative", "positive"])
    features = datasets.Features({"sentence": datasets.Value("string"), "label": names})
    return datasets.Dataset.from_dict(values, features=features)


@pytest.fixture
def serve(monkeypatch):
    asked = []

    def install(**splits):
        def load(*args):
            asked.append(args)
            return datasets.DatasetDict(splits)

        monkeypatch.setattr("nlpcompress.data.hub.datasets.load_dataset", load)
        return asked

    return install


def test_an_unlabelled_test_split_gives_way_to_validation(serve, tokenizer):
    asked = serve(train=split(0, 1, 1), validation=split(1, 0), test=split(-1, -1, -1, -1))
    data = load_data(DataConfig(name="glue/sst2"), task="text-classification", processor=tokenizer)
    assert asked == [("nyu-mll/glue", "sst2")]
    assert (len(data.train), len(data.test)) == (3, 2)
    assert data.labels == ("negative", "positive")
    assert sorted(data.test["labels"]) == [0, 1]


def test_a_labelled_test_split_comes_first(serve):
    serve(train=split(0, 1), validation=split(1), test=split(0, 0, 1))
    assert len(read_hub(DataConfig(name="a/b")).test) == 3


def test_unlabelled_training_rows_are_refused(serve, tokenizer):
    serve(train=split(0, -1), test=split(1))
    with pytest.raises(DataError, match="train, row 1: label -1 is out of range"):
        load_data(DataConfig(name="a/b"), task="text-classification", processor=tokenizer)


def test_a_set_without_train_is_refused(serve):
    serve(test=split(0))
    with pytest.raises(DataError, match="a/b has no split 'train'; it has: test"):
        read_hub(DataConfig(name="a/b"))
