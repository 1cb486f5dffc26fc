"""Q-BERT (Shen et al. 2020) and learned steps (Esser et al. 2020), against their formulas."""

from itertools import product

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification

from nlpcompress.core.method import Progress
from nlpcompress.errors import ConfigError
from nlpcompress.gates.fake_quant import FakeQuant, LearnedFakeQuant, MovingFakeQuant
from nlpcompress.gates.fake_quant_set import FakeQuantSet, Rounded
from nlpcompress.methods.quantization.budgets import decide, least_megabytes, least_share
from nlpcompress.methods.quantization.config import HessianMixedConfig
from nlpcompress.methods.quantization.places import Place, scheme_of, stored_bits
from nlpcompress.models.grid import Scheme
from nlpcompress.models.weights import body_weights
from nlpcompress.search import Choice, megabytes_to_bits

SCHEME = Scheme(4, 6, 3, 2, 3, False)


def matrix(seed=0):
    return torch.randn(4, 6, generator=torch.Generator().manual_seed(seed))


def group(values, below, beside):
    return values[2 * below : 2 * below + 2, 3 * beside : 3 * beside + 3]


def test_gradients_pass_the_rounding_as_they_are():
    weight = matrix().requires_grad_()
    wanted = matrix(1)
    (FakeQuant(weight, SCHEME, "min_max")(weight) * wanted).sum().backward()
    assert torch.equal(weight.grad, wanted)


def test_the_gradient_of_a_learned_step_is_that_of_esser():
    """Equation 3: -v/s + round(v/s) inside, the end's code beyond; times 1/√(N · levels)."""
    weight, wanted = matrix(), matrix(1)
    quantizer = LearnedFakeQuant(weight, SCHEME, "min_max")
    with torch.no_grad():
        quantizer.scale.mul_(0.6)  # so that some weights lie beyond the ends
        quantizer.scale.copy_(quantizer.scale.half().float())
    weight.requires_grad_()
    (quantizer(weight) * wanted).sum().backward()
    beyond = 0
    for below in range(2):
        for beside in range(2):
            step, zero = (float(t[below, beside]) for t in quantizer.grid)
            values = group(weight.detach(), below, beside).double().numpy()
            ratio = values / step
            outside = (ratio + zero < 0) | (ratio + zero > 7)
            inside = np.round(ratio) - ratio
            ends = np.clip(ratio + zero, 0, 7) - zero
            slope = np.where(outside, ends, inside)
            share = group(wanted, below, beside).double().numpy()
            expected = (slope * share).sum() / np.sqrt(6 * 7)
            assert float(quantizer.scale.grad[below, beside]) == pytest.approx(expected, rel=1e-4)
            found = group(weight.grad, below, beside).numpy()
            np.testing.assert_allclose(found, np.where(outside, 0, share), rtol=1e-5)
            beyond += outside.sum()
    assert beyond > 2


def ends_of(weight):
    """The least and greatest value of each group, `(2, 2)` each."""
    parts = [group(weight.detach(), i, j) for i in range(2) for j in range(2)]
    return [
        torch.stack([end(part) for part in parts]).view(2, 2) for end in (torch.amin, torch.amax)
    ]


def test_ranges_are_moving_averages_once_a_step_and_never_in_an_evaluation():
    module = torch.nn.Linear(6, 4, bias=False)
    low, high = ends_of(module.weight)
    quantizer = MovingFakeQuant(module.weight, SCHEME, "min_max", momentum=0.75)
    gates = FakeQuantSet(torch.nn.Sequential(module), [Rounded(quantizer, ("0",))])
    for step in range(5):
        weight = matrix(step) * (1 + step)
        with torch.no_grad():
            module.parametrizations.weight.original.copy_(weight)
        for _ in range(1 + step % 3):  # an evaluation in between asks again
            gates.advance(Progress(step, 5, 0))
        low, high = (
            0.75 * old + 0.25 * new for old, new in zip((low, high), ends_of(weight), strict=True)
        )
        torch.testing.assert_close(quantizer.low, low)
        torch.testing.assert_close(quantizer.high, high)
        scale = (high.clamp(min=0) - low.clamp(max=0)) / 7
        torch.testing.assert_close(quantizer.scale, scale, rtol=1e-3, atol=0)


