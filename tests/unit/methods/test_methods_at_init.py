"""Pruning before training: exact counts, floors, controls, and a training under fixed masks."""

import pytest
import torch
from torch import nn

from nlpcompress import apply_plan
from nlpcompress.core.method import Context, Progress
from nlpcompress.errors import ConfigError, DataError, PlanError
from nlpcompress.gates import FixedGate, GatePlaces
from nlpcompress.gates.cover import over_weights
from nlpcompress.methods import make_method
from nlpcompress.methods.pruning.at_init import decide, draw_anew, find_masks, shuffled
from nlpcompress.models.weights import body_weights
from nlpcompress.models.zeros import note_zeros
from nlpcompress.training import CompressionTrainer
from tests.chain import Chain
from tests.families import FAMILIES
from tests.unit.training.training_tiny import Examples, arguments, tiny_bert, weights

CRITERIA = ["synflow", "snip", "grasp", "magnitude", "random"]
MODELS = ["bert", "resnet_basic", "gpt2"]


def config(**values):
    return make_method("at_init", values).config


def context(name, **values):
    model, inputs = FAMILIES[name]()
    batch = {**inputs, "labels": torch.tensor([0, 2])}
    return model, Context(inputs, lambda: [batch, batch], **values)


def size(model):
    return sum(weight.numel() for weight in body_weights(model).values())


def left(masks):
    return {name: int(mask.sum()) for name, mask in masks.items()}


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("name", MODELS)
def test_exactly_the_share_stays_in_the_model_once_gates_close(name, criterion):
    model, ctx = context(name)
    steps = 5 if criterion == "synflow" else None
    method = make_method("at_init", {"criterion": criterion, "keep": 0.3, "steps": steps})
    total, names = size(model), [key for key, _ in model.named_parameters()]
    before = weights(model)
    gates = method.prepare(model, ctx)
    assert not gates.parameter_groups() and not gates.objectives()
    gates.advance(Progress(0, 10, 0))
    gates.close()
    assert [key for key, _ in model.named_parameters()] == names
    after = weights(model)
    pruned = body_weights(model)
    assert sum(int((w != 0).sum()) for w in pruned.values()) == round(0.3 * total)
    assert all((w != 0).any() for w in pruned.values())
    for key, value in after.items():
        stays = value != 0 if key in pruned else torch.ones_like(value, dtype=torch.bool)
        assert torch.equal(value[stays], before[key][stays]), key


@pytest.mark.parametrize("criterion", CRITERIA)
def test_the_same_seed_gives_the_same_masks(criterion):
    steps = {"steps": 3} if criterion == "synflow" else {}
    model, ctx = context("bert")
    one, two = (find_masks(model, ctx, config(criterion=criterion, **steps)) for _ in range(2))
    assert all(torch.equal(one[name], two[name]) for name in one)
    other = Context(ctx.example_inputs, ctx.batches, seed=1)
    three = find_masks(model, other, config(criterion=criterion, **steps))
    same = all(torch.equal(one[name], three[name]) for name in one)
    assert same == (criterion != "random")


@pytest.mark.parametrize("criterion", ["snip", "grasp", "magnitude", "random"])
def test_rounds_end_at_the_same_number(criterion):
    model, ctx = context("bert")
    masks = find_masks(model, ctx, config(criterion=criterion, keep=0.07, steps=4))
    assert sum(left(masks).values()) == round(0.07 * size(model))


def test_rounds_are_many_for_synflow_and_one_for_the_others_unless_said():
    assert [config(criterion=criterion).rounds for criterion in CRITERIA] == [100, 1, 1, 1, 1]
    assert config(criterion="snip", steps=7).rounds == config(steps=7).rounds == 7


def test_a_floor_takes_from_the_rest():
    """Residual connections go around layers, which SynFlow then empties."""
    model, ctx = context("resnet_basic")
    ranked = {"criterion": "synflow", "keep": 0.002, "steps": 10}
    free = left(find_masks(model, ctx, config(**ranked, min_per_layer=0)))
    floored = left(find_masks(model, ctx, config(**ranked, min_per_layer=2)))
    assert min(free.values()) == 0 and min(floored.values()) == 2
    assert sum(free.values()) == sum(floored.values()) == round(0.002 * size(model))


def test_floors_beyond_the_share_are_refused_before_any_scoring():
    model, ctx = context("bert")
    silent = Context(ctx.example_inputs, lambda: pytest.fail("scored"))
    small = config(criterion="snip", keep=0.0005, min_per_layer=1)
    with pytest.raises(ConfigError, match=r"keep leaves 7 of 14336 weights, but min_per_layer: 1"):
        find_masks(model, silent, small)
    with pytest.raises(ConfigError, match="keeps 12 in 12 matrices; raise keep"):
        find_masks(model, silent, small)


