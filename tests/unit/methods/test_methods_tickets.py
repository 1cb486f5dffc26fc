"""Lottery tickets: exact counts, nested masks, controls that change one thing, configs."""

import pytest
import torch
import transformers as tf
from torch import nn

from nlpcompress import apply_plan
from nlpcompress.core.method import Context, Rounds
from nlpcompress.errors import ConfigError, PlanError
from nlpcompress.methods import make_method
from nlpcompress.methods.pruning.lottery_ticket import at_random_places, decide, open_places
from nlpcompress.methods.pruning.redraw import redrawn
from nlpcompress.models.weights import body_weights
from nlpcompress.models.zeros import note_zeros
from nlpcompress.training import CompressionTrainer
from tests.chain import Chain
from tests.families import FAMILIES
from tests.unit.training.training_tiny import Examples, arguments, tiny_bert, weights

CONFIG = {"rounds": 3, "prune": 0.3, "rewind_to": 2}


def config(**values):
    return make_method("lottery_ticket", values).config


def tensors(seed=0):
    generator = torch.Generator().manual_seed(seed)
    shapes = {"a": (7, 5), "b": (3, 3), "c": (20,)}
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def ones(like):
    return {name: torch.ones_like(tensor, dtype=torch.bool) for name, tensor in like.items()}


def left(masks):
    return {name: int(mask.sum()) for name, mask in masks.items()}


def tiny_resnet():
    torch.manual_seed(0)
    shape = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "num_labels": 3}
    return tf.ResNetForImageClassification(tf.ResNetConfig(**shape, layer_type="basic"))


class Pictures(torch.utils.data.Dataset):
    def __len__(self):
        return 16

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(index)
        picture = torch.randn(3, 16, 16, generator=generator)
        return {"pixel_values": picture, "labels": torch.tensor(index % 3)}


MODELS = {"text": (tiny_bert, Examples), "vision": (tiny_resnet, Pictures)}


class Watched:
    """A trainer that notes masks, start weights and counts of every round."""

    def __init__(self, folder, kind="text", steps=5, model=None, **values):
        make, data = MODELS[kind]
        method = make_method("lottery_ticket", {**CONFIG, **values})
        self.masks, self.starts = [], []
        args = arguments(folder, max_steps=steps)
        self.trainer = CompressionTrainer(
            model or make(),
            args,
            train_dataset=data(),
            methods=[method],
            callbacks=[self.callback()],
        )
        self.trainer.train()

    def callback(self):
        watched = self

        class Note(tf.TrainerCallback):
            def on_train_begin(self, args, state, control, **kwargs):
                trainer = watched.trainer
                gates = trainer.gates.gates
                names = [gate.places.covers[0].tensor for gate in gates]
                shapes = {n: w.shape for n, w in body_weights(trainer.model).items()}
                watched.masks.append(
                    {
                        n: g.mask.clone().reshape(shapes[n])
                        for n, g in zip(names, gates, strict=True)
                    }
                )
                watched.starts.append(
                    {n: w.clone() for n, w in body_weights(trainer.model).items()}
                )

        return Note()

    @property
    def model(self):
        return self.trainer.model


@pytest.mark.parametrize("kind", MODELS)
def test_each_round_leaves_exactly_its_share_within_the_one_before(tmp_path, kind):
    run = Watched(tmp_path, kind)
    total = sum(weight.numel() for weight in body_weights(run.model).values())
    expected = [total]
    for _ in range(3):
        expected.append(expected[-1] - round(0.3 * expected[-1]))
    assert [sum(left(masks).values()) for masks in run.masks] == expected
    for before, after in zip(run.masks, run.masks[1:], strict=False):
        assert not any((after[name] & ~before[name]).any() for name in after)
    zeros = {name: weight == 0 for name, weight in body_weights(run.model).items()}
    assert all(torch.equal(zeros[name], ~mask) for name, mask in run.masks[-1].items())
    density = make_method("lottery_ticket", CONFIG).config.density
    assert expected[-1] / total == pytest.approx(density, abs=2 / total)
    run.trainer.compress()
    assert "mask" in [edit.op for edit in run.trainer.plan] and run.model.config.zeros_stay


