from typing import Annotated, Literal

import pytest
from pydantic import Field

from nlpcompress.core.config import Config
from nlpcompress.errors import ConfigError


class Inner(Config):
    temperature: float = Field(2.0, gt=0)


class Outer(Config):
    keep: float = Field(0.5, gt=0, le=1)
    inner: Inner = Inner()
    items: Annotated[tuple[int, ...], Field(strict=False, min_length=1)] = (1,)
    choice: Literal["all"] | tuple[int, ...] = "all"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kep": 0.5}, "stages.1.kep: unknown key; did you mean 'keep'?"),
        ({"inner": {"temprature": 1.0}}, "did you mean 'temperature'?"),
        ({"zzz": 1}, "unknown key; allowed: choice, inner, items, keep"),
        ({"keep": 0}, "stages.1.keep: input should be greater than 0 (value: 0)"),
        ({"keep": "1e-3"}, "'1e-3' is text, not a number; write 0.001"),
        ({"keep": "1e-9"}, "write 1.0e-09"),
        ({"keep": "1"}, "stages.1.keep: '1' is text, not a number; write 1"),
        ({"items": 4}, "stages.1.items: must be a list (value: 4)"),
        ({"keep": [1]}, "stages.1.keep: input should be a valid number (value: [1])"),
    ],
)
def test_a_bad_value_is_named_with_its_path_and_the_mend(values, message):
    with pytest.raises(ConfigError) as error:
        Outer.parse(values, where="stages.1")
    assert message in str(error.value)


def test_all_problems_come_at_once():
    with pytest.raises(ConfigError) as error:
        Outer.parse({"keep": 2, "inner": {"temperature": -1}, "other": 1})
    assert len(str(error.value).splitlines()) == 3


@pytest.mark.parametrize("values", [{"items": ["a"]}, {"keep": "64"}])
def test_one_fault_is_one_line(values):
    with pytest.raises(ConfigError) as error:
        Outer.parse(values)
    assert len(str(error.value).splitlines()) == 1


def test_paths_are_those_of_the_values():
    with pytest.raises(ConfigError) as error:
        Outer.parse({"choice": "al"})
    assert {line.partition(":")[0] for line in str(error.value).splitlines()} == {"choice"}


def test_configs_are_frozen_and_survive_json():
    config = Outer.parse({"keep": 1, "inner": {"temperature": 4}})
    with pytest.raises(Exception, match="frozen"):
        config.keep = 0.1
    assert Outer.parse(config.to_json()) == config
