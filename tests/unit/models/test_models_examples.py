"""Example inputs that every family can run on, and the one stack of layers."""

import pytest
import torch

from nlpcompress.errors import PlanError
from nlpcompress.models.examples import example_inputs
from nlpcompress.models.layers import layers_of
from tests.families import FAMILIES


@pytest.mark.parametrize("family", [f for f in FAMILIES if not f.startswith(("resnet", "regnet"))])
def test_a_model_runs_on_its_example_inputs(family):
    model, _ = FAMILIES[family]()
    inputs = example_inputs(model, batch_size=3, length=12)
    assert all(len(tensor) == 3 for tensor in inputs.values())
    with torch.no_grad():
        outputs = model(**inputs)[0]
    assert outputs.isfinite().all()
    again = example_inputs(model, batch_size=3, length=12)
    assert all(torch.equal(inputs[name], again[name]) for name in inputs)


def test_text_examples_have_padding_and_stay_within_the_positions():
    model, _ = FAMILIES["roberta"]()
    inputs = example_inputs(model, batch_size=2, length=100)
    assert inputs["input_ids"].shape == (2, 38)  # 40 positions, the first two taken by padding
    assert inputs["attention_mask"].sum(1).tolist() == [38, 29]
    assert (inputs["input_ids"][1, 29:] == model.config.pad_token_id).all()
    assert inputs["input_ids"][0].min() != model.config.pad_token_id


def test_image_examples_take_the_models_type_and_size():
    model, _ = FAMILIES["vit"]()
    inputs = example_inputs(model.to(torch.bfloat16), batch_size=1)
    assert inputs["pixel_values"].shape == (1, 3, 32, 32)
    assert inputs["pixel_values"].dtype is torch.bfloat16


def test_an_encoder_decoder_gets_decoder_inputs():
    model, _ = FAMILIES["t5"]()
    assert set(example_inputs(model)) == {"input_ids", "attention_mask", "decoder_input_ids"}


@pytest.mark.parametrize(
    ("family", "length"),
    [("bert", 2), ("distilbert", 2), ("modernbert", 3), ("vit", 2), ("llama", 2), ("gpt2", 2)],
)
def test_layers_of_finds_the_stack(family, length):
    model, _ = FAMILIES[family]()
    path, layers = layers_of(model)
    assert len(layers) == length
    assert model.get_submodule(path) is layers


@pytest.mark.parametrize(
    ("family", "message"),
    [
        ("albert", "the same 1 group"),
        ("t5", r"found: encoder\.block, decoder\.block"),
        ("resnet_basic", "found: none"),
        ("convnext", "found: none"),
    ],
)
def test_layers_of_says_why_there_is_no_one_stack(family, message):
    model, _ = FAMILIES[family]()
    with pytest.raises(PlanError, match=message):
        layers_of(model)
