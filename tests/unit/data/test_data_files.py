"""A user's files in four formats, and what is wrong with them."""

import json

import pandas as pd
import pytest

from nlpcompress.data.config import DataConfig
from nlpcompress.data.load import load_data
from nlpcompress.errors import DataError

ROWS = [{"text": word, "label": i % 2} for i, word in enumerate(["NA", "null", "a, b", "ice"])]


def write(folder, form, rows=ROWS, name="train"):
    path, table = folder / f"{name}.{form}", pd.DataFrame(rows)
    if form == "parquet":
        table.to_parquet(path)
    elif form == "json":
        path.write_text("\n".join(json.dumps(row) for row in rows))
    else:
        table.to_csv(path, index=False, sep="\t" if form == "tsv" else ",")
    return str(path)


def load(config, tokenizer, task="text-classification", seed=0):
    return load_data(config, task=task, processor=tokenizer, seed=seed)


def decoded(data, split, tokenizer):
    return sorted(tokenizer.decode(ids, skip_special_tokens=False) for ids in split["input_ids"])


@pytest.mark.parametrize("form", ["csv", "tsv", "json", "parquet"])
def test_every_format_gives_the_same_rows(tmp_path, tokenizer, form):
    files = {"train": write(tmp_path, form), "test": write(tmp_path, form, ROWS[:2], "test")}
    data = load(DataConfig(name=form, files=files), tokenizer)
    assert (len(data.train), len(data.test)) == (4, 2)
    assert data.labels == ("0", "1")
    unknown = "[CLS] [UNK] [SEP]"
    assert decoded(data, data.test, tokenizer) == [unknown, unknown]  # NA and null are text
    assert sorted(data.train["labels"]) == [0, 0, 1, 1]


def test_a_changed_file_is_read_anew(tmp_path, tokenizer):
    config = DataConfig(name="csv", files={"train": write(tmp_path, "csv", ROWS * 5)})
    assert len(load(config, tokenizer).train) == 16
    write(tmp_path, "csv", ROWS * 10)
    assert len(load(config, tokenizer).train) == 32


def test_without_a_test_file_a_fixed_fifth_is_held_out(tmp_path, tokenizer):
    rows = [{"text": "ice " * (i + 1), "label": i % 2} for i in range(20)]
    config = DataConfig(name="csv", files={"train": write(tmp_path, "csv", rows)})
    first, second = (load(config, tokenizer, seed=seed) for seed in (0, 1))
    assert (len(first.train), len(first.test)) == (16, 4)
    assert first.test["input_ids"][:] == second.test["input_ids"][:]
    assert first.train["input_ids"][:] != second.train["input_ids"][:]
    lengths = {len(ids) for ids in [*first.train["input_ids"], *first.test["input_ids"]]}
    assert lengths == set(range(3, 23))


def test_pairs_and_own_column_names(tmp_path, tokenizer):
    rows = [{"one": "ice", "two": "sun", "stars": s} for s in ("low", "high", "low", "high", "low")]
    config = DataConfig(
        name="csv",
        files={"train": write(tmp_path, "csv", rows)},
        text_columns=("one", "two"),
        label_column="stars",
    )
    data = load(config, tokenizer)
    assert data.labels == ("high", "low")
    assert set(decoded(data, data.train, tokenizer)) == {"[CLS] ice [SEP] sun [SEP]"}


def test_regression_takes_the_label_columns_name(tmp_path, tokenizer):
    rows = [{"text": "ice", "score": i / 2} for i in range(5)]
    config = DataConfig(
        name="csv", files={"train": write(tmp_path, "csv", rows)}, label_column="score"
    )
    data = load(config, tokenizer, "text-regression")
    assert data.labels == ("score",)
    assert sorted([*data.train["labels"], *data.test["labels"]]) == [0.0, 0.5, 1.0, 1.5, 2.0]


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ([{"txt": "a", "label": 0}], {}, "no text column found .*one or two of: txt, label"),
        ([{"text": "a", "lable": 0}], {}, "no column named label or labels; .*one of: text, lable"),
        (ROWS, {"text_columns": ["txt"]}, "train has no column 'txt'; did you mean 'text'"),
        (
            ROWS,
            {"label_column": "lable"},
            "data.label_column: train has no column 'lable'; did you mean 'label'",
        ),
        (ROWS, {"text_columns": ["text", "text"]}, "'text' is given twice"),
        (
            [{"text": "a", "label": "b"}] * 4,
            {"text_columns": ["text", "label"]},
            "'label' is the label, which no text may tell",
        ),
        (ROWS, {"text_columns": ["label"]}, "column 'label' of train holds int64, not text"),
        ([*ROWS, {"text": None, "label": 0}], {}, "column 'text' of train has no text in row 4"),
        (
            [*ROWS, {"text": "a", "label": None}],
            {},
            "column 'label' of train has no label in row 4",
        ),
        ([{"text": "a", "label": 1}] * 4, {}, "has classes 1; whole numbers must count from 0"),
    ],
)
def test_bad_columns_and_labels_are_refused(tmp_path, tokenizer, rows, options, message):
    files = {"train": write(tmp_path, "csv", rows)}
    with pytest.raises(DataError, match=message):
        load(DataConfig.parse({"name": "csv", "files": files, **options}), tokenizer)


def test_a_label_of_test_that_train_does_not_have(tmp_path, tokenizer):
    train = [{"text": "a", "label": word} for word in ("cold", "warm")]
    files = {
        "train": write(tmp_path, "csv", train),
        "test": write(tmp_path, "csv", [{"text": "a", "label": "wram"}], "test"),
    }
    with pytest.raises(DataError, match=r"test, row 0: label 'wram' .*did you mean 'warm'"):
        load(DataConfig(name="csv", files=files), tokenizer)


def test_a_header_without_rows_is_an_empty_set(tmp_path, tokenizer):
    path = tmp_path / "train.csv"
    path.write_text("text,label\n")
    with pytest.raises(DataError, match=r"train\.csv, read as csv, has no rows"):
        load(DataConfig(name="csv", files={"train": str(path)}), tokenizer)


@pytest.mark.parametrize(
    ("form", "content"), [("json", "{not json"), ("parquet", "PAR0"), ("csv", 'a,b\n"')]
)
def test_a_file_of_another_format_is_refused(tmp_path, tokenizer, form, content):
    path = tmp_path / "train.txt"
    path.write_text(content)
    with pytest.raises(DataError, match=f"train.txt cannot be read as {form}: ."):
        load(DataConfig(name=form, files={"train": str(path)}), tokenizer)
