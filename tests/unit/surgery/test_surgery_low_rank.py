"""The edits low_rank and factor_embedding: the nearest matrix of that rank, and nothing else."""

import copy

import numpy as np
import pytest
import torch
import transformers
from transformers import AutoModelForMaskedLM
from transformers.pytorch_utils import Conv1D

from nlpcompress.axes import find_axes
from nlpcompress.errors import PlanError, VerificationError
from nlpcompress.models.factors import FactoredEmbedding, FactoredLinear, matrix_of
from nlpcompress.models.layers import layers_of
from nlpcompress.models.weights import body_weights
from nlpcompress.surgery import apply_plan
from tests.families import FAMILIES
from tests.unit.surgery.test_surgery_layers import deep_bert

OUTPUT = "bert.encoder.layer.0.output.dense"
DROP = {"op": "keep_layers", "layers": [0, 1]}
TEXT = ["bert", "roberta", "distilbert", "electra", "albert", "mpnet", "deberta_v2", "modernbert"]
TEXT += ["llama", "gpt2", "t5"]


def low_rank(weight, rank):
    return [{"op": "low_rank", "weight": weight, "rank": rank}]


def factor_embedding(size):
    return [{"op": "factor_embedding", "size": size}]


def masked_lm(**config):
    body, inputs = deep_bert()
    body.config.update(config)
    torch.manual_seed(1)
    return AutoModelForMaskedLM.from_config(body.config).eval(), inputs


def parameters(model):
    return sum(parameter.numel() for parameter in model.parameters())


def test_the_product_is_the_nearest_matrix_of_that_rank():
    model, inputs = deep_bert()
    module = model.get_submodule(OUTPUT)
    weight, bias = module.weight.detach().numpy().copy(), module.bias
    count = parameters(model)
    assert apply_plan(model, low_rank(f"{OUTPUT}.weight", 5), inputs) is model
    factored = model.get_submodule(OUTPUT)
    assert isinstance(factored, FactoredLinear) and factored.bias is bias
    assert factored.first.weight.shape == (5, 48) and factored.second.weight.shape == (32, 5)
    # Eckart and Young: what is left of the difference are the other singular values.
    left = np.linalg.svd(weight.astype(np.float64), compute_uv=False)[5:]
    difference = factored.weight.detach().numpy() - weight
    assert np.linalg.norm(difference) == pytest.approx(np.linalg.norm(left), rel=1e-5)
    assert np.linalg.norm(difference, 2) == pytest.approx(left[0], rel=1e-5)
    assert parameters(model) == count - 32 * 48 + 5 * (32 + 48)


def test_a_full_product_changes_nothing_but_the_numbers():
    model, inputs = deep_bert()
    module = model.get_submodule(OUTPUT)
    with torch.no_grad():
        module.weight.copy_(torch.randn(32, 3) @ torch.randn(3, 48) / 10)
        before = model(**inputs).logits
        apply_plan(model, low_rank(f"{OUTPUT}.weight", 3), inputs)
        assert torch.allclose(model(**inputs).logits, before, atol=1e-6)


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - {"t5"}))
def test_matrices_of_every_family(family):
    model, inputs = FAMILIES[family]()
    names = [
        name
        for name, weight in body_weights(model).items()
        if weight.dim() == 2
        and matrix_of(model.get_submodule(name.removesuffix(".weight"))) is not None
    ][:3]
    if not names:
        pytest.skip("only convolutions")
    turned = isinstance(model.get_submodule(names[0].removesuffix(".weight")), Conv1D)
    assert turned == (family == "gpt2")
    count = parameters(model)
    apply_plan(model, [edit for name in names for edit in low_rank(name, 4)], inputs)
    assert parameters(model) < count
    for name in names:
        assert (
            torch.linalg.matrix_rank(model.get_submodule(name.removesuffix(".weight")).weight) == 4
        )


@pytest.mark.parametrize("family", sorted(set(TEXT) - {"t5"}))
def test_the_token_table_of_every_text_family(family):
    model, inputs = FAMILIES[family]()
    count = parameters(model)
    apply_plan(model, factor_embedding(4), inputs)
    table = model.get_input_embeddings()
    assert isinstance(table, FactoredEmbedding)
    assert parameters(model) < count
    assert not model.config.tie_word_embeddings


def test_a_tied_decoder_stays_tied_and_learns_with_the_table():
    model, inputs = masked_lm()
    decoder_bias = model.get_output_embeddings().bias
    apply_plan(model, factor_embedding(6), inputs)
    table, decoder = model.get_input_embeddings(), model.get_output_embeddings()
    assert decoder.second.weight is table.second.weight and decoder.first.weight is table.first
    assert decoder.bias is decoder_bias
    logits = model(**inputs, labels=inputs["input_ids"]).loss
    logits.backward()
    assert table.first.grad.abs().max() > 0 and table.second.weight.grad.abs().max() > 0


