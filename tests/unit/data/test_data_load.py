"""The whole way: from a config to rows that a Trainer takes; always the same for the same seed."""

import datasets
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from nlpcompress.data.config import DataConfig
from nlpcompress.data.load import load_data
from nlpcompress.data.source import Source
from nlpcompress.errors import DataError

TASK = "text-classification"
GOLDEN_TEXT = "[CLS] saw then desert it then summer then then [SEP]"
GOLDEN_PIXEL = [47, 69, 53]


def load(config, processor, seed=0, task=TASK):
    return load_data(config, task=task, processor=processor, seed=seed)


def test_the_same_seed_gives_the_same_rows_and_another_seed_the_same_test(tokenizer):
    config = DataConfig(name="synthetic-text", train_samples=100, test_samples=40)
    first, again, other = (load(config, tokenizer, seed) for seed in (5, 5, 6))
    assert first.train[:] == again.train[:]
    assert first.test[:] == again.test[:] == other.test[:]
    assert first.train[:] != other.train[:]
    assert (len(first.train), len(first.test)) == (100, 40)


def test_texts_are_cut_to_max_length(tokenizer):
    data = load(DataConfig(name="synthetic-text", max_length=5), tokenizer)
    assert max(len(ids) for ids in data.train["input_ids"]) == 5
    assert set(data.train.column_names) == {*tokenizer.model_input_names, "labels"}


def test_text_leaves_no_cache_files(tokenizer, tmp_path):
    data = load(DataConfig(name="synthetic-text"), tokenizer)
    assert data.train.cache_files == []
    assert not (tmp_path / "hf-cache").exists()


def counts(split, size):
    return np.stack([np.bincount(ids, minlength=size) for ids in split["input_ids"]])


def test_the_made_texts_can_be_learnt(tokenizer):
    data = load(DataConfig(name="synthetic-text"), tokenizer)
    (x, y), (u, v) = ((counts(s, len(tokenizer)), s["labels"][:]) for s in (data.train, data.test))
    assert LogisticRegression().fit(x, y).score(u, v) == 1.0
    assert (y.count(0), v.count(0)) == (128, 32)
    assert tokenizer.unk_token_id not in {token for ids in data.train["input_ids"] for token in ids}


def test_the_made_pictures_can_be_learnt():
    data = load(DataConfig(name="synthetic-images"), None, task="image-classification")
    x, u = (s[:]["pixel_values"].reshape(len(s), -1) / 255 for s in (data.train, data.test))
    model = LogisticRegression(max_iter=200).fit(x, data.train[:]["labels"])
    assert model.score(u, data.test[:]["labels"]) == 1.0


def test_the_made_sets_never_change(tokenizer):
    data = load(DataConfig(name="synthetic-text"), tokenizer)
    assert tokenizer.decode(data.test[0]["input_ids"]) == GOLDEN_TEXT
    pictures = load(DataConfig(name="synthetic-images"), None, task="image-classification")
    assert pictures.test[0]["pixel_values"][0, 0].tolist() == GOLDEN_PIXEL


def test_without_a_fitting_processor_nothing_is_read(tokenizer):
    config = DataConfig(name="synthetic-text")
    with pytest.raises(DataError, match="text is read through a tokenizer, got NoneType"):
        load(config, None)
    with pytest.raises(
        DataError, match="max_length is 600, the tokenizer's model takes at most 512"
    ):
        load(DataConfig(name="synthetic-text", max_length=600), tokenizer)
    tokenizer.pad_token = None
    with pytest.raises(DataError, match=r"has no padding token; set tokenizer.pad_token"):
        load(config, tokenizer)


def test_an_empty_split_is_refused(tokenizer, monkeypatch):
    rows = datasets.Dataset.from_dict({"text": ["ice"], "label": [0]})
    empty = rows.select([])
    monkeypatch.setattr("nlpcompress.data.synthetic.read_text", lambda config: Source(rows, empty))
    with pytest.raises(DataError, match="test of 'synthetic-text' has no rows"):
        load(DataConfig(name="synthetic-text"), tokenizer)
