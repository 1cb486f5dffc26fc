"""Bits and widths chosen by gradients: within the budget, saved and reloaded exactly."""

import pytest
import torch

from nlpcompress import apply_plan
from nlpcompress.axes import find_axes
from nlpcompress.core.method import Context, Progress, Step
from nlpcompress.core.plan import Plan
from nlpcompress.errors import ConfigError, PlanError
from nlpcompress.io.load import load_model_folder
from nlpcompress.io.save import save_model
from nlpcompress.methods.quantization.places import places_of, stored_bits
from nlpcompress.methods.table import make_method
from nlpcompress.models.grid import Scheme
from nlpcompress.surgery.verify import floating_outputs, relative_error
from tests.families import FAMILIES

STEPS = 8


def learned(family, name, config):
    """The model after a short training, its example inputs and the method's plan."""
    torch.manual_seed(0)
    model, inputs = FAMILIES[family]()
    batch = {**inputs, "labels": torch.arange(len(next(iter(inputs.values())))) % 2}
    method, ctx = make_method(name, config), Context(inputs, lambda: [batch])
    gates = method.prepare(model, ctx)
    (size,) = gates.objectives()
    own = {id(parameter) for parameter in gates.parameters()}
    groups = [
        {"params": [p for p in model.parameters() if id(p) not in own], "lr": 1e-3},
        *gates.parameter_groups(),
    ]
    optimizer = torch.optim.AdamW(groups)
    for step in range(STEPS):
        gates.advance(Progress(step, STEPS, 0))
        outputs = model(**batch)
        loss = outputs.loss + size.weight * size.loss(Step(batch, outputs, outputs.loss))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    gates.advance(Progress(STEPS, STEPS, 0))
    model.eval()
    gated = floating_outputs(model, inputs)
    gates.close()
    return model, inputs, method.plan(model, ctx), gated


def reloaded(model, plan, inputs, folder):
    save_model(model, folder, plan=plan)
    loaded = load_model_folder(folder)
    return relative_error(floating_outputs(model, inputs), floating_outputs(loaded, inputs))


@pytest.mark.parametrize("family", ["bert", "resnet_basic", "vit"])
def test_bits_are_within_the_budget_and_reload_exactly(family, tmp_path):
    config = {"bits": [2, 4, 8], "effective_bits": 6.0, "groups": 4, "embedding_bits": None}
    model, inputs, plan, gated = learned(family, "learned_bits", config)
    places = {place.on_disk: place for place in places_of(model, inputs).values()}
    edits = [edit for edit in plan.edits if edit.op == "quantize"]
    assert {edit.bits for edit in edits} <= {2, 4, 8}
    body = {name for name, place in places.items() if not place.is_table}
    assert {edit.weight for edit in edits} == body
    taken = sum(
        stored_bits(
            Scheme(place.rows, place.columns, edit.bits, edit.group_rows, place.columns, edit.sym)
        )
        for edit in edits
        for place in [places[edit.weight]]
    )
    assert taken <= 6.0 * sum(places[name].rows * places[name].columns for name in body)
    apply_plan(model, plan, inputs)
    assert relative_error(gated, floating_outputs(model, inputs)) < 1e-5
    assert reloaded(model, plan, inputs, tmp_path / "out") == 0


@pytest.mark.parametrize("family", ["bert", "vit"])
def test_widths_are_within_the_budget_and_reload_exactly(family, tmp_path):
    config = {"keep": 0.6, "neurons": [0.25, 0.5, 1.0], "round_to": 4}
    model, inputs, plan, gated = learned(family, "learned_widths", config)
    before = {axis.name: axis for axis in find_axes(model, inputs)}
    keeps = {edit.axis: edit.indices for edit in plan.edits}
    assert keeps and all(kept == tuple(range(len(kept))) for kept in keeps.values())
    tensors = dict(model.named_parameters())

    def price(axis):
        own = [tensors[part.tensor] for part in axis.slices if part.tensor in tensors]
        return sum(tensor.numel() // axis.size for tensor in own)

    ours = [a for a in before.values() if a.kind in ("heads", "neurons") and "layers." in a.name]
    whole = sum(axis.size * price(axis) for axis in ours)
    kept = sum(len(keeps.get(a.name, range(a.size))) * price(a) for a in ours)
    assert kept <= 0.6 * whole
    apply_plan(model, plan, inputs)
    assert relative_error(gated, floating_outputs(model, inputs)) < 1e-5
    assert reloaded(model, plan, inputs, tmp_path / "out") == 0


def test_budgets_that_nobody_meets_are_told_before_the_training():
    torch.manual_seed(0)
    model, inputs = FAMILIES["bert"]()
    ctx = Context(inputs)
    with pytest.raises(ConfigError, match=r"the least possible is .* per weight"):
        make_method("learned_bits", {"effective_bits": 1.5}).prepare(model, ctx)
    with pytest.raises(ConfigError, match=r"keep is 0\.1, but the narrowest widths take 0\."):
        make_method("learned_widths", {"keep": 0.1}).prepare(model, ctx)
    assert not hasattr(model, "compression_gates")
    images, pictures = FAMILIES["resnet_basic"]()
    with pytest.raises(PlanError, match="this model has no heads"):
        make_method("learned_widths", {}).prepare(images, Context(pictures))


def test_bits_are_learnt_in_a_training_only():
    model, inputs = FAMILIES["bert"]()
    with pytest.raises(ConfigError, match="learns bits in a training, and this stage has none"):
        make_method("learned_bits", {}).plan(model, Context(inputs))
    sizes = make_method("learned_bits", {"groups": 4, "effective_bits": 6.0})
    assert len(sizes.plan(model, Context(inputs, sizes_only=True))) > 0
    assert make_method("learned_widths", {}).plan(model, Context(inputs)) == Plan()
    with pytest.raises(ConfigError, match="bits must ascend without repeats"):
        make_method("learned_bits", {"bits": [4, 2]})


def test_a_layer_is_the_mean_of_its_narrower_selves():
    torch.manual_seed(0)
    model, inputs = FAMILIES["bert"]()
    model.eval()
    method = make_method(
        "learned_widths", {"keep": 0.9, "neurons": [0.25, 0.5, 1.0], "round_to": 1}
    )
    gates = method.prepare(model, Context(inputs))
    answers = []
    last = model.bert.encoder.layer[-1].output.dense
    last.register_forward_hook(lambda *seen: answers.append(seen[-1]))
    choice = gates.gates[-1]._choice[0]
    with torch.no_grad():
        choice.logits.copy_(torch.tensor([0.5, -0.5, 0.0]))
        model(**inputs)
        for place in range(3):
            choice.chosen = place
            model(**inputs)
    mixed, *narrower = answers
    expected = sum(s * a for s, a in zip(choice.shares(), narrower, strict=True))
    torch.testing.assert_close(mixed, expected)
    assert relative_error([narrower[0]], [narrower[2]]) > 1e-2