def test_a_model_that_computes_by_the_tie_itself_is_left_alone():
    """T5 of transformers 4 scales by d_model ** -0.5 when its config says that tables are tied."""
    model, inputs = FAMILIES["t5"]()
    before = {name: id(parameter) for name, parameter in model.named_parameters()}
    if transformers.__version__.startswith("4."):
        with pytest.raises(VerificationError, match="factor_embedding"):
            apply_plan(model, factor_embedding(4), inputs)
        assert {name: id(parameter) for name, parameter in model.named_parameters()} == before
        assert model.config.tie_word_embeddings
    else:
        apply_plan(model, factor_embedding(4), inputs)
        assert model.lm_head.second.weight is model.shared.second.weight
        assert model.encoder.embed_tokens.first is model.decoder.embed_tokens.first


def test_a_shared_weight_is_factored_wherever_it_is():
    model, inputs = deep_bert()
    apply_plan(model, [{"op": "share_layers", "layers": [0, 2], "part": "ffn"}], inputs)
    apply_plan(model, low_rank(f"{OUTPUT}.weight", 4), inputs)
    stack = layers_of(model)[1]
    assert stack[0].output.dense.first.weight is stack[2].output.dense.first.weight
    assert stack[0].output.dense.second.weight is stack[2].output.dense.second.weight
    assert not isinstance(stack[1].output.dense, FactoredLinear)


def test_factored_layers_can_be_shared():
    model, inputs = deep_bert()
    parts = ("attention.self.query", "intermediate.dense")
    plan = [
        edit
        for layer in (0, 1)
        for part in parts
        for edit in low_rank(f"bert.encoder.layer.{layer}.{part}.weight", 4)
    ]
    apply_plan(
        model, [*plan, {"op": "share_layers", "layers": [0, 1], "part": "attention"}], inputs
    )
    first, second, *_ = layers_of(model)[1]
    assert first.attention.self.query.second.weight is second.attention.self.query.second.weight
    assert first.intermediate.dense.second.weight is not second.intermediate.dense.second.weight


def test_heads_and_neurons_are_cut_before_and_after():
    model, inputs = deep_bert()
    names = [f"bert.encoder.layer.0.attention.self.{part}.weight" for part in ("query", "value")]
    names.append("bert.encoder.layer.0.intermediate.dense.weight")
    heads = {"op": "keep", "axis": "layers.0.heads", "indices": [0, 2, 3]}
    neurons = {"op": "keep", "axis": "layers.0.neurons", "indices": [*range(0, 40, 2)]}
    factors = [edit for name in names for edit in low_rank(name, 4)]
    other = copy.deepcopy(model)
    apply_plan(model, [heads, neurons, *factors], inputs)
    assert "layers.0.heads" in find_axes(model, inputs)
    apply_plan(model, [{"op": "keep", "axis": "layers.0.heads", "indices": [1]}], inputs)
    apply_plan(other, [*factors, heads, neurons], inputs)
    for cut, width in ((model, 8), (other, 24)):
        attention = layers_of(cut)[1][0].attention.self
        assert attention.query.second.weight.shape == (width, 4)
        assert attention.num_attention_heads == width // 8
    assert layers_of(other)[1][0].intermediate.dense.second.weight.shape == (20, 4)


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (low_rank("bert.encoder.layer.0.output.dens.weight", 4), "did you mean"),
        (low_rank("bert.encoder.layer.0.output.dense.bias", 4), "no weight"),
        (low_rank(f"{OUTPUT}.weight", 20), "rank 20 would not be smaller; it is up to rank 19"),
        (factor_embedding(21), "it is up to rank 20"),
        (low_rank(f"{OUTPUT}.weight", 4) * 2, "is factored twice"),
        ([*factor_embedding(4), DROP, *factor_embedding(4)], "no dense table of tokens"),
    ],
)
def test_what_cannot_be_factored_is_refused_before_anything_changes(plan, message):
    model, inputs = deep_bert()
    before = {name: id(parameter) for name, parameter in model.named_parameters()}
    with pytest.raises(PlanError, match=message):
        apply_plan(model, plan, inputs)
    assert {name: id(parameter) for name, parameter in model.named_parameters()} == before
    assert model.config.tie_word_embeddings


def test_pictures_have_no_token_table():
    model, inputs = FAMILIES["vit"]()
    with pytest.raises(PlanError, match="no dense table of tokens"):
        apply_plan(model, factor_embedding(4), inputs)
