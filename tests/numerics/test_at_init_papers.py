"""SNIP, GraSP and SynFlow against derivatives and path sums worked out in other ways."""

from itertools import pairwise, product
from types import SimpleNamespace

import pytest
import torch
import transformers as tf
from torch import nn
from torch.autograd.functional import hessian
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from nlpcompress.core.method import Context
from nlpcompress.methods import make_method
from nlpcompress.methods.pruning.at_init import decide, find_masks
from nlpcompress.models.weights import body_weights
from nlpcompress.scoring import grasp_scores, snip_scores, synflow_scores
from tests.chain import Chain


class Classifier(nn.Module):
    """Two layers with biases, in float64, that answer as transformers' models do."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 3)).double()

    def forward(self, x, labels):
        logits = self.layers(x)
        return SimpleNamespace(loss=cross_entropy(logits, labels), logits=logits)

    @property
    def weights(self):
        return {n: p.detach() for n, p in self.named_parameters() if n.endswith("weight")}


def two_batches():
    """Of 5 and 2 examples, whose means do not weigh alike."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(7, 4, generator=generator, dtype=torch.float64)
    labels = torch.tensor([0, 1, 2, 2, 1, 0, 2])
    return [{"x": x[:5], "labels": labels[:5]}, {"x": x[5:], "labels": labels[5:]}]


def whole(batches):
    return {key: torch.cat([batch[key] for batch in batches]) for key in batches[0]}


def scaled_by(model, name, place, factor):
    """The weights, one of them times `factor`."""
    weights = {key: value.clone() for key, value in model.weights.items()}
    weights[name].view(-1)[place] *= factor
    return weights


def slope(function, step=1e-5):
    return float((function(1 + step) - function(1 - step)).detach()) / (2 * step)


def places(model):
    return [(name, i) for name, w in model.weights.items() for i in range(w.numel())]


def test_snip_is_the_slope_of_the_mean_loss_by_a_factor_on_each_weight():
    model, batches = Classifier(), two_batches()
    scores = snip_scores(model, model.weights, batches)
    everything = whole(batches)
    for name, place in places(model):

        def loss(factor, name=name, place=place):
            weights = scaled_by(model, name, place, factor)
            return functional_call(model, weights, (), everything).loss

        assert float(scores[name].view(-1)[place]) == pytest.approx(abs(slope(loss)), abs=1e-9)
    assert all((score > 1e-6).all() for score in scores.values())


def loss_at(model, temperature):
    """Vector of all weights → mean loss over all examples, and the weights as that vector."""
    names, batch = list(model.weights), whole(two_batches())
    sizes = [model.weights[name].numel() for name in names]

    def loss(vector):
        parts = zip(names, vector.split(sizes), strict=True)
        weights = {name: part.view_as(model.weights[name]) for name, part in parts}
        logits = functional_call(model, weights, (), batch).logits
        return cross_entropy(logits / temperature, batch["labels"])

    return loss, torch.cat([model.weights[name].reshape(-1) for name in names])


@pytest.mark.parametrize("temperature", [1.0, 2.5, 200.0])
def test_grasp_is_the_weight_times_the_hessian_times_the_gradient(temperature):
    model = Classifier()
    loss, vector = loss_at(model, temperature)
    gradient = torch.autograd.functional.jacobian(loss, vector)
    expected = vector * (hessian(loss, vector) @ gradient)
    scores = grasp_scores(model, model.weights, two_batches(), temperature=temperature)
    actual = torch.cat([score.reshape(-1) for score in scores.values()])
    assert torch.allclose(actual, expected, rtol=1e-9, atol=float(expected.abs().max()) * 1e-12)
    assert (expected > 0).any() and (expected < 0).any()


def test_grasp_is_large_where_less_of_the_weight_means_a_smaller_gradient():
    """The convention, without a Hessian: the slope of half the gradient's squared norm."""
    model = Classifier()
    scores = grasp_scores(model, model.weights, two_batches(), temperature=1.0)
    loss, vector = loss_at(model, 1.0)

    def flow(factor, position):
        moved = vector.clone()
        moved[position] *= factor
        return torch.autograd.functional.jacobian(loss, moved).square().sum() / 2

    actual = torch.cat([score.reshape(-1) for score in scores.values()])
    expected = [slope(lambda c, p=p: flow(c, p)) for p in range(len(vector))]
    assert torch.allclose(actual, torch.tensor(expected).double(), rtol=1e-6, atol=1e-9)


SIZES = (3, 4, 2, 5)


def linear_chain():
    torch.manual_seed(0)
    layers = [nn.Linear(a, b, bias=False) for a, b in pairwise(SIZES)]
    return Chain(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])


def chain_scores():
    model = linear_chain()
    weights = {f"{i}.weight": model[i].weight.detach() for i in (0, 2, 4)}
    assert all((w < 0).any() for w in weights.values())
    scores = synflow_scores(model, weights, {"values": torch.randn(2, SIZES[0])})
    return list(weights.values()), list(scores.values())


