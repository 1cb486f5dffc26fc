"""hessian_mixed with `compensate`: what of a model's weights it moves, and what that saves."""

import copy

import pytest
import torch

from nlpcompress.core.method import Context
from nlpcompress.methods import make_method
from nlpcompress.methods.quantization.compensation import Compensation
from nlpcompress.models.quantized import schemes, weight_of
from nlpcompress.models.weights import body_weights
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


def weights(model):
    """Decoded, by path."""
    return {path: weight_of(model.get_submodule(path)).clone() for path in schemes(model)}


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


def trained(folder, model, **config):
    """The model, coded after two steps that move nothing, and its weights just before."""
    method = make_method("hessian_mixed", {**CONFIG, **config})
    values = arguments(folder, max_steps=2, learning_rate=0.0, weight_decay=0.0)
    ours = CompressionTrainer(model, values, methods=[method], train_dataset=Examples())
    ours.train()
    written = {name: weight.clone() for name, weight in body_weights(ours.model).items()}
    ours.compress()
    return ours.model, written


def test_numbers_to_train_from_lie_within_their_grids(tmp_path):
    """With two bits much is made up for; ranges that move would follow it outwards."""
    ends = []
    for ranges in ("moving", "fixed"):
        config = {"bits": 2, "train_ranges": ranges, "range_momentum": 0.0}
        ours, _ = trained(tmp_path, tiny_bert(), compensate=True, **config)
        ends.append({path: weight.abs().amax() for path, weight in weights(ours).items()})
    moving, fixed = ends
    assert all(float(moving[path]) < 1.05 * float(fixed[path]) for path in fixed)


@pytest.mark.parametrize("ranges", ["moving", "fixed", "learned"])
def test_a_training_starts_where_rounding_ends(tmp_path, ranges):
    """Without steps of its own it gives the very codes; without `compensate` it does not."""
    model = tiny_bert()
    batches = [{name: torch.stack([e[name] for e in Examples()]) for name in Examples()[0]}]
    inputs = {name: value for name, value in batches[0].items() if name != "labels"}
    ctx = Context(example_inputs=inputs, batches=lambda: batches)
    plan = make_method("hessian_mixed", {**CONFIG, "compensate": True}).plan(model, ctx)
    expected = weights(apply_plan(model, plan, inputs))
    for compensate in (True, False):
        config = {"train_ranges": ranges, "step_learning_rate": 1e-12}
        ours, _ = trained(tmp_path, tiny_bert(), compensate=compensate, **config)
        found = weights(ours)
        same = [torch.isclose(found[n], expected[n], atol=1e-3).float().mean() for n in expected]
        assert (min(same) > 0.99) == compensate


def test_a_training_starts_between_the_numbers_of_the_grid(tmp_path, monkeypatch):
    """Weights on the grid would need half a step each before any code changes."""
    moved, plain = [], Compensation.start

    def start(self, model):
        plain(self, model)
        moved.append({n: weight.clone() for n, weight in body_weights(model).items()})

    monkeypatch.setattr(Compensation, "start", start)
    _, written = trained(tmp_path, tiny_bert(), compensate=True)
    (latent,) = moved
    apart = [(latent[name] != written[name]).float().mean() for name in latent]
    assert min(apart) > 0.9


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


def test_a_training_that_goes_on_ends_alike(tmp_path):
    """Weights of the checkpoint come after the compensation, which is made anew."""
    ends = []
    for folder, resumed in (("one", False), ("two", False), ("two", True)):
        values = {"max_steps": 2 if folder == "two" and not resumed else 4, "save_steps": 2}
        values |= {"save_strategy": "steps", "lr_scheduler_type": "constant"}
        method = make_method("hessian_mixed", {**CONFIG, "compensate": True})
        ours = CompressionTrainer(
            tiny_bert(),
            arguments(tmp_path / folder, **values),
            methods=[method],
            train_dataset=Examples(),
        )
        ours.train(resume_from_checkpoint=resumed or None)
        ends.append({name: weight.clone() for name, weight in body_weights(ours.model).items()})
    whole, half, resumed = ends
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert not all(torch.equal(whole[name], half[name]) for name in whole)
