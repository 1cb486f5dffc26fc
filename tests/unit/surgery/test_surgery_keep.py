"""The edit keep: exact, in order, all or nothing, and recorded in the config."""

import copy

import pytest
import torch
from torch import nn
from transformers import (
    AutoModelForSequenceClassification,
    DebertaConfig,
    DebertaForSequenceClassification,
)

from nlpcompress.axes import Axes, Axis, Slice
from nlpcompress.core.edits import Keep, KeepLayers
from nlpcompress.core.plan import Plan
from nlpcompress.errors import AxisError, PlanError, VerificationError
from nlpcompress.io import save_model
from nlpcompress.surgery import apply, apply_plan
from nlpcompress.surgery.apply import groups
from nlpcompress.surgery.keep import cut, kept_masks, zeroed
from nlpcompress.surgery.verify import relative_error
from tests.families import FAMILIES, TEXT, randomise, text_inputs

HEADS = {"op": "keep", "axis": "layers.0.heads", "indices": [0, 2, 3]}
NEURONS = {"op": "keep", "axis": "layers.1.neurons", "indices": list(range(0, 48, 3))}


def logits(model, inputs):
    with torch.no_grad():
        return model.eval()(**inputs).logits


def masked_bert(model):
    """The plan [HEADS, NEURONS] by hand: head 1 of layer 0 and two of three neurons of layer 1."""
    model = copy.deepcopy(model)
    first, second = model.bert.encoder.layer
    with torch.no_grad():
        first.attention.output.dense.weight[:, 8:16] = 0
        dropped = [i for i in range(48) if i % 3]
        second.output.dense.weight[:, dropped] = 0
    return model


def test_a_cut_model_computes_what_the_masked_one_does():
    model, inputs = FAMILIES["bert"]()
    expected = logits(masked_bert(model), inputs)
    assert relative_error([logits(model, inputs)], [expected]) > 1e-2  # the mask matters
    assert apply_plan(model, [HEADS, NEURONS], inputs) is model
    assert relative_error([expected], [logits(model, inputs)]) < 1e-5
    first, second = model.bert.encoder.layer
    assert first.attention.self.query.weight.shape == (24, 32)
    assert first.attention.output.dense.weight.shape == (32, 24)
    assert first.attention.self.num_attention_heads == 3
    assert second.intermediate.dense.weight.shape == (16, 32)
    assert second.output.dense.in_features == 16


@pytest.mark.parametrize("place", [0, 1])
def test_a_nan_in_any_output_is_no_small_error(place):
    expected, actual = [torch.ones(2), torch.ones(2)], [torch.ones(2), torch.ones(2)]
    actual[place][1] = torch.nan
    assert not relative_error(expected, actual) <= 1e9


def test_indices_mean_the_model_at_that_point():
    model, inputs = FAMILIES["bert"]()
    whole = model.bert.encoder.layer[0].intermediate.dense.weight.detach().clone()
    axis = "layers.0.neurons"
    plan = [
        {"op": "keep", "axis": axis, "indices": [4, 5, 6, 7]},
        {"op": "keep", "axis": axis, "indices": [1, 3]},
    ]
    apply_plan(model, plan, inputs)
    assert torch.equal(model.bert.encoder.layer[0].intermediate.dense.weight, whole[[5, 7]])


def test_nested_axes_on_one_dimension_are_cut_together():
    """Llama: 2 key-value heads of 3 queries; key-value head 1 stays, with queries 0 and 2."""
    model, inputs = FAMILIES["llama"]()
    attention = model.model.layers[0].self_attn
    rows = attention.q_proj.weight.detach().clone()
    plan = [
        {"op": "keep", "axis": "layers.0.kv_heads", "indices": [1]},
        {"op": "keep", "axis": "layers.0.heads", "indices": [0, 2]},
    ]
    apply_plan(model, plan, inputs)
    assert torch.equal(attention.q_proj.weight, torch.cat([rows[24:32], rows[40:48]]))
    assert attention.k_proj.weight.shape == (8, 48)
    assert attention.num_key_value_groups == 2


