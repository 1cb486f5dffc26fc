"""Plain first: what the stock config can say goes there, anything else into the structure block."""

import copy

import pytest
import torch

from nlpcompress.errors import PlanError
from nlpcompress.models.record import record_structure
from nlpcompress.models.stock import stock_fields
from nlpcompress.models.structure import named_tensors, replace_tensors
from tests.families import FAMILIES


def halve(model, *, only=None, **dims):
    """Keep the first half of each tensor whose name ends so, along the given dimension."""
    tensors = named_tensors(model)
    new = {}
    for name, tensor in tensors.items():
        for ending, dim in dims.items():
            if name.endswith(ending.replace("__", ".")) and (only is None or only in name):
                half = tensor.detach().narrow(dim, 0, tensor.shape[dim] // 2).clone()
                new[id(tensor)] = torch.nn.Parameter(half)
    assert new
    replace_tensors(model, new)


BERT_NEURONS = {
    "intermediate__dense__weight": 0,
    "intermediate__dense__bias": 0,
    "0__output__dense__weight": 1,
    "1__output__dense__weight": 1,
}


def test_uniform_neurons_are_a_field_of_the_config():
    model, _ = FAMILIES["bert"]()
    halve(model, **BERT_NEURONS)
    assert stock_fields(model) == {"intermediate_size": 24}
    assert record_structure(model) == {}
    assert model.config.intermediate_size == 24
    assert not hasattr(model.config, "quantization_config")


def test_neurons_of_one_layer_are_structure():
    model, _ = FAMILIES["bert"]()
    halve(model, only="layer.0.", **BERT_NEURONS)
    structure = record_structure(model)
    assert len(structure["shapes"]) == 3
    assert model.config.intermediate_size == 48
    assert model.config.quantization_config.structure == structure
    assert not model.is_quantized


def test_a_model_that_became_even_again_is_stock_again():
    model, _ = FAMILIES["bert"]()
    halve(model, only="layer.0.", **BERT_NEURONS)
    record_structure(model)
    halve(model, only="layer.1.", **BERT_NEURONS)
    assert record_structure(model) == {}
    assert model.config.intermediate_size == 24
    assert model.config.to_dict().get("quantization_config") is None
    assert getattr(model, "hf_quantizer", None) is None


@pytest.mark.parametrize(
    ("family", "dims", "fields"),
    [
        ("distilbert", {"lin1__weight": 0, "lin1__bias": 0, "lin2__weight": 1}, {"hidden_dim": 24}),
        (
            "gpt2",
            {"mlp__c_fc__weight": 1, "mlp__c_fc__bias": 0, "mlp__c_proj__weight": 0},
            {"n_inner": 24},
        ),
        ("t5", {"DenseReluDense__wi__weight": 0, "DenseReluDense__wo__weight": 1}, {"d_ff": 24}),
        ("modernbert", {"mlp__Wi__weight": 0, "mlp__Wo__weight": 1}, {"intermediate_size": 24}),
        (
            "llama",
            {
                "q_proj__weight": 0,
                "k_proj__weight": 0,
                "v_proj__weight": 0,
                "o_proj__weight": 1,
            },
            {"num_attention_heads": 3, "num_key_value_heads": 1},
        ),
        (
            "t5",
            {
                "Attention__q__weight": 0,
                "Attention__k__weight": 0,
                "Attention__v__weight": 0,
                "Attention__o__weight": 1,
                "relative_attention_bias__weight": 1,
            },
            {"num_heads": 2},
        ),
    ],
)
def test_the_field_of_every_family(family, dims, fields):
    model, _ = FAMILIES[family]()
    halve(model, **dims)
    assert stock_fields(model) == fields
    record_structure(model)
    assert {name: model.config.to_dict()[name] for name in fields} == fields
    again = type(model)(type(model.config).from_dict(model.config.to_dict()))
    again.load_state_dict(model.state_dict(), strict=True)


def test_heads_that_llamas_config_would_refuse_are_structure():
    """48 is no multiple of 5 heads: transformers 5 does not open such a config."""
    model, _ = FAMILIES["llama"]()
    new = {}
    for name, tensor in named_tensors(model).items():
        if name.endswith(("q_proj.weight", "o_proj.weight")):
            dim = 0 if "q_proj" in name else 1
            new[id(tensor)] = torch.nn.Parameter(tensor.detach().narrow(dim, 0, 40).clone())
    replace_tensors(model, new)
    assert stock_fields(model) is None


def test_a_model_quantized_by_others_is_refused():
    model, _ = FAMILIES["bert"]()
    model = copy.copy(model)

    class Config:
        quant_method = "bitsandbytes"

    class Quantizer:
        quantization_config = Config()

    model.hf_quantizer = Quantizer()
    with pytest.raises(PlanError, match="quantized with 'bitsandbytes'; cut it first"):
        record_structure(model)