@pytest.mark.parametrize(
    ("rows", "groups", "found"),
    [(768, 128, 128), (3072, 128, 128), (768, 12, 12), (768, 1, 1), (312, 128, 104), (7, 4, 1)],
)
def test_a_matrix_has_as_many_groups_of_whole_rows_as_divide_it(rows, groups, found):
    place = Place("x.weight", ("x",), rows, 64, False)
    assert scheme_of(place, 4, groups=groups, group_size=-1, sym=False).groups == (found, 1)


@pytest.mark.parametrize(("bits", "size"), [(8, 81.2), (4, 40.6), (3, 30.5), (2, 20.4)])
def test_sizes_of_the_paper(bits, size):
    """Table 1, in MiB without embeddings; ours have the scales besides, and no biases and norms."""
    with torch.device("meta"):
        model = BertForSequenceClassification(BertConfig())
    body = [
        Place(name, (name,), *weight.shape, False) for name, weight in body_weights(model).items()
    ]
    schemes = [scheme_of(p, bits, groups=128, group_size=-1, sym=False) for p in body]
    total = sum(map(stored_bits, schemes)) / 8 / 2**20
    assert total == pytest.approx(size, rel=1e-2)


SENSITIVITY = {"layers.0": 0.5, "layers.1": 7.0, "layers.2": 1.0, "layers.3": 3.0}


def costs():
    return {
        name: [Choice(bits, bits * 100, 2.0 ** (-2 * bits)) for bits in (2, 3, 4)]
        for name in SENSITIVITY
    }


def test_the_less_sensitive_half_gets_the_fewer_bits_and_the_control_the_reverse():
    config = HessianMixedConfig(bits=(2, 3))
    assert decide(config, SENSITIVITY, {}, 400) == {
        "layers.0": 2, "layers.1": 3, "layers.2": 2, "layers.3": 3,
    }  # fmt: skip
    config = HessianMixedConfig(bits=(2, 3), order="reversed")
    assert decide(config, SENSITIVITY, {}, 400) == {
        "layers.0": 3, "layers.1": 2, "layers.2": 3, "layers.3": 2,
    }  # fmt: skip


def test_a_budget_is_spent_where_it_saves_most_of_the_loss():
    config = HessianMixedConfig(bits=(2, 3, 4), effective_bits=3)
    found = decide(config, SENSITIVITY, costs(), 400)
    assert sum(found.values()) <= 12
    assert found["layers.1"] == 4 and found["layers.0"] == 2


def uneven(seed):
    """Costs and sensitivities of blocks of several sizes."""
    numbers = np.random.default_rng(seed)
    sizes = {f"layers.{i}": int(n) for i, n in enumerate(numbers.integers(100, 999, 5))}
    costs = {
        name: [Choice(b, b * n + 16, n * 4.0**-b * numbers.uniform(0.5, 1)) for b in (2, 3, 4)]
        for name, n in sizes.items()
    }
    return dict(zip(sizes, map(float, numbers.lognormal(size=5)), strict=True)), costs


def every_way(sensitivity, costs):
    """(size, loss, bits) of each of the 3^5 ways to deal out the bits."""
    for choices in product(*costs.values()):
        loss = sum(c.loss * sensitivity[name] for name, c in zip(costs, choices, strict=True))
        yield sum(c.size for c in choices), loss, tuple(c.bits for c in choices)


@pytest.mark.parametrize("seed", range(4))
def test_megabytes_are_spent_on_the_least_loss(seed):
    sensitivity, costs = uneven(seed)
    ways = list(every_way(sensitivity, costs))
    bits = int(np.median([size for size, *_ in ways]))
    config = HessianMixedConfig(bits=(2, 3, 4), megabytes=bits / 8e6)
    best = min((way for way in ways if way[0] <= bits), key=lambda way: way[1])
    assert tuple(decide(config, sensitivity, costs, 1).values()) == best[2]


