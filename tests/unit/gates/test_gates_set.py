"""Gates on a model: how they lie over tensors, and that nothing of them stays."""

import copy

import pytest
import torch
from torch import nn

from nlpcompress import find_axes
from nlpcompress.axes import Slice
from nlpcompress.core.method import Progress
from nlpcompress.errors import ConfigError
from nlpcompress.gates import CubicSchedule, Gate, GatePlaces, GateSet, ScheduledGates, ScoreGate
from nlpcompress.gates import keep_share as share
from nlpcompress.gates.attach import original
from nlpcompress.gates.cover import over_block_rows, over_blocks, over_positions, over_weights
from tests.chain import Chain
from tests.families import FAMILIES

NOW = Progress(step=5, total=10, warmup=0)


def pair():
    torch.manual_seed(0)
    return Chain(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))


def test_blocks_are_rows_times_columns():
    matrix = torch.ones(4, 6)
    gate = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    product = over_blocks("w", matrix.shape, (2, 2)).times(matrix, gate)
    assert torch.equal(product, gate.repeat_interleave(2, 0).repeat_interleave(2, 1))


def test_positions_of_a_fused_projection_repeat_for_queries_keys_and_values():
    matrix = torch.ones(3 * 2 * 2, 5)
    cover = over_positions(Slice("w", 0, 3, 2), matrix.shape, 2)
    kept = cover.times(matrix, torch.tensor([0.0, 1.0]))[:, 0]
    assert kept.tolist() == [0, 0, 1, 1] * 3


def test_the_mean_under_a_gate_value():
    matrix = torch.arange(8.0).reshape(2, 4)
    assert over_blocks("w", matrix.shape, (2, 2)).mean(matrix).flatten().tolist() == [2.5, 4.5]
    assert torch.equal(over_weights("w", matrix.shape).mean(matrix), matrix)


@pytest.mark.parametrize(
    ("shape", "block"), [((6, 4), (4, 4)), ((4, 6), (2, 4)), ((2, 2, 3), (1, 1))]
)
def test_blocks_that_do_not_tile_are_refused(shape, block):
    with pytest.raises(ConfigError, match=r"do not tile 'w' of .*choose divisors"):
        over_blocks("w", shape, block)


def test_half_weights_stay_half():
    matrix = torch.ones(2, 2, dtype=torch.float16)
    assert over_weights("w", (2, 2)).times(matrix, torch.ones(2, 2)).dtype == torch.float16


def test_an_open_gate_set_changes_nothing_and_leaves_no_trace():
    model = pair()
    before, inputs = copy.deepcopy(model.state_dict()), torch.randn(3, 4)
    parameters, answer = dict(model.named_parameters()), model(inputs)
    gates = GateSet(model, [ScoreGate(GatePlaces("w", (over_weights("0.weight", (6, 4)),)))])
    assert torch.equal(model(inputs), answer)
    gates.close()
    assert type(model[0]) is nn.Linear and list(model.state_dict()) == list(before)
    assert all(torch.equal(model.state_dict()[name], before[name]) for name in before)
    assert all(dict(model.named_parameters())[name] is p for name, p in parameters.items())


def test_closing_writes_the_mask_into_the_weights_without_negative_zeros():
    model = pair()
    weight = model[0].weight.detach().clone()
    gate = Gate(GatePlaces("w", (over_weights("0.weight", (6, 4)),)))
    gates = GateSet(model, [gate])
    gate.mask.copy_(torch.rand(6, 4) > 0.5)
    mask = gate.mask.clone()
    gates.close()
    assert torch.equal(model[0].weight, weight * mask)
    assert not torch.signbit(model[0].weight[~mask]).any()


def test_a_shared_gate_shuts_a_neuron_in_all_its_tensors():
    model = pair()
    covers = (
        over_positions(Slice("0.weight", 0, 1, 1), (6, 4), 6),
        over_positions(Slice("0.bias", 0, 1, 1), (6,), 6),
        over_positions(Slice("2.weight", 1, 1, 1), (2, 6), 6),
    )
    gate = ScoreGate(GatePlaces("dense", covers))
    gates = GateSet(model, [gate])
    gate.mask[2] = False
    gates.close()
    assert not model[0].weight[2].any() and not model[0].bias[2] and not model[2].weight[:, 2].any()
    assert bool(model[0].weight[1].all())


def test_a_bias_goes_with_an_empty_row_of_blocks():
    model = pair()
    place = GatePlaces(
        "w", (over_blocks("0.weight", (6, 4), (2, 2)),), (over_block_rows("0.bias", 6, 2),)
    )
    gate = ScoreGate(place)
    gates = GateSet(model, [gate])
    gate.mask.copy_(torch.tensor([[True, False], [False, False], [True, True]]))
    gates.close()
    assert [bool(b) for b in model[0].bias != 0] == [True, True, False, False, True, True]


def test_shared_gates_are_saved_once():
    model, inputs = FAMILIES["bert"]()
    axis = find_axes(model, inputs)["layers.0.neurons"]
    tensors = dict(model.named_parameters())
    covers = tuple(over_positions(s, tensors[s.tensor].shape, axis.size) for s in axis.slices)
    GateSet(model, [ScoreGate(GatePlaces("dense", covers))])
    scores = [name for name in model.state_dict() if name.endswith("scores")]
    assert scores == ["compression_gates.gates.0.scores"]


def test_magnitudes_are_those_of_the_weights_below():
    model = pair()
    gate = Gate(GatePlaces("w", (over_weights("0.weight", (6, 4)),)))
    gates = ScheduledGates(model, [gate], schedule=CubicSchedule(0.25, 0.25), rule=share)
    gates.advance(NOW)
    weight = original(model, "0.weight")
    assert torch.equal(gate.mask, weight.abs() >= weight.abs().flatten().sort().values[-6])


def test_the_penalty_is_a_mean_over_kinds_of_means_over_gates():
    model = pair()
    places = [
        GatePlaces("attention", (over_weights("0.weight", (6, 4)),)),
        GatePlaces("dense", (over_weights("2.weight", (2, 6)),)),
        GatePlaces("dense", (over_weights("2.bias", (2,)),)),
    ]
    gates = GateSet(
        model,
        [ScoreGate(place, score=float(i)) for i, place in enumerate(places)],
        penalty=lambda gate: gate.scores.mean(),
        weight=3.0,
    )
    (objective,) = gates.objectives()
    assert objective.name == "sparsity" and objective.weight == 3.0
    assert objective.loss(None).item() == pytest.approx((0 + (1 + 2) / 2) / 2)


def test_the_penalty_grows_with_the_schedule():
    model = pair()
    gates = ScheduledGates(
        model,
        [ScoreGate(GatePlaces("w", (over_weights("0.weight", (6, 4)),)), score=1.0)],
        schedule=CubicSchedule(0.0, 0.5, 0, 0),
        rule=share,
        penalty=lambda gate: gate.scores.mean(),
        weight=1.0,
    )
    gates.advance(NOW)
    assert gates.objectives()[0].loss(None).item() == pytest.approx(1 - 0.5**3)


def test_frozen_parameters_train_again_afterwards():
    model = pair()
    model[2].bias.requires_grad_(False)
    gates = GateSet(model, [], frozen=[model[0].bias, model[2].bias])
    assert not model[0].bias.requires_grad
    gates.close()
    assert model[0].bias.requires_grad and not model[2].bias.requires_grad


def test_two_gate_sets_are_refused():
    model = pair()
    GateSet(model, [])
    with pytest.raises(ConfigError, match="has gates already"):
        GateSet(model, [])
