"""Movement, magnitude and head gates: shut gates and cut models are the same thing."""

import pytest
import torch

from nlpcompress import apply_plan
from nlpcompress.core.method import Context, Progress
from nlpcompress.core.plan import plan_from_json
from nlpcompress.errors import ConfigError
from nlpcompress.methods import make_method
from nlpcompress.methods.pruning.zeros import plan_for_zeros, positions_left
from nlpcompress.models.weights import body_weights, embedding_tables
from nlpcompress.scoring import empty_positions
from tests.families import FAMILIES

TEXT = ["bert", "distilbert", "modernbert", "gpt2", "albert", "deberta_v2", "llama", "vit"]
DONE = Progress(step=10, total=10, warmup=0)


def gated(family, method, **config):
    """A model whose gates shut half, at random."""
    model, inputs = FAMILIES[family]()
    ctx = Context(inputs)
    gates = make_method(method, config).prepare(model, ctx)
    generator = torch.Generator().manual_seed(0)
    for gate in gates.gates:
        if hasattr(gate, "scores"):
            gate.scores.data.normal_(generator=generator)
    gates.advance(DONE)
    return model, gates, ctx


def logits(model, inputs):
    with torch.no_grad():
        outputs = model(**inputs)
    return outputs["logits"] if "logits" in outputs else outputs[0]


def relative(a, b):
    return float((a - b).abs().max() / a.abs().max())


@pytest.mark.parametrize("family", TEXT)
def test_shut_heads_and_neurons_are_cut_without_changing_a_logit(family):
    model, gates, ctx = gated(family, "movement", heads=True, neurons=True, final_threshold=0.5)
    masked = logits(model, ctx.example_inputs)
    gates.close()
    plan = plan_for_zeros(model, ctx)
    sizes = sum(p.numel() for p in model.parameters())
    apply_plan(model, plan, ctx.example_inputs)
    assert relative(masked, logits(model, ctx.example_inputs)) < 1e-5
    assert {edit.op for edit in plan} == {"keep"}, "nothing but whole positions was shut"
    assert sum(p.numel() for p in model.parameters()) < sizes


@pytest.mark.parametrize("family", ["bert", "distilbert", "deberta_v2"])
def test_hybrid_blocks_leave_what_is_empty_and_keep_the_logits(family):
    model, gates, ctx = gated(family, "movement", block=[8, 8], neurons=True, final_threshold=0.15)
    masked = logits(model, ctx.example_inputs)
    gates.close()
    plan = plan_for_zeros(model, ctx)
    apply_plan(model, plan, ctx.example_inputs)
    assert relative(masked, logits(model, ctx.example_inputs)) < 1e-5
    cut = {edit.axis for edit in plan if edit.op == "keep"}
    assert {"layers.0.neurons", "layers.1.neurons"} < cut and any("heads" in name for name in cut)
    assert model.config.zeros_stay, "blocks inside the heads that stay are zero"


def test_a_head_without_queries_is_not_empty_but_one_without_values_is():
    model, inputs = FAMILIES["bert"]()
    attention = model.bert.encoder.layer[0].attention.self
    with torch.no_grad():
        for rows, layer in ((slice(0, 8), attention.query), (slice(8, 16), attention.value)):
            layer.weight[rows], layer.bias[rows] = 0, 0
        attention.value.weight[16:24] = 0  # its bias still says something
        model.bert.encoder.layer[0].attention.output.dense.weight[:, 24:] = 0
    from nlpcompress import find_axes

    axes = [find_axes(model, inputs)["layers.0.heads"]]
    assert empty_positions(model, axes, inputs)["layers.0.heads"].tolist() == [
        False,
        True,
        False,
        True,
    ]


def test_a_layer_keeps_its_last_head():
    empty = {"a": torch.tensor([True, True]), "b": torch.tensor([True]), "c": torch.tensor([False])}
    assert positions_left(empty) == {"a": (0,)}


@pytest.mark.parametrize("scope", ["matrix", "global"])
@pytest.mark.parametrize("method", ["movement", "magnitude"])
def test_unstructured_pruning_keeps_exactly_its_share(method, scope):
    model, gates, _ = gated("bert", method, scope=scope, final_threshold=0.3)
    gates.close()
    weights = body_weights(model)
    left = {name: int((weight != 0).sum()) for name, weight in weights.items()}
    if scope == "matrix":
        assert all(left[name] == round(0.3 * weights[name].numel()) for name in weights)
    else:
        assert sum(left.values()) == round(0.3 * sum(w.numel() for w in weights.values()))


def test_magnitude_keeps_the_largest_weights():
    model, _ = FAMILIES["bert"]()
    before = {name: weight.detach().clone() for name, weight in body_weights(model).items()}
    model, gates, _ = gated("bert", "magnitude", final_threshold=0.25)
    gates.close()
    for name, weight in body_weights(model).items():
        shut, stays = before[name][weight == 0], before[name][weight != 0]
        assert shut.abs().max() <= stays.abs().min()


@pytest.mark.parametrize("family", ["resnet_basic", "mobilenet_v2", "t5"])
def test_magnitude_works_on_any_model(family):
    model, gates, ctx = gated(family, "magnitude", final_threshold=0.5)
    gates.close()
    assert all((weight == 0).any() for weight in body_weights(model).values())
    assert plan_from_json([{"op": "mask"}]).edits[0] in plan_for_zeros(model, ctx).edits