def test_what_cannot_stay_does_not_whatever_its_score():
    scores = {"a": torch.tensor([9.0, 1.0, -5.0]), "b": torch.tensor([8.0, 2.0])}
    among = {"a": torch.tensor([False, True, True]), "b": torch.tensor([True, False])}
    masks = decide(scores, count=3, among=among)
    assert masks["a"].tolist() == [False, True, True] and masks["b"].tolist() == [True, False]
    masks = decide(scores, count=2, min_per_layer=2, among=among | {"b": torch.zeros(2).bool()})
    assert masks["a"].tolist() == [False, True, True] and not masks["b"].any()


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -float("inf")])
def test_scores_that_are_no_numbers_are_refused(wrong):
    scores = {"a": torch.ones(3), "b": torch.tensor([1.0, wrong])}
    with pytest.raises(PlanError, match="a weight of 'b' has a score that is no finite number"):
        decide(scores, count=2)


def test_a_model_in_which_nothing_flows_is_refused():
    with pytest.raises(PlanError, match="the score of every weight is 0"):
        decide({"a": torch.zeros(3)}, count=2)
    model, ctx = context("modernbert")
    with pytest.raises(PlanError, match="embeddings of ones may become zeros"):
        find_masks(model, ctx, config())


def test_a_loss_needs_labels():
    model, inputs = FAMILIES["bert"]()
    with pytest.raises(DataError, match="need labelled batches"):
        find_masks(model, Context(inputs, lambda: [inputs]), config(criterion="snip"))


def test_num_samples_are_all_that_is_looked_at():
    model, ctx = context("bert")
    batch = next(iter(ctx.batches()))
    seen = []

    def batches():
        for _ in range(10):
            seen.append(1)
            yield batch

    counting = Context(ctx.example_inputs, batches)
    find_masks(model, counting, config(criterion="snip", num_samples=3))
    assert len(seen) == 2