def test_synflow_is_the_sum_over_all_paths_through_the_weight():
    weights, scores = chain_scores()
    expected = [torch.zeros_like(weight, dtype=torch.float64) for weight in weights]
    for units in product(*map(range, SIZES)):
        path = [(units[i + 1], units[i]) for i in range(3)]
        size = 1.0
        for weight, place in zip(weights, path, strict=True):
            size *= abs(float(weight[place]))
        for total, place in zip(expected, path, strict=True):
            total[place] += size
    for score, total in zip(scores, expected, strict=True):
        assert torch.allclose(score, total, rtol=1e-6)


def test_what_flows_into_a_unit_flows_out_of_it_and_all_layers_carry_the_same():
    _, scores = chain_scores()
    for before, after in pairwise(scores):
        assert torch.allclose(before.sum(1), after.sum(0), rtol=1e-12)
    totals = torch.stack([score.sum() for score in scores])
    assert torch.allclose(totals, totals[0].expand(3), rtol=1e-12) and float(totals[0]) > 0


def test_conservation_holds_through_convolutions_and_fresh_batch_norms():
    torch.manual_seed(0)
    model = Chain(
        nn.Conv2d(3, 4, 3, padding=1, bias=False),
        nn.BatchNorm2d(4, eps=0.0),
        nn.ReLU(),
        nn.Conv2d(4, 5, 3, stride=2, bias=False),
    )
    weights = {f"{i}.weight": model[i].weight.detach() for i in (0, 3)}
    first, second = synflow_scores(model, weights, {"values": torch.randn(2, 3, 8, 8)}).values()
    assert torch.allclose(first.sum((1, 2, 3)), second.sum((0, 2, 3)), rtol=1e-12)


@pytest.fixture(scope="module")
def narrow_and_wide():
    """27 convolutions in a chain: 72 weights in the narrowest, 65 536 in the widest."""
    config = tf.MobileNetV1Config(image_size=32, depth_multiplier=0.25, num_labels=10)
    torch.manual_seed(0)
    model = tf.MobileNetV1ForImageClassification(config).eval()
    return model, Context({"pixel_values": torch.randn(1, 3, 8, 8)})


def empty_layers(narrow_and_wide, **config):
    """How many of the layers lose everything at a thousandth of the weights, no floor."""
    model, ctx = narrow_and_wide
    total = sum(weight.numel() for weight in body_weights(model).values())
    method = make_method("at_init", {"keep": 1e-3, "min_per_layer": 0, **config})
    left = [int(mask.sum()) for mask in find_masks(model, ctx, method.config).values()]
    assert len(left) == 27 and sum(left) == round(1e-3 * total)
    return left.count(0)


def test_a_hundred_rounds_of_synflow_empty_no_layer_where_others_do(narrow_and_wide):
    assert empty_layers(narrow_and_wide, criterion="synflow") == 0
    assert empty_layers(narrow_and_wide, criterion="synflow", steps=1) > 0
    assert empty_layers(narrow_and_wide, criterion="magnitude") > 0
    assert empty_layers(narrow_and_wide, criterion="random") > 0


def test_later_rounds_score_the_model_as_earlier_ones_left_it():
    """Three rounds by hand; a round that forgot the masks would choose as one round does."""
    model = linear_chain()
    weights = {f"{i}.weight": model[i].weight.detach() for i in (0, 2, 4)}
    ctx = Context({"values": torch.ones(1, SIZES[0])})
    total = sum(weight.numel() for weight in weights.values())
    alive = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in weights.items()}
    for k in (1, 2, 3):
        left = {name: weight * alive[name] for name, weight in weights.items()}
        scores = synflow_scores(model, left, ctx.example_inputs)
        flat = torch.cat([scores[name][alive[name]] for name in weights])
        bar = flat.sort(descending=True).values[round(total * 0.2 ** (k / 3)) - 1]
        alive = {name: alive[name] & (scores[name] >= bar) for name in weights}
    config = {"keep": 0.2, "steps": 3, "min_per_layer": 0}
    masks = find_masks(model, ctx, make_method("at_init", config).config)
    assert masks.keys() == alive.keys()
    assert all(torch.equal(masks[name], alive[name]) for name in masks)
    once = find_masks(model, ctx, make_method("at_init", config | {"steps": 1}).config)
    assert any(not torch.equal(masks[name], once[name]) for name in masks)


@pytest.mark.parametrize(
    ("floor", "count"),
    [(0, 1), (0, 33), (0, 119), (0, 120), (1, 3), (1, 7), (1, 60), (5, 14), (5, 33), (5, 120)],
)
def test_exactly_the_asked_number_stays_whatever_the_floor_adds(count, floor):
    generator = torch.Generator().manual_seed(2)
    scores = {
        "large": torch.rand(10, 10, generator=generator) + 5,
        "small": torch.rand(4, 4, generator=generator),
        "equal": torch.full((4,), 0.5),
    }
    masks = decide(scores, count=count, min_per_layer=floor)
    assert sum(int(mask.sum()) for mask in masks.values()) == count
    for name, mask in masks.items():
        assert int(mask.sum()) >= min(floor, mask.numel())
        if 0 < int(mask.sum()) < mask.numel():
            assert scores[name][mask].min() >= scores[name][~mask].max()
