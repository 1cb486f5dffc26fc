"""hessian_mixed with `compensate`: what of a model's weights it moves, and what that saves."""

import copy

import pytest
import torch

from nlpcompress.core.method import Context
from nlpcompress.errors import ConfigError
from nlpcompress.methods import make_method
from nlpcompress.surgery import apply_plan
from nlpcompress.training import CompressionTrainer
from tests.families import FAMILIES
from tests.unit.training.training_tiny import Examples, arguments, tiny_bert

CONFIG = {"bits": 3, "groups": 4, "num_samples": 64, "embedding_bits": None}


def planned(family, **config):
    """A quantized model, its plan, and the mean square of what its logits are off by."""
    model, inputs = FAMILIES[family]()
    model.eval()
    batch = {**inputs, "labels": torch.zeros(len(next(iter(inputs.values()))), dtype=torch.long)}
    ctx = Context(example_inputs=inputs, batches=lambda: [batch])
    with torch.no_grad():
        before = model(**inputs).logits
        plan = make_method("hessian_mixed", {**CONFIG, **config}).plan(model, ctx)
        written = model(**inputs).logits
        apply_plan(model, plan, inputs)
        after = model(**inputs).logits
    return plan, written, after, float((after - before).square().mean())


@pytest.mark.parametrize("family", ["bert", "gpt2", "resnet_basic"])
def test_what_comes_out_is_nearer_and_codes_change_nothing(family):
    plan, written, after, off = planned(family, compensate=True)
    assert {e.range for e in plan if e.op == "quantize"} == {"noted"}
    assert torch.equal(after, written)
    assert off < 0.6 * planned(family)[-1]


def test_filters_of_groups_are_rounded_by_themselves():
    plan, *_ = planned("mobilenet_v2", compensate=True)
    assert {e.range for e in plan if e.op == "quantize"} == {"noted", "min_max"}


def test_layers_see_what_rounded_layers_hand_on(monkeypatch):
    """In one block for all, every input is the whole model's."""
    plan, _, apart, _ = planned("bert", compensate=True, blocks="matrices")
    plan_of_layers, _, together, _ = planned("bert", compensate=True, blocks="layers")
    assert plan == plan_of_layers and not torch.equal(apart, together)


def test_a_dry_run_moves_nothing():
    model, inputs = FAMILIES["bert"]()
    before = copy.deepcopy(model.state_dict())
    ctx = Context(example_inputs=inputs, sizes_only=True)
    make_method("hessian_mixed", {**CONFIG, "compensate": True}).plan(model, ctx)
    after = model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_training_refuses(tmp_path):
    method = make_method("hessian_mixed", {**CONFIG, "compensate": True})
    ours = CompressionTrainer(
        tiny_bert(), arguments(tmp_path, max_steps=2), methods=[method], train_dataset=Examples()
    )
    with pytest.raises(ConfigError, match="compensate: true is for rounding without a training"):
        ours.train()


@pytest.mark.parametrize("compensate", [False, True])
def test_norms_are_folded_before_anything_is_rounded(compensate):
    """Groups hold several filters each: with all scales in them they lose less of the outputs."""
    plan, written, after, off = planned("resnet_basic", compensate=compensate)
    assert [edit.op for edit in plan][:2] == ["fold_norms", "quantize"]
    if compensate:
        assert torch.equal(after, written)
    unfolded, *_, apart = planned("resnet_basic", compensate=compensate, fold_norms=False)
    assert {edit.op for edit in unfolded} == {"quantize"}
    assert off != apart
