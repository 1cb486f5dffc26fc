"""The data block of a recipe: typed, bounded, described."""

import pytest

from nlpcompress.data.config import DataConfig, MaskingConfig
from nlpcompress.errors import ConfigError


def test_a_yaml_list_of_columns_is_accepted_and_survives_json():
    config = DataConfig.parse({"name": "csv", "text_columns": ["a", "b"], "files": {"train": "t"}})
    assert config.text_columns == ("a", "b")
    assert DataConfig.parse(config.to_json()) == config


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "data.name: required"),
        (
            {"name": "digits", "max_lenght": 3},
            "data.max_lenght: unknown key; did you mean 'max_length'",
        ),
        ({"name": "digits", "max_length": 1}, "data.max_length: .*greater than or equal to 2"),
        ({"name": "digits", "max_length": "64"}, "data.max_length: '64' is text, not a number"),
        ({"name": "digits", "train_samples": 0}, "data.train_samples: .*greater than 0"),
        ({"name": "digits", "test_samples": 1.5}, "data.test_samples: .*integer"),
        ({"name": "csv", "text_columns": []}, "data.text_columns: .*at least 1 item"),
        ({"name": "csv", "text_columns": ["a", "b", "c"]}, "data.text_columns: .*at most 2 items"),
        ({"name": "csv", "files": ["a.csv"]}, "data.files: .*dictionary"),
        ({"name": "csv", "masking": {"probability": 1}}, "data.masking.probability: .*less than 1"),
        ({"name": "csv", "masking": {"smoothing": -1}}, "data.masking.smoothing: .*equal to 0"),
        ({"name": "csv", "masking": {"smooth": 1}}, "data.masking.smooth: unknown key"),
    ],
)
def test_a_wrong_value_is_named_with_its_path(values, message):
    with pytest.raises(ConfigError, match=message):
        DataConfig.parse(values, where="data")


def test_every_field_is_described():
    fields = {**DataConfig.model_fields, **MaskingConfig.model_fields}
    assert [name for name, field in fields.items() if not field.description] == []