def test_the_whole_model_shares_globally_or_each_matrix_does():
    final = tensors()
    final["b"] *= 0.01
    together = decide(final, final, ones(final), config(prune=0.5))
    assert sum(left(together).values()) == 32 and left(together)["b"] == 0
    apart = decide(final, final, ones(final), config(prune=0.5, scope="matrix"))
    assert left(apart) == {"a": 17, "b": 5, "c": 10}


def test_the_least_goes_and_what_is_gone_stays_gone():
    final = {"a": torch.tensor([5.0, -1.0, 3.0, -2.0, 4.0])}
    masks = {"a": torch.tensor([False, True, True, True, True])}
    once = decide(final, final, masks, config(prune=0.5))
    assert once["a"].tolist() == [False, False, True, False, True]
    last = decide(final, final, once, config(rounds=1, prune=0.9))
    assert last["a"].tolist() == [False, False, False, False, True]
    assert same(decide(final, final, last, config(rounds=1, prune=0.9)), last)


def test_random_scores_follow_the_generator_alone():
    one, two = tensors(0), tensors(1)
    picked = [
        decide(
            w, w, ones(w), config(criterion="random"), generator=torch.Generator().manual_seed(s)
        )
        for w, s in ((one, 5), (two, 5), (one, 6))
    ]
    assert all(torch.equal(picked[0][n], picked[1][n]) for n in one)
    assert any(not torch.equal(picked[0][n], picked[2][n]) for n in one)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_a_training_that_diverged_is_said_to_be_so(wrong):
    final = {"a": torch.tensor([1.0, wrong])}
    with pytest.raises(PlanError, match="a weight of 'a' is no finite number after training"):
        decide(final, final, ones(final), config())


def test_random_places_keep_the_count_of_each_matrix():
    weights = tensors()
    masks = decide(weights, weights, ones(weights), config(rounds=1, prune=0.7))
    among = ones(weights)
    among["a"][:2] = False
    moved = at_random_places(masks, among, generator=torch.Generator().manual_seed(0))
    assert left(moved) == left(masks)
    assert not moved["a"][:2].any() and not torch.equal(moved["a"], masks["a"])


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return {
        control: Watched(tmp_path_factory.mktemp(control), control=control)
        for control in ("none", "random_mask", "random_reinit")
    }


def same(one, two):
    return all(torch.equal(one[name], two[name]) for name in one)


def test_controls_differ_from_the_ticket_in_the_last_round_alone(runs):
    ticket, mask, reinit = runs["none"], runs["random_mask"], runs["random_reinit"]
    for control in (mask, reinit):
        assert all(same(control.masks[r], ticket.masks[r]) for r in range(3))
        assert all(same(control.starts[r], ticket.starts[r]) for r in range(3))
    assert (
        left(mask.masks[3]) == left(ticket.masks[3]) and len(set(left(mask.masks[3]).values())) > 2
    )
    assert not any(torch.equal(mask.masks[3][n], ticket.masks[3][n]) for n in ticket.masks[3])
    assert same(reinit.masks[3], ticket.masks[3])


def test_a_random_mask_lies_over_the_weights_that_the_ticket_goes_back_to(runs):
    """Also where the ticket's mask had been shut in an earlier round."""
    ticket, control = runs["none"], runs["random_mask"]
    reopened = 0
    for name, mask in control.masks[3].items():
        both = mask & ticket.masks[3][name]
        assert torch.equal(control.starts[3][name][both], ticket.starts[3][name][both])
        again = mask & ~ticket.masks[2][name]
        reopened += int(again.sum())
        assert (control.starts[3][name][again] != 0).all()
    assert reopened > 100


def test_drawn_anew_is_other_weights_of_the_same_spread(runs):
    ticket, control = runs["none"], runs["random_reinit"]
    spread = control.model.config.initializer_range
    for name, mask in control.masks[3].items():
        drawn = control.starts[3][name]
        assert not (drawn[mask] == ticket.starts[3][name][mask]).any()
        assert not drawn[~mask].any()
        assert float(drawn[mask].detach().std()) == pytest.approx(spread, rel=0.15)