def test_heads_of_a_projection_that_makes_queries_keys_and_values(tmp_path):
    """DeBERTa's `in_proj`, whose number of heads its code reads."""
    relative = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]}
    model = randomise(DebertaForSequenceClassification(DebertaConfig(**TEXT, **relative)))
    inputs = text_inputs()
    apply_plan(model, [HEADS], inputs)
    attention = model.deberta.encoder.layer[0].attention.self
    assert (attention.in_proj.out_features, attention.num_attention_heads) == (3 * 24, 3)
    save_model(model, tmp_path / "cut")
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path / "cut")
    assert torch.equal(logits(again, inputs), logits(model, inputs))


def test_tied_tensors_types_modes_and_frozen_weights_stay_as_they_are():
    model, inputs = FAMILIES["t5"]()
    model.encoder.block[0].layer[1].DenseReluDense.wi.weight.requires_grad_(False)
    model.train()
    model.decoder.eval()
    random_state = torch.random.get_rng_state()
    keep = {"op": "keep", "axis": "encoder.layers.0.neurons", "indices": [0, 3, 40]}
    apply_plan(model, [keep], inputs)
    assert model.encoder.block[0].layer[1].DenseReluDense.wi.weight.shape == (3, 32)
    assert not model.encoder.block[0].layer[1].DenseReluDense.wi.weight.requires_grad
    assert model.encoder.block[0].layer[1].DenseReluDense.wo.weight.requires_grad
    assert model.shared.weight is model.encoder.embed_tokens.weight is model.lm_head.weight
    assert (model.training, model.encoder.training, model.decoder.training) == (True, True, False)
    assert torch.equal(random_state, torch.random.get_rng_state())


def test_half_precision_models_are_cut_in_their_type():
    model, inputs = FAMILIES["bert"]()
    apply_plan(model.to(torch.bfloat16), [HEADS], inputs)
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}


@pytest.mark.parametrize("part", ["", "bert.embeddings.position_embeddings"])
def test_what_roundings_of_a_half_type_would_hide_is_refused(monkeypatch, part):
    def wrong(model, masks):
        cut(model, masks)
        with torch.no_grad():
            model.classifier.weight.mul_(1.02)

    monkeypatch.setattr(apply, "cut", wrong)
    model, inputs = FAMILIES["bert"]()
    model.get_submodule(part).bfloat16()
    before = logits(model, inputs)
    with pytest.raises(VerificationError, match="allowed are 1e-05; it is left uncut"):
        apply_plan(model, [HEADS], inputs)
    assert torch.equal(logits(model, inputs), before)


@pytest.mark.parametrize(
    ("axis", "indices", "error", "message"),
    [
        ("layers.0.haeds", [0], AxisError, r"unknown axis 'layers\.0\.haeds'; did you mean"),
        ("width", [0], AxisError, r"the axis 'width' cannot be cut: "),
        ("layers.0.heads", [0, 4], PlanError, r"4 positions \(0 to 3\) at this point .* got 4"),
    ],
)
def test_what_cannot_be_cut_is_refused_and_nothing_is_touched(axis, indices, error, message):
    model, inputs = FAMILIES["bert"]()
    before = dict(model.named_parameters())
    edits = [NEURONS, {"op": "keep", "axis": axis, "indices": indices}]
    with pytest.raises(error, match=message):
        apply_plan(model, edits, inputs)
    after = dict(model.named_parameters())
    assert before.keys() == after.keys()
    assert all(before[name] is after[name] for name in before)


def test_a_cut_that_computes_something_else_is_put_back(monkeypatch):
    model, inputs = FAMILIES["regnet"]()
    expected, before = logits(model, inputs), dict(model.named_parameters())
    axes = apply.find_axes(model, inputs)
    config = model.config.to_dict()
    grouped = next(a for a in axes.free("channels") if a.size > 2)

    def clumsy_cut(model, masks):
        cut(model, masks)
        model.classifier[1].bias.data = model.classifier[1].bias.data + 0.01

    bias = model.classifier[1].bias.data.clone()
    monkeypatch.setattr(apply, "cut", clumsy_cut)
    with pytest.raises(VerificationError, match=rf"{grouped.name} .* relative, allowed are 1e-05"):
        apply_plan(model, [{"op": "keep", "axis": grouped.name, "indices": [0]}], inputs)
    model.classifier[1].bias.data = bias  # what the clumsy cut wrote into is not ours to undo
    assert all(before[name] is p for name, p in model.named_parameters())
    assert torch.equal(logits(model, inputs), expected)
    assert model.config.to_dict() == config