@pytest.mark.parametrize("method", ["movement", "magnitude"])
def test_two_of_four_stay_in_every_row(method):
    model, gates, _ = gated("bert", method, pattern=[2, 4])
    gates.close()
    for weight in body_weights(model).values():
        assert ((weight != 0).reshape(len(weight), -1, 4).sum(-1) == 2).all()


@pytest.mark.parametrize(
    "config",
    [
        {"pattern": [2, 4], "block": [2, 2]},
        {"pattern": [2, 4], "final_threshold": 0.3},
        {"pattern": [4, 4]},
        {"pattern": [2, 4], "mask": "sigmoid", "final_lambda": 1.0},
        {"pattern": [2, 4], "neurons": True},
    ],
)
def test_what_a_pattern_does_not_go_with_is_refused(config):
    with pytest.raises(ConfigError, match="pattern"):
        make_method("movement", config)


def test_a_pattern_comes_back_from_a_resolved_recipe():
    method = make_method("movement", {"pattern": [2, 4]})
    again = make_method("movement", method.config.to_json())
    assert again.config == method.config and again.config.schedule().final == 0.5


def test_filled_models_have_no_zeros_that_stay():
    model, gates, ctx = gated("bert", "movement", block=[8, 8], neurons=True, fill=True)
    gates.close()
    plan = make_method("movement", {"fill": True}).plan(model, ctx)
    assert {edit.op for edit in plan} == {"keep"}


def test_head_gates_close_into_the_output_projection():
    model, inputs = FAMILIES["bert"]()
    ctx = Context(inputs)
    dense = model.bert.encoder.layer[0].attention.output.dense
    before = dense.weight.detach().clone()
    gates = make_method("head_gates", {}).prepare(model, ctx)
    gates.gates[0].scores.data.copy_(torch.tensor([-9.0, 0.0, 9.0, 1.0]))
    model.eval()
    gated_logits = logits(model, inputs)
    gates.close()
    factor = torch.tensor([0.0, 0.5, 1.0, 1.2 / (1 + torch.tensor(-1.0).exp()) - 0.1])
    assert torch.allclose(dense.weight, before * factor.repeat_interleave(8), atol=1e-6)
    apply_plan(model, plan_for_zeros(model, ctx), inputs)
    assert relative(gated_logits, logits(model, inputs)) < 1e-5
    assert dense.weight.shape[1] == 24


def test_embedding_tables_are_frozen_while_scores_learn():
    model, gates, _ = gated("bert", "movement")
    assert not any(table.requires_grad for table in embedding_tables(model))
    gates.close()
    assert all(table.requires_grad for table in embedding_tables(model))
    model, _, _ = gated("bert", "movement", freeze_embeddings=False)
    assert all(table.requires_grad for table in embedding_tables(model))


def test_blocks_must_tile_every_matrix():
    model, inputs = FAMILIES["bert"]()
    with pytest.raises(ConfigError, match="blocks of 5 × 5 do not tile"):
        make_method("movement", {"block": [5, 5]}).prepare(model, Context(inputs))
    assert not hasattr(model, "compression_gates")


@pytest.mark.parametrize("family", list(FAMILIES))
def test_the_body_leaves_embeddings_poolers_and_heads_out(family):
    model, _ = FAMILIES[family]()
    names = body_weights(model)
    assert names and not any("pooler" in name or "classifier" in name for name in names)
    output = model.get_output_embeddings()
    assert output is None or all(weight is not output.weight for weight in names.values())


@pytest.mark.parametrize("places", [{}, {"block": [8, 8]}, {"scope": "global"}])
def test_scores_that_start_at_magnitudes_first_keep_what_magnitude_keeps(places):
    kept = {}
    for method, config in (("movement", {"initial_score": "magnitude"}), ("magnitude", {})):
        model, inputs = FAMILIES["bert"]()
        with torch.no_grad():  # alike on average, as only within a matrix scores are magnitudes
            for weight in body_weights(model).values():
                weight.div_(weight.abs().mean())
        gates = make_method(method, {**config, **places}).prepare(model, Context(inputs))
        gates.advance(DONE)
        kept[method] = {gate.places.covers[0].tensor: gate.mask for gate in gates.gates}
    assert kept["movement"].keys() == kept["magnitude"].keys()
    for name, mask in kept["movement"].items():
        assert 0 < int(mask.sum()) < mask.numel() and torch.equal(mask, kept["magnitude"][name])


@pytest.mark.parametrize("mask", ["topk", "threshold", "sigmoid", "l0"])
def test_scores_that_start_at_magnitudes_are_1_on_average_and_open(mask):
    model, inputs = FAMILIES["bert"]()
    config = {"mask": mask, "initial_score": "magnitude", "final_lambda": 1.0}
    gates = make_method("movement", {**config, "heads": True}).prepare(model, Context(inputs))
    gates.advance(Progress(step=0, total=10, warmup=0))
    model.eval()
    for gate in gates.gates:
        assert gate.scores.mean().item() == pytest.approx(1) and gate.scores.std() > 0
        assert (gate() > 0).all()
