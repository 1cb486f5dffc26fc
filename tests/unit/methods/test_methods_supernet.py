"""Order, slices, and a network whose beginnings learn: masks compute what slices do."""

import copy

import pytest
import torch
from torch.nn.functional import kl_div, log_softmax

from nlpcompress import apply_plan
from nlpcompress.axes import find_axes
from nlpcompress.core.method import Context, Progress, Step
from nlpcompress.core.plan import Plan, plan_from_json
from nlpcompress.errors import AxisError, ConfigError, PlanError
from nlpcompress.gates.slices import Network
from nlpcompress.io.load import load_model_folder
from nlpcompress.io.save import save_model
from nlpcompress.methods.architecture.elastic import elastic_axes, kinds_of
from nlpcompress.methods.architecture.supernet import networks
from nlpcompress.methods.table import make_method
from nlpcompress.scoring import taylor_scores
from nlpcompress.surgery.verify import floating_outputs, relative_error
from tests.families import FAMILIES

SIZED = ["bert", "resnet_basic", "vit", "mobilenet_v2"]


def example(family):
    torch.manual_seed(0)
    model, inputs = FAMILIES[family]()
    batch = {**inputs, "labels": torch.arange(len(next(iter(inputs.values())))) % 2}
    with torch.no_grad():
        model(**batch)
    return model.eval(), inputs, Context(inputs, lambda: [batch])


def elastic(model, inputs):
    axes = find_axes(model, inputs)
    return [axis for own in elastic_axes(axes, kinds_of(axes)).values() for axis in own]


@pytest.mark.parametrize("family", SIZED)
def test_sorting_changes_no_answer_and_puts_what_matters_first(family, tmp_path):
    model, inputs, ctx = example(family)
    before = floating_outputs(model, inputs)
    plan = make_method("sort", {}).plan(model, ctx)
    assert len(plan) > 0
    apply_plan(model, plan, inputs)
    assert relative_error(before, floating_outputs(model, inputs)) < 1e-5
    scores = taylor_scores(model, elastic(model, inputs), ctx.batches())
    for values in scores.values():
        assert (values.diff() <= 1e-4 * values.max()).all()
    save_model(model, tmp_path / "out", plan=plan)
    loaded = load_model_folder(tmp_path / "out")
    assert relative_error(floating_outputs(model, inputs), floating_outputs(loaded, inputs)) == 0


def test_an_order_that_does_not_fit_is_refused():
    model, inputs, _ = example("bert")
    with pytest.raises(PlanError, match="must have each of 0 to 2 once"):
        plan_from_json([{"op": "permute", "axis": "layers.0.heads", "order": [0, 2, 2]}])
    with pytest.raises(PlanError, match="has 4 positions at this point of the plan, the order has"):
        apply_plan(model, [{"op": "permute", "axis": "layers.0.heads", "order": [1, 0]}], inputs)
    width = list(range(model.config.hidden_size))
    with pytest.raises(AxisError, match="'width' cannot be put in order"):
        apply_plan(model, [{"op": "permute", "axis": "width", "order": width}], inputs)


def test_a_wrong_permutation_would_be_seen(monkeypatch):
    """The check is one: with one tensor left out the model computes something else."""
    model, inputs, _ = example("bert")
    axes = find_axes(model, inputs)
    heads = axes["layers.0.heads"]
    monkeypatch.setattr(
        type(axes), "__getitem__", lambda self, key: _without_a_slice(heads), raising=True
    )
    order = list(reversed(range(heads.size)))
    with pytest.raises(Exception, match="differs from its masked original"):
        apply_plan(model, [{"op": "permute", "axis": "layers.0.heads", "order": order}], inputs)


def _without_a_slice(axis):
    changed = copy.copy(axis)
    object.__setattr__(changed, "slices", axis.slices[1:])
    return changed


@pytest.mark.parametrize("family", SIZED)
def test_a_network_inside_computes_what_the_slice_does(family):
    model, inputs, ctx = example(family)
    shares = {"heads": 0.5, "neurons": 0.25} if family in ("bert", "vit") else {"channels": 0.5}
    layers = {"layers": [1, 2]} if family == "bert" else {}
    config = {kind: [share] for kind, share in shares.items()}
    gates = make_method("supernet", config | layers).prepare(model, ctx)
    (smallest, *_) = gates._draw(0)
    with gates.only(smallest):
        inside = floating_outputs(model, inputs)
    whole = floating_outputs(model, inputs)
    gates.close()
    assert relative_error(whole, floating_outputs(model, inputs)) == 0
    sliced = copy.deepcopy(model)
    depth = {"layers": 1} if layers else {}
    plan = make_method("slice", shares | depth).plan(sliced, ctx)
    apply_plan(sliced, plan, inputs)
    assert sum(p.numel() for p in sliced.parameters()) < sum(p.numel() for p in model.parameters())
    assert relative_error(inside, floating_outputs(sliced, inputs)) < 1e-5
    assert relative_error(whole, inside) > 1e-3


