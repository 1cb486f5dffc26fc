"""Head and neuron importance: what they decide, on real axes."""

import pytest
import torch

from nlpcompress.axes import find_axes
from nlpcompress.core.method import Context
from nlpcompress.errors import ConfigError, PlanError
from nlpcompress.methods import make_method
from nlpcompress.methods.pruning import head_importance, neuron_importance
from nlpcompress.methods.pruning.head_importance import HeadImportanceConfig
from nlpcompress.methods.pruning.neuron_importance import NeuronImportanceConfig
from nlpcompress.scoring import taylor_scores
from nlpcompress.surgery import apply_plan
from tests.families import FAMILIES

HEADS = {"layers.0.heads": [0.9, 0.1, 0.8, 0.7], "layers.1.heads": [0.2, 0.3, 0.4, 0.1]}


def seen(name, count=6):
    """A family's model and a context of `count` labelled examples, its own inputs first."""
    model, inputs = FAMILIES[name]()
    generator = torch.Generator().manual_seed(5)
    batches = []
    for start in range(0, count, 2):
        batch = dict(inputs)
        if start:
            batch["input_ids"] = torch.randint(
                5, 60, inputs["input_ids"].shape, generator=generator
            )
        batches.append({**batch, "labels": torch.tensor([start % 3, 1])})
    return model, Context(inputs, lambda: iter(batches))


def test_decide_is_the_global_ranking():
    plan = head_importance.decide(HEADS, HeadImportanceConfig(keep=0.5))
    assert plan.to_json() == [
        {"op": "keep", "axis": "layers.0.heads", "indices": [0, 2, 3]},
        {"op": "keep", "axis": "layers.1.heads", "indices": [2]},
    ]
    floor = head_importance.decide(HEADS, HeadImportanceConfig(keep=0.5, min_keep=2))
    assert [edit.indices for edit in floor] == [(0, 2), (1, 2)]
    neurons = {name: scores * 4 for name, scores in HEADS.items()}
    rounded = neuron_importance.decide(neurons, NeuronImportanceConfig(keep=0.5, round_to=8))
    assert [len(edit.indices) for edit in rounded] == [8, 8]


@pytest.mark.parametrize(
    "config", [head_importance.HeadImportance, neuron_importance.NeuronImportance]
)
@pytest.mark.parametrize(
    ("keep", "says"), [(0, "greater than 0"), (1.5, "less than or equal to 1")]
)
def test_keep_out_of_bounds_is_refused_with_a_path(config, keep, says):
    with pytest.raises(ConfigError, match=rf"stages.1.config.keep: .*{says} \(value: {keep}\)"):
        config.Config.parse({"keep": keep}, where="stages.1.config")


def test_heads_are_cut_where_the_loss_does_not_notice():
    """Heads whose output columns are nearly zero go, whatever layer they are in."""
    model, ctx = seen("bert")
    with torch.no_grad():
        for layer, heads in ((0, (1, 3)), (1, (0, 2))):
            weight = model.bert.encoder.layer[layer].attention.output.dense.weight
            for head in heads:
                weight[:, 8 * head : 8 * head + 8] *= 1e-3
    plan = make_method("head_importance", {"keep": 0.5}).plan(model, ctx)
    assert {e.axis: e.indices for e in plan} == {"layers.0.heads": (0, 2), "layers.1.heads": (1, 3)}


def test_planning_changes_nothing():
    model, ctx = seen("bert")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.train()
    for name in ("head_importance", "neuron_importance"):
        make_method(name, {"rounds": 2}).plan(model, ctx)
    assert model.training and all(p.grad is None for p in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_neurons_of_the_layers_only_unless_everywhere():
    model, ctx = seen("bert")
    plan = make_method("neuron_importance", {"keep": 0.5}).plan(model, ctx)
    assert {edit.axis for edit in plan} == {"layers.0.neurons", "layers.1.neurons"}
    assert sum(len(edit.indices) for edit in plan) == 48
    assert all(len(edit.indices) % 8 == 0 for edit in plan)
    wide = make_method("neuron_importance", {"keep": 0.2, "everywhere": True}).plan(model, ctx)
    assert "pooler.neurons" in {edit.axis for edit in wide}


@pytest.mark.parametrize(
    "family", ["bert", "distilbert", "albert", "mpnet", "gpt2", "llama", "modernbert"]
)
def test_every_text_family_is_cut_to_its_half(family):
    model, ctx = seen(family)
    if model.config.pad_token_id is None:
        model.config.pad_token_id = 1
    for name in ("head_importance", "neuron_importance"):
        axes = {axis.name: axis for axis in find_axes(model, ctx.example_inputs).free()}
        plan = make_method(name, {"keep": 0.5}).plan(model, ctx)
        assert len(plan) > 0
        assert all(0 < len(edit.indices) < axes[edit.axis].size for edit in plan)
        model = apply_plan(model, plan, ctx.example_inputs)
    with torch.no_grad():
        assert torch.isfinite(model(**ctx.example_inputs).logits).all()


def test_grouped_queries_lose_key_value_heads_only():
    model, ctx = seen("llama")
    plan = make_method("head_importance", {"keep": 0.5}).plan(model, ctx)
    assert {edit.axis.rpartition(".")[2] for edit in plan} == {"kv_heads"}


def test_rounds_score_what_is_left_again():
    """The second round's choice is the ranking of scores with the first round's heads off."""
    model, ctx = seen("bert")
    axes = find_axes(model, ctx.example_inputs).free("heads")
    first = taylor_scores(model, axes, ctx.batches(), normalize=True)
    flat = sorted((float(v), name, i) for name, s in first.items() for i, v in enumerate(s))
    off = {name: [i for _, n, i in flat[:3] if n == name] for name in first}
    second = taylor_scores(model, axes, ctx.batches(), normalize=True, dropped=off)
    rest = [(float(v), n, i) for n, s in second.items() for i, v in enumerate(s) if i not in off[n]]
    left = {(n, i) for _, n, i in sorted(rest)[-2:]}
    plan = make_method("head_importance", {"keep": 0.25, "rounds": 2}).plan(model, ctx)
    assert {(edit.axis, i) for edit in plan for i in edit.indices} == left


def test_only_so_many_samples_are_looked_at():
    model, ctx = seen("bert", count=6)
    looked = []

    def batches():
        for batch in ctx.batches():
            looked.append(1)
            yield batch

    counted = Context(ctx.example_inputs, batches)
    make_method("head_importance", {"num_samples": 3, "rounds": 2}).plan(model, counted)
    assert len(looked) == 4


def test_models_without_such_axes_are_refused():
    model, inputs = FAMILIES["resnet_basic"]()
    with pytest.raises(
        PlanError, match=r"no heads that can be cut \(it has no axis of the kind heads"
    ):
        make_method("head_importance", {}).plan(model, Context(inputs))
