"""The edit share_layers: one set of weights, the values that were asked for, and nothing else."""

import copy

import pytest
import torch

from nlpcompress.core.plan import plan_from_json
from nlpcompress.errors import PlanError
from nlpcompress.models.layers import layers_of
from nlpcompress.surgery import apply_plan
from tests.families import FAMILIES
from tests.unit.surgery.test_surgery_layers import deep_bert

STACKS = ["bert", "roberta", "distilbert", "electra", "mpnet", "deberta_v2", "vit", "llama", "gpt2"]


def share(*layers, **values):
    return [{"op": "share_layers", "layers": list(layers), **values}]


def parameters(model):
    return sum(parameter.numel() for parameter in model.parameters())


def of_layers(model):
    return [dict(layer.named_parameters()) for layer in layers_of(model)[1]]


@pytest.mark.parametrize("source", [0, 3, "mean"])
def test_all_layers_have_the_weights_of_the_source(source):
    model, inputs = deep_bert()
    before = [{n: p.detach().clone() for n, p in layer.items()} for layer in of_layers(model)]
    one = sum(value.numel() for value in before[0].values())
    count = parameters(model)
    assert apply_plan(model, share(0, 2, 3, source=source), inputs) is model
    now = of_layers(model)
    for name, value in now[0].items():
        mean = (before[0][name] + before[2][name] + before[3][name]) / 3
        expected = mean if source == "mean" else before[source][name]
        assert torch.allclose(value, expected, atol=1e-7)
        assert now[2][name] is value and now[3][name] is value
        assert now[1][name] is not value and now[1][name].equal(before[1][name])
    assert parameters(model) == count - 2 * one


@pytest.mark.parametrize(
    ("part", "shared", "own"),
    [
        ("attention", "attention.self.query.weight", "intermediate.dense.weight"),
        ("attention", "attention.output.LayerNorm.weight", "output.LayerNorm.weight"),
        ("ffn", "output.dense.bias", "attention.output.dense.bias"),
    ],
)
def test_a_part_alone_is_shared(part, shared, own):
    model, inputs = deep_bert()
    apply_plan(model, share(1, 3, part=part), inputs)
    layers = of_layers(model)
    assert layers[1][shared] is layers[3][shared] is not layers[0][shared]
    assert layers[1][own] is not layers[3][own]


@pytest.mark.parametrize("family", STACKS)
def test_every_family_with_a_stack(family):
    model, inputs = FAMILIES[family]()
    first, second = of_layers(model)
    attention_and_ffn = copy.deepcopy(model)
    apply_plan(model, share(0, 1, source=1), inputs)
    again = of_layers(model)
    assert all(again[0][name] is again[1][name] for name in first)
    assert all(again[0][name].equal(second[name]) for name in first)
    for part in ("attention", "ffn"):
        apply_plan(attention_and_ffn, share(0, 1, part=part), inputs)
    one, two = of_layers(attention_and_ffn)
    layer = layers_of(attention_and_ffn)[1][0]
    own = {name.rpartition(".")[0] for name, value in one.items() if two[name] is not value}
    assert all("Norm" in type(layer.get_submodule(path)).__name__ for path in own)


def test_layers_that_share_learn_together():
    model, inputs = deep_bert()
    apply_plan(model, share(0, 1, 2, 3), inputs)
    model.train()(**inputs).logits.sum().backward()
    weight = of_layers(model)[2]["output.dense.weight"]
    assert weight.grad.abs().sum() > 0
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    assert of_layers(model)[0]["output.dense.weight"] is weight


def test_groups_may_lie_apart_and_follow_a_cut_that_was_alike():
    model, inputs = deep_bert()
    cuts = [{"op": "keep", "axis": f"layers.{i}.neurons", "indices": [0, 3, 5]} for i in range(4)]
    plan = cuts + share(0, 2) + share(1, 3, part="ffn")
    assert plan_from_json(plan).to_json()[-1]["source"] == "mean"
    apply_plan(model, plan, inputs)
    layers = of_layers(model)
    assert layers[0]["intermediate.dense.weight"] is layers[2]["intermediate.dense.weight"]
    assert layers[1]["intermediate.dense.weight"] is layers[3]["intermediate.dense.weight"]
    assert layers[1]["intermediate.dense.weight"].shape[0] == 3


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (share(0, 9), "has layers 0 to 3 at this point of the plan, got 9"),
        (share(1), "edits.0.layers"),
        (share(2, 1), "ascend"),
        (share(0, 1, source=3), r"source 3 is not one of the layers \[0, 1\]"),
        (share(0, 1, part="norms"), "edits.0.part"),
        (
            [{"op": "keep", "axis": "layers.1.neurons", "indices": [0]}, *share(0, 1, 2)],
            "layers 0 and 1 differ in intermediate.dense.bias",
        ),
    ],
)
def test_what_cannot_be_shared_is_refused_and_nothing_is_changed(plan, said):
    model, inputs = deep_bert()
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(PlanError, match=said):
        apply_plan(model, plan, inputs)
    assert all(value.equal(before[name]) for name, value in model.state_dict().items())
    layers = of_layers(model)
    assert layers[0]["output.dense.weight"] is not layers[1]["output.dense.weight"]


def test_models_without_a_stack_are_refused():
    model, inputs = FAMILIES["resnet_basic"]()
    with pytest.raises(PlanError, match="needs exactly one stack"):
        apply_plan(model, share(0, 1), inputs)