def test_zeros_that_were_there_to_stay_are_not_opened():
    model, ctx = context("bert")
    with torch.no_grad():
        for weight in body_weights(model).values():
            weight[: len(weight) // 2] = 0
    note_zeros(model)
    masks = find_masks(model, ctx, config(criterion="random", keep=0.3))
    assert sum(left(masks).values()) == round(0.3 * size(model))
    assert not any(mask[: len(mask) // 2].any() for mask in masks.values())


def test_shuffled_masks_keep_as_many_of_each_matrix_but_others():
    model, ctx = context("bert")
    masks = find_masks(model, ctx, config(criterion="magnitude", keep=0.3))
    moved = shuffled(masks, seed=0)
    assert left(moved) == left(masks) and len(set(left(masks).values())) > 1
    for name, mask in masks.items():
        overlap = float((mask & moved[name]).sum() / mask.sum())
        assert overlap == pytest.approx(float(mask.float().mean()), abs=0.1)
    again, other = shuffled(masks, seed=0), shuffled(masks, seed=1)
    assert all(torch.equal(moved[name], again[name]) for name in masks)
    assert not any(torch.equal(moved[name], other[name]) for name in masks)


@pytest.mark.parametrize("control", ["none", "shuffle", "reinit"])
def test_controls_change_masks_or_weights_but_not_both(control):
    model = tiny_bert(seed=0)
    before = weights(model)
    batch = {key: torch.stack([Examples()[i][key] for i in range(4)]) for key in Examples()[0]}
    ctx = Context(batch, seed=0)
    plain = find_masks(model, ctx, config(criterion="magnitude"))
    values = {"criterion": "magnitude", "control": control}
    gates = make_method("at_init", values).prepare(model, ctx)
    found = {gate.places.covers[0].tensor: gate.mask.clone() for gate in gates.gates}
    gates.close()
    same_masks = all(torch.equal(found[name], mask) for name, mask in plain.items())
    assert same_masks == (control != "shuffle")
    for name, mask in found.items():
        kept, old = weights(model)[name][mask], before[name][mask]
        assert torch.equal(kept, old) == (control != "reinit")
        assert float(kept.std()) > 0


def test_a_model_is_drawn_anew_as_its_config_draws_it_but_not_as_its_own_seed_did():
    model = tiny_bert(seed=5)
    before = weights(model)
    state = torch.get_rng_state()
    draw_anew(model, seed=5)
    assert torch.equal(torch.get_rng_state(), state)
    for name, weight in body_weights(model).items():
        assert not torch.isclose(weight, before[name]).all()
        assert float(weight.detach().std()) == pytest.approx(
            model.config.initializer_range, rel=0.1
        )
    again = tiny_bert(seed=1)
    draw_anew(again, seed=5)
    assert all(torch.equal(value, weights(again)[name]) for name, value in weights(model).items())


def test_a_model_that_its_config_does_not_make_cannot_be_drawn_anew():
    with pytest.raises(ConfigError, match="Chain is no transformers model; use another control"):
        draw_anew(Chain(nn.Linear(2, 2)), seed=0)
    model = tiny_bert()
    before = model.bert.encoder.layer[0].intermediate.dense
    model.bert.encoder.layer[0].intermediate.dense = nn.Linear(32, 8)
    with pytest.raises(ConfigError, match=r"intermediate\.dense\.weight' is not of the shape"):
        draw_anew(model, seed=0)
    assert before.weight.shape == (64, 32)


def test_a_fixed_gate_has_the_mask_it_was_given_and_saves_it():
    mask = torch.tensor([[True, False, True], [False, False, True]])
    gate = FixedGate(GatePlaces("weights", (over_weights("0.weight", (2, 3, 1)),)), mask=mask)
    assert torch.equal(gate(), mask) and torch.equal(gate.state_dict()["mask"], mask)
    assert not list(gate.parameters())
    mask[0, 0] = False
    assert gate.mask[0, 0], "a copy"


def trainer(folder, model, method, **values):
    args = arguments(folder, **{"max_steps": 10, "weight_decay": 0.1, **values})
    return CompressionTrainer(model, args, train_dataset=Examples(), methods=[method])


def test_masked_weights_neither_count_nor_learn_while_the_stage_trains(tmp_path):
    """Losses and weights are those of a model that was zero there before, and is kept so."""
    method = make_method("at_init", {"criterion": "snip", "keep": 0.2, "num_samples": 32})
    ours = trainer(tmp_path / "a", tiny_bert(), method, logging_steps=1)
    ours.train()
    masks = {name: weight != 0 for name, weight in body_weights(ours.model).items()}
    assert sum(left(masks).values()) == round(0.2 * size(ours.model))

    plain = tiny_bert()
    with torch.no_grad():
        for name, weight in body_weights(plain).items():
            weight.mul_(masks[name])
    note_zeros(plain)
    args = arguments(tmp_path / "b", max_steps=10, weight_decay=0.1, logging_steps=1)
    reference = CompressionTrainer(plain, args, train_dataset=Examples())
    reference.train()
    logs = [
        [log["loss"] for log in t.state.log_history if "loss" in log] for t in (ours, reference)
    ]
    assert logs[0] == pytest.approx(logs[1], abs=1e-4) and len(logs[0]) == 10
    after, expected = weights(ours.model), weights(plain)
    assert all(torch.allclose(after[name], expected[name], atol=1e-5) for name in after)
    start = weights(tiny_bert())
    assert all((after[name] != start[name])[mask].any() for name, mask in masks.items())


def test_a_trained_model_ends_in_a_mask_and_stays_sparse(tmp_path):
    method = make_method("at_init", {"criterion": "synflow", "keep": 0.3, "steps": 4})
    ours = trainer(tmp_path, tiny_bert(), method)
    ours.train()
    model = ours.compress()
    assert "mask" in [edit.op for edit in ours.plan] and model.config.zeros_stay


def test_a_plan_without_a_training_is_refused(tmp_path):
    method = make_method("at_init", {})
    with pytest.raises(PlanError, match="give the stage a train block"):
        trainer(tmp_path, tiny_bert(), method).compress()
    assert not len(make_method("at_init", {"keep": 1.0}).plan(*context("bert")))


@pytest.mark.parametrize("seed", [0, 9])
def test_a_resumed_run_ends_in_the_same_weights_with_the_masks_of_its_start(tmp_path, seed):
    """Even where a new look would choose others, as from a model of another seed."""
    method = make_method("at_init", {"criterion": "magnitude", "keep": 0.2})
    saved = {"save_strategy": "steps", "save_steps": 4}
    whole = trainer(tmp_path, tiny_bert(dropout=0.1), method, **saved)
    whole.train()
    for step in (8, 10):
        (tmp_path / f"checkpoint-{step}" / "complete.json").unlink(missing_ok=True)
    resumed = trainer(tmp_path, tiny_bert(dropout=0.1, seed=seed), method, **saved)
    resumed.train(resume_from_checkpoint=True)
    assert resumed.state.global_step == 10
    expected, actual = weights(whole.model), weights(resumed.model)
    assert all(torch.equal(expected[key], actual[key]) for key in expected)
    assert sum(int((w != 0).sum()) for w in body_weights(resumed.model).values()) == round(
        0.2 * size(whole.model)
    )


def test_empty_heads_and_neurons_leave_and_the_rest_stays_masked():
    model, ctx = context("bert")
    method = make_method("at_init", {"criterion": "magnitude", "keep": 0.02})
    gates = method.prepare(model, ctx)
    with torch.no_grad():
        masked = model(**ctx.example_inputs).logits
    gates.close()
    plan = method.plan(model, ctx)
    apply_plan(model, plan, ctx.example_inputs)
    with torch.no_grad():
        assert torch.allclose(model(**ctx.example_inputs).logits, masked, atol=1e-4)
    assert {"keep", "mask"} <= {edit.op for edit in plan}
