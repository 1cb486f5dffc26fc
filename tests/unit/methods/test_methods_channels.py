"""channels: what it cuts of real networks, under which budgets, and what its penalty does."""

import json

import pytest
import torch

from nlpcompress.axes import find_axes
from nlpcompress.bench import measure
from nlpcompress.core.method import Context
from nlpcompress.errors import ConfigError, PlanError
from nlpcompress.methods import make_method
from nlpcompress.methods.pruning.channels import ChannelsConfig
from nlpcompress.surgery import apply_plan
from nlpcompress.training import ChannelPruningTrainer
from tests.families import FAMILIES
from tests.unit.training.training_tiny import arguments

CRITERIA = ["taylor", "taylor_weight", "l1", "l2", "batch_norm", "hrank", "two_layer", "random"]
WHOLE = {"round_to": 1, "floor": 0.05}


def planned(family="resnet_basic", **config):
    """A model, its plan, its inputs."""
    model, inputs = FAMILIES[family]()
    batch = {**inputs, "labels": torch.tensor([0, 2])}
    ctx = Context(inputs, lambda: [batch], seed=config.pop("seed", 0))
    return model, make_method("channels", {**WHOLE, **config}).plan(model, ctx), inputs


def kept(plan):
    return {edit.axis: edit.indices for edit in plan}


@pytest.mark.parametrize("criterion", CRITERIA)
def test_every_criterion_meets_a_budget_of_multiplications(criterion):
    model, plan, inputs = planned(criterion=criterion, keep_macs=0.5)
    before = measure(model, inputs)
    apply_plan(model, plan, inputs)
    after = measure(model, inputs)
    assert 0.4 < after["macs"] / before["macs"] <= 0.5
    assert after["parameters"] < before["parameters"]


@pytest.mark.parametrize("family", ["resnet_bottleneck", "mobilenet_v1", "mobilenet_v2", "regnet"])
def test_every_family_meets_a_budget_of_parameters(family):
    model, plan, inputs = planned(family, criterion="l1", keep_parameters=0.3)
    before = measure(model, inputs)["parameters"]
    apply_plan(model, plan, inputs)
    assert 0.2 < measure(model, inputs)["parameters"] / before <= 0.3


def test_convnext_and_bert_lose_neurons_by_the_same_criteria():
    for family in ("convnext", "bert"):
        _, plan, _ = planned(family, criterion="l1", keep=0.5)
        assert plan and all("neurons" in axis for axis in kept(plan))
    with pytest.raises(PlanError, match="channels: no axis of this model has a score by hrank"):
        planned("bert", criterion="hrank")


def test_scales_are_ranked_over_the_whole_model_as_in_the_paper():
    """Slimming keeps the channels whose scale is above the percentile of all."""
    model, inputs = FAMILIES["mobilenet_v1"]()
    axes = find_axes(model, inputs).free("channels")
    norms = {}
    for axis in axes:
        names = {p.tensor for p in axis.slices if p.tensor.endswith("normalization.weight")}
        parameters = dict(model.named_parameters())
        norms[axis.name] = torch.stack([parameters[n].detach().abs() for n in names]).mean(0)
    every = torch.cat(list(norms.values()))
    threshold = every.sort().values[round(0.4 * len(every)) - 1]
    _, plan, _ = planned("mobilenet_v1", criterion="batch_norm", keep=0.6, floor=0.0)
    expected = {
        n: tuple((own > threshold).nonzero().flatten().tolist()) for n, own in norms.items()
    }
    sizes = {axis.name: axis.size for axis in axes}
    assert kept(plan) == {n: own for n, own in expected.items() if len(own) < sizes[n]}


def test_layers_keep_equal_shares_floors_and_multiples():
    model, plan, _ = planned(criterion="random", keep=0.5, per_layer=True)
    sizes = {axis.name: axis.size for axis in find_axes(model, FAMILIES["resnet_basic"]()[1])}
    assert {len(own) / sizes[name] for name, own in kept(plan).items()} == {0.5}
    _, plan, _ = planned(criterion="batch_norm", keep=0.1, floor=0.25, round_to=4)
    assert all(len(own) % 4 == 0 for own in kept(plan).values())
    assert all(len(own) >= 0.25 * sizes[name] for name, own in kept(plan).items())


def test_what_is_ignored_stays_whole():
    _, plan, _ = planned(criterion="l2", ignore=["stages.0.*", "embedder.channels"])
    assert plan and not any(axis.startswith(("stages.0.", "embedder")) for axis in kept(plan))
    with pytest.raises(PlanError, match=r"ignore names 'stages.9.\*', which is no axis"):
        planned(ignore=["stages.9.*"])