@pytest.mark.parametrize("share", [0.1, 0.3, 0.7, 1.0])
def test_a_share_of_the_loss_is_met_in_the_least_size(share):
    sensitivity, costs = uneven(7)
    ways = list(every_way(sensitivity, costs))
    (most,) = (loss for _, loss, bits in ways if set(bits) == {2})
    config = HessianMixedConfig(bits=(2, 3, 4), max_loss_share=share)
    best = min(way for way in ways if way[1] <= share * most * (1 + 1e-12))
    assert tuple(decide(config, sensitivity, costs, 1).values()) == best[2]
    assert (share == 1) == (set(best[2]) == {2})


@pytest.mark.parametrize("order", ["sensitivity", "reversed"])
@pytest.mark.parametrize("budget", ["megabytes", "max_loss_share"])
def test_floors_are_met_and_the_rest_is_the_best_that_they_leave(budget, order):
    sensitivity, costs = uneven(3)
    floors = {"layers.[34]": 3, "layers.4": 4}
    allowed = [w for w in every_way(sensitivity, costs) if w[2][3] >= 3 and w[2][4] == 4]
    size = int(np.median([size for size, *_ in allowed]))
    amount = size / 8e6 if budget == "megabytes" else 0.5
    config = HessianMixedConfig(bits=(2, 3, 4), floors=floors, order=order, **{budget: amount})
    found = tuple(decide(config, sensitivity, costs, 1).values())
    assert found in {bits for _, _, bits in allowed}
    free = decide(config.model_copy(update={"floors": {}}), sensitivity, costs, 1)
    assert order == "reversed" or tuple(free.values()) != found
    if order == "sensitivity" and budget == "megabytes":
        assert found == min((w for w in allowed if w[0] <= size), key=lambda way: way[1])[2]


def test_a_floor_of_no_block_is_told():
    sensitivity, costs = uneven(3)
    config = HessianMixedConfig(bits=(2, 4), effective_bits=3, floors={"layer.0": 4})
    with pytest.raises(ConfigError, match=r"'layer\.0' matches no block; did you mean 'layers\.0'"):
        decide(config, sensitivity, costs, 1)


def test_the_control_of_a_share_takes_no_more_room_and_loses_more():
    sensitivity, costs = uneven(7)
    sizes = {bits: (size, loss) for size, loss, bits in every_way(sensitivity, costs)}
    ends = []
    for order in ("sensitivity", "reversed"):
        config = HessianMixedConfig(bits=(2, 3, 4), max_loss_share=0.3, order=order)
        ends.append(sizes[tuple(decide(config, sensitivity, costs, 1).values())])
    assert ends[1][0] <= ends[0][0] and ends[1][1] > 1.2 * ends[0][1]


@pytest.mark.parametrize("seed", range(4))
def test_the_least_that_errors_tell_can_be_met_and_hardly_less(seed):
    sensitivity, costs = uneven(seed)
    least = least_megabytes(costs)
    for key, value, less in (
        ("megabytes", least, least - 1e-6),
        ("max_loss_share", least_share(costs), 0.998 * least_share(costs)),
    ):
        alike = dict.fromkeys(sensitivity, 1.0)
        config = HessianMixedConfig(bits=(2, 3, 4), **{key: value})
        found = set(decide(config, alike, costs, 1).values())
        assert found == ({2} if key == "megabytes" else {4})
        message = rf"{key} is {less}, but the least possible is {value}; raise {key}"
        with pytest.raises(ConfigError, match=message):
            decide(config.model_copy(update={key: less}), alike, costs, 1)
    assert 0 <= 8e6 * least - sum(own[0].size for own in costs.values()) < 8
    assert megabytes_to_bits(least) >= sum(own[0].size for own in costs.values())


def test_where_nothing_is_lost_a_share_of_it_takes_the_fewest_bits():
    sensitivity, costs = uneven(0)
    config = HessianMixedConfig(bits=(2, 3, 4), max_loss_share=0.01)
    assert set(decide(config, dict.fromkeys(sensitivity, 0.0), costs, 1).values()) == {2}
