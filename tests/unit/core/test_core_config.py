import pytest
from pydantic import Field

from nlpcompress.core.config import Config
from nlpcompress.errors import ConfigError


class Inner(Config):
    temperature: float = Field(2.0, gt=0)


class Outer(Config):
    keep: float = Field(0.5, gt=0, le=1)
    inner: Inner = Inner()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kep": 0.5}, "stages.1.kep: unknown key; did you mean 'keep'?"),
        ({"inner": {"temprature": 1.0}}, "did you mean 'temperature'?"),
        ({"zzz": 1}, "unknown key; allowed: inner, keep"),
        ({"keep": 0}, "stages.1.keep: input should be greater than 0 (value: 0)"),
        ({"keep": "1e-3"}, "'1e-3' is text, not a number; write 0.001"),
        ({"keep": "1e-9"}, "write 1.0e-09"),
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


def test_configs_are_frozen_and_survive_json():
    config = Outer.parse({"keep": 1, "inner": {"temperature": 4}})
    with pytest.raises(Exception, match="frozen"):
        config.keep = 0.1
    assert Outer.parse(config.to_json()) == config