def test_chance_is_the_seeds():
    plans = [kept(planned(criterion="random", seed=seed)[1]) for seed in (0, 0, 1)]
    assert plans[0] == plans[1] != plans[2]


def test_later_rounds_score_without_what_went():
    once, thrice = (kept(planned(keep=0.3, rounds=n)[1]) for n in (1, 3))
    assert once != thrice
    assert sum(map(len, once.values())) == pytest.approx(sum(map(len, thrice.values())), abs=8)


def test_a_dry_run_needs_no_examples():
    model, inputs = FAMILIES["resnet_basic"]()
    config = {"criterion": "hrank", "keep_macs": 0.5, **WHOLE}
    plan = make_method("channels", config).plan(model, Context(inputs, sizes_only=True))
    before = measure(model, inputs)["macs"]
    apply_plan(model, plan, inputs)
    assert measure(model, inputs)["macs"] <= before / 2


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"keep": 0.5, "keep_macs": 0.5}, "keep and keep_macs are given; give one of them"),
        ({"rounds": 2, "criterion": "l1"}, "rounds go with the criterion taylor, not with l1"),
        ({"criterion": "l3"}, "'taylor', 'taylor_weight', 'l1'"),
        ({"keep": 0.0}, "greater than 0"),
    ],
)
def test_what_cannot_be_is_told(config, message):
    with pytest.raises(ConfigError, match=message):
        ChannelsConfig.parse(config)


def test_a_share_that_floors_do_not_allow_says_the_least():
    with pytest.raises(
        ConfigError, match=r"keep_macs is 0.05, but .* the least possible is 0\.\d+"
    ):
        planned(criterion="l1", keep_macs=0.05, floor=0.5)


class Pictures(torch.utils.data.Dataset):
    """Sixteen random pictures with labels."""

    def __len__(self):
        return 16

    def __getitem__(self, i):
        generator = torch.Generator().manual_seed(i)
        return {"pixel_values": torch.randn(3, 32, 32, generator=generator), "labels": i % 3}


def trainer(folder, **config):
    model, _ = FAMILIES["resnet_basic"]()
    values = {"max_steps": 3, "learning_rate": 0.0, "logging_steps": 1}
    args = arguments(folder, **values)
    return ChannelPruningTrainer(model, args, train_dataset=Pictures(), config=config)


def test_the_penalty_is_the_sum_of_scales_and_its_slope_their_sign(tmp_path):
    ours = trainer(tmp_path, criterion="batch_norm", penalty=0.01, **WHOLE)
    before = {n: p.detach().clone() for n, p in ours.model.named_parameters()}
    ours.train()
    scales = [p for n, p in before.items() if n.endswith("normalization.weight")]
    logs = [line["loss_magnitude"] for line in ours.state.log_history if "loss_magnitude" in line]
    assert logs[0] == pytest.approx(float(sum(s.abs().sum() for s in scales)), rel=1e-4)
    method = make_method("channels", {"criterion": "batch_norm", **WHOLE})
    inputs = FAMILIES["resnet_basic"]()[1]
    gates = method.prepare(ours.model, Context(inputs))
    (objective,) = gates.objectives()
    assert objective.weight == 1e-4
    named = {n: p for n, p in ours.model.named_parameters() if n.endswith("normalization.weight")}
    slopes = torch.autograd.grad(objective.loss(None), list(named.values()))
    for slope, scale in zip(slopes, named.values(), strict=True):
        assert torch.equal(slope, scale.sign())


def test_only_criteria_of_sparse_trainings_have_a_penalty():
    model, inputs = FAMILIES["resnet_basic"]()
    for criterion in CRITERIA:
        gates = make_method("channels", {"criterion": criterion}).prepare(model, Context(inputs))
        assert (gates is not None) == (criterion in ("batch_norm", "two_layer"))


def test_the_named_trainer_cuts_and_saves(tmp_path):
    ours = trainer(tmp_path, criterion="batch_norm", keep_macs=0.5, **WHOLE)
    ours.train()
    before = sum(p.numel() for p in ours.model.parameters())
    model = ours.compress()
    assert sum(p.numel() for p in model.parameters()) < before
    ours.save_model(str(tmp_path / "small"))
    config = json.loads((tmp_path / "small" / "config.json").read_text())
    assert config["quantization_config"]["structure"]["shapes"]