BACKWARDS = {"op": "permute", "axis": "layers.1.neurons", "order": list(range(47, -1, -1))}
"""Sums in another order: other roundings."""


@pytest.fixture
def near_zero():
    """A model whose output on its inputs is what roundings leave."""
    model, inputs = FAMILIES["bert"]()
    inputs = {name: tensor[:1] for name, tensor in inputs.items()}
    with torch.no_grad():
        model.classifier.bias -= logits(model, inputs)[0]
    return model, inputs


def test_roundings_beside_an_output_near_zero_refuse_nothing(near_zero, monkeypatch):
    """Seen at one of five hundred cuts of a real encoder."""
    model, inputs = near_zero
    before = {name: p.clone() for name, p in model.named_parameters()}
    with monkeypatch.context() as patch:
        patch.setattr(apply, "_holds_in_double", lambda *_: False)
        with pytest.raises(VerificationError, match="allowed are 1e-05"):
            apply_plan(model, [BACKWARDS], inputs)
    assert all(torch.equal(before[name], p) for name, p in model.named_parameters())
    expected = logits(copy.deepcopy(model).double(), inputs)
    apply_plan(model, [BACKWARDS], inputs)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    weight = model.bert.encoder.layer[1].output.dense.weight
    assert torch.equal(weight, before["bert.encoder.layer.1.output.dense.weight"].flip(1))
    assert relative_error([expected], [logits(model.double(), inputs)]) < 1e-6


def test_something_wrong_near_zero_is_refused(near_zero, monkeypatch):
    def wrong(model, axes, group):
        with torch.no_grad():
            model.classifier.bias.add_(1e-6)

    monkeypatch.setattr(apply, "permute", wrong)
    with pytest.raises(VerificationError, match=r"layers\.1\.neurons .* it is left uncut"):
        apply_plan(near_zero[0], [BACKWARDS], near_zero[1])


def test_a_cut_model_that_does_not_run_is_put_back(monkeypatch):
    model, inputs = FAMILIES["bert"]()
    before = logits(model, inputs)

    def broken_cut(model, masks):
        cut(model, masks)
        model.bert.encoder.layer[0].attention.output.dense.weight = nn.Parameter(torch.ones(32, 7))

    monkeypatch.setattr(apply, "cut", broken_cut)
    with pytest.raises(VerificationError, match=r"does not run after cutting layers\.0\.heads"):
        apply_plan(model, [HEADS], inputs)
    assert torch.equal(before, logits(model, inputs))


def test_masks_multiply_before_and_after():
    layer = nn.Module()
    layer.weight = nn.Parameter(torch.ones(18, 2))
    slices = (Slice("weight", 0, 3, 2),)
    axes = Axes([Axis("a", "heads", 3, None, slices, ())], {})
    masks = kept_masks(layer, axes, [Keep(axis="a", indices=(0, 2))])
    assert masks["weight", 0].int().tolist() == [1, 1, 0, 0, 1, 1] * 3


def test_zeroed_masks_every_dimension():
    model = nn.Linear(3, 2, bias=False)
    nn.init.ones_(model.weight)
    masks = {
        ("weight", 0): torch.tensor([True, False]),
        ("weight", 1): torch.tensor([1, 0, 1]).bool(),
    }
    outputs = zeroed(model, masks)({"input": torch.ones(1, 3)})
    assert outputs.tolist() == [[2.0, 0.0]]
    assert model.weight.eq(1).all()


def test_groups_join_keeps_of_different_axes_only():
    a, b, layers = (
        Keep(axis="a", indices=(0,)),
        Keep(axis="b", indices=(0,)),
        KeepLayers(layers=(0,)),
    )
    assert list(groups(Plan((a, b, a, layers, layers, b)))) == [
        [a, b],
        [a],
        [layers],
        [layers],
        [b],
    ]


def test_the_empty_plan_changes_nothing():
    model, inputs = FAMILIES["bert"]()
    before = dict(model.named_parameters())
    apply_plan(model, [], inputs)
    assert all(before[name] is p for name, p in model.named_parameters())