def test_the_last_round_of_new_weights_is_a_whole_training():
    rounds = make_method("lottery_ticket", {**CONFIG, "control": "random_reinit"}).rounds
    assert rounds == Rounds(trainings=4, rewind_to=2, last_anew=True)
    assert make_method("lottery_ticket", CONFIG).rounds == Rounds(trainings=4, rewind_to=2)


def test_zeros_that_were_there_to_stay_stay_shut_in_all_rounds(tmp_path):
    """In a random mask too: it may open what rounds have shut, but not these."""
    model = tiny_bert()
    with torch.no_grad():
        for weight in body_weights(model).values():
            weight[: len(weight) // 2] = 0
    note_zeros(model)
    run = Watched(tmp_path, model=model, control="random_mask")
    total = sum(weight.numel() for weight in body_weights(model).values())
    assert sum(left(run.masks[0]).values()) == total // 2
    for masks in run.masks:
        assert not any(mask[: len(mask) // 2].any() for mask in masks.values())
    assert {n: int((w != 0).sum()) for n, w in body_weights(model).items()} == left(run.masks[3])
    assert any((run.masks[3][n] & ~run.masks[2][n]).any() for n in run.masks[3])


def test_zeros_that_nobody_meant_do_not_shut_a_gate():
    model = tiny_bert()
    with torch.no_grad():
        next(iter(body_weights(model).values()))[0] = 0
    assert all(mask.all() for mask in open_places(model, body_weights(model)).values())


def test_density_is_what_the_rounds_leave():
    assert config(rounds=2, prune=0.5).density == 0.25
    assert config(rounds=1, prune=0.9).density == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rounds": 0}, "rounds: input should be greater than or equal to 1"),
        ({"prune": 1.0}, "prune: input should be less than 1"),
        ({"rounds": 50}, r"50 rounds that each prune 0.2 leave the share 1e-05 of the weights"),
        ({"rewind": "none"}, "it is None with rewind: none"),
        ({"finetune_learning_rate": 0.1}, "it is 0.1 with rewind: weights"),
        (
            {"rewind": "learning_rate", "control": "random_mask"},
            "use it with rewind: weights, not with rewind: learning_rate",
        ),
    ],
)
def test_configs_that_make_no_sense_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        config(**values)


def test_before_any_round_there_is_nothing_to_cut():
    model, inputs = FAMILIES["bert"]()
    assert not len(make_method("lottery_ticket", {}).plan(model, Context(inputs)))


def test_empty_heads_and_neurons_leave():
    model, inputs = FAMILIES["bert"]()
    layer = model.bert.encoder.layer[0]
    with torch.no_grad():
        layer.intermediate.dense.weight[5:] = 0
        layer.intermediate.dense.bias[5:] = 0
        layer.output.dense.weight[:, 5:] = 0
        expected = model(**inputs).logits
    plan = make_method("lottery_ticket", {}).plan(model, Context(inputs))
    apply_plan(model, plan, inputs)
    assert layer.intermediate.dense.out_features == 5
    with torch.no_grad():
        assert torch.allclose(model(**inputs).logits, expected, atol=1e-5)


def test_new_weights_are_drawn_as_the_config_draws_them_but_not_with_the_seed_itself():
    model = tiny_bert(seed=5)
    own, state = weights(model), torch.get_rng_state()
    drawn = redrawn(model, own, seed=5)
    assert torch.equal(torch.get_rng_state(), state) and drawn.keys() == own.keys()
    again = redrawn(tiny_bert(seed=1), own, seed=5)
    assert all(torch.equal(drawn[name], again[name]) for name in own)
    for name in body_weights(model):
        assert not torch.isclose(drawn[name], own[name]).all()


def test_a_model_that_its_config_does_not_make_cannot_be_drawn():
    with pytest.raises(ConfigError, match="Chain is no transformers model"):
        redrawn(Chain(nn.Linear(2, 2)), {}, seed=0)
    model = tiny_bert()
    model.bert.encoder.layer[0].intermediate.dense = nn.Linear(32, 8)
    with pytest.raises(ConfigError, match=r"intermediate\.dense\.weight' is not of the shape"):
        redrawn(model, weights(model), seed=0)
