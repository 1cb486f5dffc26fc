"""Every family: an uneven cut is saved and reloads to the same logits, to the last bit."""

import json

import pytest
import torch
import transformers

from nlpcompress.axes import find_axes
from nlpcompress.io import save_model
from nlpcompress.surgery import apply_plan
from tests.cuts import uneven_plan
from tests.families import FAMILIES


def parameters(model):
    return sum(p.numel() for p in model.parameters())


def largest_difference(a, b, inputs):
    with torch.no_grad():
        return float((a(**inputs)[0] - b(**inputs)[0]).abs().max())


@pytest.mark.parametrize("family", FAMILIES)
def test_an_uneven_cut_reloads_exactly(family, tmp_path):
    model, inputs = FAMILIES[family]()
    whole = parameters(model)
    plan = uneven_plan(find_axes(model, inputs))
    assert len(plan) >= 3
    apply_plan(model, plan, inputs)
    assert parameters(model) < whole

    folder = save_model(model, tmp_path / family, plan=plan)
    config = json.loads((folder / "config.json").read_text())
    assert config["quantization_config"]["structure"]["shapes"]
    again = type(model).from_pretrained(folder)
    assert parameters(again) == parameters(model)
    assert largest_difference(model, again, inputs) == 0.0

    body = transformers.AutoModel.from_pretrained(folder)
    names = dict(body.named_parameters())
    own = dict(getattr(model, model.base_model_prefix, model).named_parameters())
    assert own.keys() <= names.keys()  # the bare model may have a pooler that this head has not
    assert all(torch.equal(names[name], own[name]) for name in own)
