"""Cuts of channels against Torch-Pruning, which finds what goes together in another way."""

import copy

import pytest
import torch

from nlpcompress.axes import find_axes
from nlpcompress.surgery import apply_plan
from tests.families import FAMILIES

tp = pytest.importorskip("torch_pruning")  # of the extra dev


@pytest.mark.parametrize("family", ["resnet_bottleneck", "mobilenet_v2"])
def test_every_channel_axis_is_cut_alike(family):
    model, inputs = FAMILIES[family]()
    axes = find_axes(model.eval(), inputs).free("channels")
    assert len(axes) > 8
    for axis in axes:
        going = [0, axis.size // 2]
        ours, theirs = copy.deepcopy(model), copy.deepcopy(model)
        kept = [i for i in range(axis.size) if i not in going]
        apply_plan(ours, [{"op": "keep", "axis": axis.name, "indices": kept}], inputs)
        prune(theirs, maker_of(model, axis), going, inputs)
        assert sizes(ours) == sizes(theirs)
        with torch.no_grad():
            difference = ours(**inputs).logits - theirs(**inputs).logits
        assert float(difference.abs().max()) < 1e-6


def maker_of(model, axis):
    """Path of a convolution that makes the axis with its filters."""
    paths = (part.tensor.removesuffix(".weight") for part in axis.slices if part.dim == 0)
    return next(p for p in paths if isinstance(model.get_submodule(p), torch.nn.Conv2d))


def prune(model, path, going, inputs):
    """As its users do: trace, ask for the group of a layer, cut."""
    graph = tp.DependencyGraph().build_dependency(model, example_inputs=inputs["pixel_values"])
    layer = model.get_submodule(path)
    cut = tp.prune_conv_out_channels
    if layer.groups > 1 and layer.groups == layer.out_channels:
        cut = tp.prune_depthwise_conv_out_channels
    graph.get_pruning_group(layer, cut, idxs=going).prune()


def sizes(model):
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
