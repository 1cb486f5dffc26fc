"""Criteria for channels, each against a derivation by other means."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call

from nlpcompress.axes import find_axes
from nlpcompress.axes.export import export_graph
from nlpcompress.bench.macs import count_macs
from nlpcompress.errors import DataError
from nlpcompress.scoring import (
    map_rank_scores,
    scale_scores,
    taylor_weight_scores,
    two_layer_scores,
    weight_uses,
)
from tests.families import FAMILIES


def resnet(family="resnet_basic"):
    """A model, its inputs, and its channels."""
    model, inputs = FAMILIES[family]()
    return model.eval(), inputs, find_axes(model, inputs).free("channels")


def labelled(inputs):
    return {**inputs, "labels": torch.tensor([0, 2])}


def test_scales_are_those_of_the_norms_and_their_mean_where_several_meet():
    model, _, axes = resnet()
    scores = scale_scores(model, axes)
    layer = model.resnet.encoder.stages[0].layers[0].layer[0].normalization
    assert torch.equal(scores["stages.0.layers.0.channels"], layer.weight.detach().abs())
    stage = model.resnet.encoder.stages[0]
    meeting = [
        stage.layers[0].shortcut.normalization,
        stage.layers[0].layer[1].normalization,
        stage.layers[1].layer[1].normalization,
    ]
    expected = sum(norm.weight.detach().abs() for norm in meeting) / 3
    assert torch.allclose(scores["stages.0.channels"], expected)


class Maps(nn.Module):
    """Passes its input on to the filters that read it."""

    def __init__(self):
        super().__init__()
        self.maker = nn.Conv2d(3, 3, 1, groups=1, bias=False)
        self.reader = nn.Conv2d(3, 2, 1)
        with torch.no_grad():
            self.maker.weight.copy_(torch.eye(3)[:, :, None, None])

    def forward(self, pixel_values):
        return (self.reader(self.maker(pixel_values).relu()),)


def test_ranks_are_those_of_each_map():
    generator = torch.Generator().manual_seed(0)
    maps = torch.rand(4, 3, 6, 5, generator=generator)
    maps[:, 1] = maps[:, 1, :, :1] @ maps[:, 1, :1]  # one row times one column
    maps[:2, 2] = 0
    model, inputs = Maps(), {"pixel_values": maps}
    (axis,) = (a for a in find_axes(model, inputs) if a.name.endswith("channels") and a.size == 3)
    scores = map_rank_scores(
        model, [axis], [{"pixel_values": maps[:3]}, {"pixel_values": maps[3:]}]
    )
    assert scores[axis.name].tolist() == [5.0, 1.0, 2.5]
    with pytest.raises(DataError, match="no batches to see feature maps of"):
        map_rank_scores(model, [axis], [])


def test_ranks_on_a_real_network_are_numpys_of_what_the_reader_gets():
    model, inputs, axes = resnet()
    (axis,) = (axis for axis in axes if axis.name == "stages.0.layers.0.channels")
    seen = []
    reader = model.get_submodule(axis.taps[0].module)
    handle = reader.register_forward_pre_hook(lambda _, args: seen.append(args[0].numpy()))
    with torch.no_grad():
        model(**inputs)
    handle.remove()
    expected = np.linalg.matrix_rank(seen[0]).mean(0)
    found = map_rank_scores(model, [axis], [inputs])[axis.name]
    assert np.allclose(found.numpy(), expected) and len(set(expected.tolist())) > 1


def test_two_layers_count_large_weights_of_maker_and_reader():
    model, inputs = Maps(), {"pixel_values": torch.rand(2, 3, 4, 4)}
    with torch.no_grad():
        model.reader.weight.copy_(torch.tensor([[9.0, 0, 0], [9.0, 9.0, 0]])[:, :, None, None])
    (axis,) = (a for a in find_axes(model, inputs) if a.name.endswith("channels") and a.size == 3)
    scores = two_layer_scores(model, [axis])[axis.name]
    assert torch.allclose(scores, torch.tensor([1 / 3, 1 / 6, 0]))
    assert float(two_layer_scores(model, [axis], threshold=4.0)[axis.name].sum()) == 0


def test_weights_score_by_the_squared_slope_along_themselves():
    """Each tensor's part is scaled by s: the slope of the loss by s at 1, squared, added up."""
    model, inputs, axes = resnet()
    batch = labelled(inputs)
    scores = taylor_weight_scores(model, axes[:3], [batch, batch])
    for axis in axes[:3]:
        parameters = dict(model.named_parameters())
        own = [part for part in axis.slices if part.tensor in parameters]
        expected = torch.zeros(axis.size)
        for part in own:
            scale = torch.ones(axis.size, requires_grad=True)
            weight = parameters[part.tensor].detach()
            shape = [axis.size if d == part.dim else 1 for d in range(weight.dim())]
            scaled = {part.tensor: weight * scale.view(shape)}
            loss = functional_call(model, scaled, (), batch).loss
            expected += torch.autograd.grad(loss, scale)[0].square()
        assert torch.allclose(scores[axis.name], expected, rtol=1e-4)
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    with pytest.raises(DataError, match="the model returned no loss for a batch of pixel_values"):
        taylor_weight_scores(model, axes[:1], [inputs])


@pytest.mark.parametrize("family", ["resnet_bottleneck", "mobilenet_v2", "regnet", "convnext"])
def test_uses_of_weights_add_up_to_the_multiplications_of_the_graph(family):
    model, inputs = FAMILIES[family]()
    sizes = {name: weight.numel() for name, weight in model.named_parameters()}
    uses = weight_uses(model, inputs)
    one = {"pixel_values": inputs["pixel_values"][:1]}
    total = sum(sizes[name] * count for name, count in uses.items())
    assert total == count_macs(export_graph(model, one))