def test_small_networks_learn_the_whole_ones_answers_and_it_does_not_learn_theirs():
    model, _, ctx = example("bert")
    gates = make_method("supernet", {"samples": 1, "temperature": 2.0}).prepare(model, ctx)
    gates.advance(Progress(step=3, total=9, warmup=0))
    (objective,) = gates.objectives()
    batch = next(iter(ctx.batches()))
    outputs = model(**batch)
    loss = objective.loss(Step(batch, outputs, outputs.loss))
    wanted = []
    for network in gates._draw(3):
        with gates.only(network):
            logits = model(**batch).logits
        pair = [log_softmax(values / 2.0, -1) for values in (logits, outputs.logits.detach())]
        wanted.append(4.0 * kl_div(*pair, reduction="batchmean", log_target=True))
    assert loss.item() == pytest.approx(torch.stack(wanted).mean().item(), rel=1e-5)
    assert loss.item() > 0
    loss.backward()
    last = [
        p.parametrizations.weight.original
        for p in model.modules()
        if hasattr(p, "parametrizations")
    ]
    assert all(weight.grad is not None for weight in last)
    cut = model.bert.encoder.layer[0].output.dense.parametrizations.weight.original
    assert cut.grad[:, 0].abs().sum() > 0
    gates.close()


def test_the_smallest_is_in_every_step_and_others_are_drawn_by_it():
    model, inputs, _ = example("bert")
    method = make_method(
        "supernet", {"heads": [0.5, 1.0], "neurons": [0.25, 0.5], "layers": [1, 2]}
    )
    axes = find_axes(model, inputs)
    chosen = [
        (kind, axis) for kind, own in elastic_axes(axes, kinds_of(axes)).items() for axis in own
    ]
    steps = [networks(chosen, method.config, 2, 7, step) for step in range(20)]
    smallest = Network((2, 2, 12, 12), (0,))
    assert all(own[0] == smallest for own in steps)
    assert steps[4] == networks(chosen, method.config, 2, 7, 4)
    assert steps[4] != networks(chosen, method.config, 2, 8, 4)
    drawn = {network for own in steps for network in own[1:]}
    assert len(drawn) > 10
    assert {network.layers for network in drawn} == {None, (0,)}


def test_smaller_networks_see_smaller_pictures():
    model, _, ctx = example("resnet_basic")
    (batch,) = ctx.batches()
    config = {"channels": [0.5, 1.0], "resolutions": [0.5, 1.0], "samples": 3, "round_to": 2}
    gates = make_method("supernet", config).prepare(model, ctx)
    sides, shares = [], set()
    hook = model.register_forward_pre_hook(
        lambda _, __, given: sides.append(given["pixel_values"].shape[-1]), with_kwargs=True
    )
    outputs = model(**batch)
    whole = sides.pop()
    for step in range(6):
        gates.advance(Progress(step=step, total=6, warmup=0))
        (objective,) = gates.objectives()
        objective.loss(Step(batch, outputs, outputs.loss)).backward()
        shares |= {side / whole for side in sides}
        assert sides[0] == whole // 2
        sides.clear()
    hook.remove()
    gates.close()
    assert shares == {0.5, 1.0}
    vit, _, pictures = example("vit")
    with pytest.raises(ConfigError, match=r"resolutions \[0.5\], but the model cannot see"):
        make_method("supernet", {"resolutions": [0.5]}).prepare(vit, pictures)


@pytest.mark.parametrize(
    ("method", "config", "error", "text"),
    [
        ("slice", {"heads": [0.5]}, PlanError, "heads has 1 shares, but there are 2 axes"),
        ("slice", {"layers": 3}, PlanError, "slice: 3 of 2 layers; keep at most 2"),
        (
            "slice",
            {"channels": 0.5},
            PlanError,
            "no channels to take the first of, but heads, neurons",
        ),
        ("supernet", {"layers": [3]}, ConfigError, r"layers \[3\], but the model has 2"),
        ("supernet", {"resolutions": [0.5, 1.0]}, ConfigError, "cannot see its inputs at 0.5 of"),
    ],
)
def test_what_the_model_has_not_is_refused(method, config, error, text):
    model, _, ctx = example("bert")
    made = make_method(method, config)
    with pytest.raises(error, match=text):
        made.plan(model, ctx) if method == "slice" else made.prepare(model, ctx)


def test_a_slice_of_everything_is_no_cut():
    model, _, ctx = example("bert")
    assert make_method("slice", {}).plan(model, ctx) == Plan()


def test_running_statistics_are_those_of_the_whole_network():
    model, _, ctx = example("resnet_basic")
    (batch,) = ctx.batches()
    model.train()
    alone = copy.deepcopy(model)
    alone(**batch)
    gates = make_method("supernet", {"channels": [0.5], "round_to": 2}).prepare(model, ctx)
    outputs = model(**batch)
    (objective,) = gates.objectives()
    objective.loss(Step(batch, outputs, outputs.loss)).backward()
    gates.close()
    expected, found = dict(alone.named_buffers()), dict(model.named_buffers())
    assert expected and all(torch.equal(value, found[name]) for name, value in expected.items())
    model(**batch)
    assert any(not torch.equal(value, found[name]) for name, value in expected.items())


def test_smaller_networks_get_of_a_batch_what_they_take():
    model, inputs, ctx = example("resnet_basic")
    gates = make_method("supernet", {"round_to": 2}).prepare(model, ctx)
    (objective,) = gates.objectives()
    outputs = model(**inputs)
    mixed = {"soft_labels": torch.rand(2, 2), "teacher_row": torch.arange(2), **inputs}
    found = [objective.loss(Step(each, outputs, torch.zeros(()))) for each in (inputs, mixed)]
    assert found[0] > 0 and found[0] == found[1]
    gates.close()
