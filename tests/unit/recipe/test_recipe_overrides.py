"""`key.path=value` lands where it says, and nowhere else."""

import pytest

from nlpcompress.errors import ConfigError
from nlpcompress.recipe.overrides import apply_overrides

RECIPE = {"seed": 0, "stages": [{"method": "fine_tune"}, {"config": {"keep": 0.5}}]}


def test_sets_values_in_lists_and_mappings_and_leaves_the_original_alone():
    changed = apply_overrides(RECIPE, ["seed=1", "stages.1.config.keep=0.6", "out=some/dir"])
    assert changed == {
        "seed": 1,
        "out": "some/dir",
        "stages": [{"method": "fine_tune"}, {"config": {"keep": 0.6}}],
    }
    assert RECIPE["stages"][1]["config"]["keep"] == 0.5


def test_makes_missing_blocks_and_reads_yaml_values():
    changed = apply_overrides({"export": None}, ["export.onnx=true", "bench.batch_sizes=[1, 8]"])
    assert changed == {"export": {"onnx": True}, "bench": {"batch_sizes": [1, 8]}}


def test_the_last_of_several_wins():
    assert apply_overrides({}, ["seed=1", "seed=2"]) == {"seed": 2}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seed", "'seed' is not an override; write key.path=value"),
        ("=1", "'=1' is not an override"),
        ("stages.7.config.keep=1", "override stages.7: '7' is no item of this list; it holds 2"),
        ("stages.last.method=x", "override stages.last: 'last' is no item of this list"),
        ("seed.a.b=1", "override seed.a: leads through the value 0, which holds no keys"),
        ("seed.a=1", "override seed.a: leads through the value 0"),
        ("seed=[1", "override seed, line 1, column 3: not YAML"),
    ],
)
def test_says_what_is_wrong_with_an_override(override, message):
    with pytest.raises(ConfigError, match=message.replace("[", r"\[")) as raised:
        apply_overrides(RECIPE, [override])
    assert str(raised.value).startswith(message)
