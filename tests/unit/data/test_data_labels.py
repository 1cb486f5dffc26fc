"""Raw labels into numbers, and into words a model can be given."""

import datasets
import numpy as np
import pytest

from nlpcompress.data.labels import check_labels, class_names, class_numbers, real_numbers
from nlpcompress.data.task_data import TaskData
from nlpcompress.errors import DataError


def column(values, feature=None):
    features = datasets.Features({"label": feature}) if feature else None
    return datasets.Dataset.from_dict({"label": values}, features=features)


@pytest.mark.parametrize(
    ("values", "names", "numbers"),
    [
        (["pos", "neg", "pos"], ("neg", "pos"), [1, 0, 1]),
        ([2, 0, 1, 1], ("0", "1", "2"), [2, 0, 1, 1]),
        ([True, False], ("false", "true"), [1, 0]),
    ],
)
def test_words_numbers_and_booleans_become_classes(values, names, numbers):
    assert class_names(column(values), "label") == names
    found = class_numbers(values, names, where="train")
    assert found.dtype == np.int64
    assert found.tolist() == numbers


def test_the_type_of_the_column_gives_the_names_even_if_a_class_is_absent():
    train = column([0, 0, 2], datasets.ClassLabel(names=["a", "b", "c"]))
    assert class_names(train, "label") == ("a", "b", "c")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1, 2, 3], "has classes 1, 2, 3; whole numbers must count from 0"),
        ([0, 2], "without gaps"),
        ([-1, 0, 1], "has classes -1, 0, 1"),
        ([0.5, 1.0], "holds float; .*text-regression"),
        (["a", "a"], "only 1 class"),
        (["a", None], "has no label in row 1"),
        ([[0], [0, 1]], "holds list; classes are words"),
    ],
)
def test_columns_that_are_no_classes_are_refused(values, message):
    with pytest.raises(DataError, match=message):
        class_names(column(values), "label")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["good", "bd"], "test, row 1: label 'bd' does not occur in train; did you mean 'bad'"),
        (["good", None], "test, row 1: the label is missing"),
        ([1, 2], "test, row 1: label 2 is out of range; allowed: whole numbers 0 to 1"),
        ([-1], "label -1 is out of range"),
        ([0.0], r"label 0\.0 is out of range"),
    ],
)
def test_a_label_outside_the_classes_is_named_with_its_row(values, message):
    with pytest.raises(DataError, match=message):
        class_numbers(values, ("bad", "good"), where="test")


def test_real_labels_are_float32():
    found = real_numbers([1, -2.5], where="train")
    assert found.dtype == np.float32
    assert found.tolist() == [1.0, -2.5]


@pytest.mark.parametrize("value", ["3", None, True, float("nan"), float("inf")])
def test_what_is_no_finite_number_is_no_real_label(value):
    with pytest.raises(DataError, match="train, row 1: the label of a text-regression is a finite"):
        real_numbers([0.0, value], where="train")


def test_labels_must_be_as_many_as_the_models():
    empty = column([])
    data = TaskData("text-classification", ("neg", "pos"), empty, empty, dict)
    check_labels(data, 2)
    with pytest.raises(DataError, match=r"model has 3 label\(s\), the data has 2 \(neg, pos\)"):
        check_labels(data, 3)


def test_data_without_classes_fits_any_model():
    rows = datasets.Dataset.from_dict({"input_ids": [[1]]})
    check_labels(TaskData("masked-lm", (), rows, rows, lambda batch: {}), 2)
