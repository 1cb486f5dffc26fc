"""The edit keep_layers: exact, renumbered, and only where the stock config can say it."""

import pytest
import torch

from nlpcompress.core.plan import plan_from_json
from nlpcompress.errors import AxisError, PlanError
from nlpcompress.models.layers import layers_of
from nlpcompress.surgery import apply_plan
from nlpcompress.surgery.verify import relative_error
from tests.families import FAMILIES


def keep(*layers):
    return [{"op": "keep_layers", "layers": list(layers)}]


def deep_bert():
    """A BERT of four layers, all different."""
    model, inputs = FAMILIES["bert"]()
    config = type(model.config)(**model.config.to_dict() | {"num_hidden_layers": 4})
    torch.manual_seed(3)
    return type(model)(config).eval(), inputs


def test_the_kept_layers_are_the_old_ones_in_order():
    model, inputs = deep_bert()
    layers = list(layers_of(model)[1])
    assert apply_plan(model, keep(0, 3), inputs) is model
    assert list(layers_of(model)[1]) == [layers[0], layers[3]]
    assert model.config.num_hidden_layers == 2
    with torch.no_grad():
        hidden = model.bert.embeddings(inputs["input_ids"])
        states = model(**inputs, output_hidden_states=True).hidden_states
    assert len(states) == 3
    assert relative_error([hidden], [states[0]]) < 1e-6


@pytest.mark.parametrize(
    "family", ["bert", "distilbert", "electra", "mpnet", "deberta_v2", "vit", "llama", "gpt2"]
)
def test_one_layer_of_every_family_with_a_stack(family):
    model, inputs = FAMILIES[family]()
    apply_plan(model, keep(1), inputs)
    assert len(layers_of(model)[1]) == model.config.num_hidden_layers == 1
    again = type(model)(model.config)
    assert again.load_state_dict(model.state_dict(), strict=True)


def test_layer_numbers_follow_so_that_caches_fit():
    model, inputs = FAMILIES["gpt2"]()
    apply_plan(model, keep(1), inputs)
    assert model.transformer.h[0].attn.layer_idx == 0
    with torch.no_grad():
        cache = model(**inputs, use_cache=True).past_key_values
    assert len(cache) == 1


def test_modernbert_keeps_its_pattern_of_global_layers():
    model, inputs = FAMILIES["modernbert"]()
    apply_plan(model, keep(0, 2), inputs)
    again = type(model)(type(model.config).from_dict(model.config.to_dict())).eval()
    again.load_state_dict(model.state_dict())
    with torch.no_grad():
        assert torch.equal(model(**inputs).logits, again(**inputs).logits)
    assert model.config.to_dict()["global_attn_every_n_layers"] == 2


def test_modernbert_refuses_what_its_config_cannot_say():
    model, inputs = FAMILIES["modernbert"]()
    before = model.config.to_dict()
    with pytest.raises(PlanError, match=r"ModernBertConfig can only say every n-th"):
        apply_plan(model, keep(1, 2), inputs)
    assert len(model.model.layers) == 3
    assert model.config.to_dict() == before


def test_too_high_a_layer_is_refused():
    model, inputs = FAMILIES["bert"]()
    with pytest.raises(PlanError, match=r"layers 0 to 1 at this point of the plan, got 2"):
        apply_plan(model, keep(0, 2), inputs)


@pytest.mark.parametrize("family", ["albert", "t5", "resnet_basic"])
def test_models_without_one_stack_are_refused(family):
    model, inputs = FAMILIES[family]()
    with pytest.raises(PlanError):
        apply_plan(model, keep(0), inputs)


def test_layers_and_axes_in_one_plan():
    """After the layers, `layers.0` is the old layer 1."""
    model, inputs = FAMILIES["bert"]()
    second = model.bert.encoder.layer[1].intermediate.dense.weight.detach().clone()
    cut_neurons = {"op": "keep", "axis": "layers.0.neurons", "indices": [2, 5]}
    apply_plan(model, plan_from_json([*keep(1), cut_neurons]), inputs)
    assert torch.equal(model.bert.encoder.layer[0].intermediate.dense.weight, second[[2, 5]])
    assert model.config.intermediate_size == 2


def test_a_later_mistake_brings_back_layers_numbers_and_config():
    model, inputs = FAMILIES["gpt2"]()
    layers, before = list(layers_of(model)[1]), model.config.to_dict()
    misspelt = {"op": "keep", "axis": "layers.0.nuerons", "indices": [0]}
    with pytest.raises(AxisError, match=r"did you mean 'layers\.0\.neurons'"):
        apply_plan(model, [*keep(1), misspelt], inputs)
    assert list(layers_of(model)[1]) == layers
    assert [layer.attn.layer_idx for layer in layers] == [0, 1]
    assert model.config.to_dict() == before
