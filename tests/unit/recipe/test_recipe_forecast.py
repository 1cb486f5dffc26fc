"""A dry run says how small a model gets, and computes nothing that only says what goes."""

import pytest

from nlpcompress.cli.main import main
from nlpcompress.methods.quantization import hessian_mixed
from nlpcompress.recipe.forecast import forecast
from nlpcompress.recipe.load import load_recipe
from nlpcompress.recipe.shipped import find_recipe


@pytest.fixture
def recipe():
    return load_recipe(find_recipe("smoke/hessian_mixed"), [])


def test_no_hessian_is_taken_where_only_sizes_are_asked_for(recipe, monkeypatch):
    def taken(*_, **__):
        raise AssertionError("a Hessian was taken")

    monkeypatch.setattr(hessian_mixed, "omegas", taken)
    start, trained, quantized = forecast(recipe)
    assert trained.cost == start.cost
    assert quantized.cost["parameters"] == start.cost["parameters"]
    assert quantized.cost["size_bytes"] < start.cost["size_bytes"] / 4
    assert any("bits" in action for action in quantized.actions if "quantize" in action)


def test_the_share_is_that_of_bytes(capsys):
    assert main(["plan", "smoke/hessian_mixed"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (line,) = [text for text in lines if text.startswith("stage 2")]
    size = int(line.split("parameters, ")[1].split(" bytes")[0].replace(",", ""))
    (start,) = [text for text in lines if text.startswith("start")]
    whole = int(start.split("parameters, ")[1].split(" bytes")[0].replace(",", ""))
    assert f"({size / whole:.1%} of the start)" in line
