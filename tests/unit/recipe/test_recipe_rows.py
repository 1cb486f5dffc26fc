"""The rows of a report: which a recipe makes, and the one that is asked for alone."""

import pytest

from nlpcompress.errors import ConfigError
from nlpcompress.recipe import run_recipe
from nlpcompress.recipe.artefacts import row_names
from nlpcompress.recipe.load import load_recipe
from nlpcompress.recipe.schema import ExportConfig
from tests.unit.recipe.searches import SMOKE

PLAIN = [
    "search=null",
    "export={onnx: true, quantize: dynamic-int8, runtimes: [onnxruntime, torch]}",
]
NAMES = ["compressed", "compressed-int8", "compressed-torch"]


def test_one_row_alone_stands_beside_the_first_of_the_model_before(tmp_path):
    whole = run_recipe(load_recipe(SMOKE, [*PLAIN, f"out={tmp_path}"]))
    assert [row.name for row in whole.rows if row.name.startswith("compressed")] == NAMES
    asked = load_recipe(SMOKE, [*PLAIN, "evaluate.row=compressed-int8", f"out={tmp_path}"])
    before, row = run_recipe(asked).rows
    assert (before.name, row.name) == ("teacher", "compressed-int8")
    assert row.metrics == next(own for own in whole.rows if own.name == row.name).metrics


def test_a_row_that_is_not_made_is_told_before_any_work(tmp_path):
    asked = load_recipe(SMOKE, [*PLAIN, "evaluate.row=compressed-int", f"out={tmp_path / 'out'}"])
    with pytest.raises(ConfigError, match=r"evaluate\.row: .* no row compressed-int; did you mean"):
        run_recipe(asked)
    assert not list(tmp_path.rglob("*.safetensors"))


@pytest.mark.parametrize(
    ("export", "names"),
    [
        ({}, ["compressed"]),
        ({"runtimes": ["torch", "torch-compile"]}, ["compressed", "compressed-torch-compile"]),
        (
            {"onnx": True, "quantize": "static-int8", "runtimes": ["openvino", "torch"]},
            ["compressed-openvino", "compressed-static-int8-openvino", "compressed-torch"],
        ),
    ],
)
def test_the_names_follow_from_the_export(export, names):
    assert list(row_names(ExportConfig.parse(export))) == names
