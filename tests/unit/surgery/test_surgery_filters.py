"""The edits tucker_conv and cp_conv: chains that compute what their product would, of any shape."""

import pytest
import torch
from torch import nn

from nlpcompress.axes import find_axes
from nlpcompress.errors import PlanError
from nlpcompress.models.filters import chain_of, chains
from nlpcompress.surgery import apply_plan
from tests.families import FAMILIES

VISION = ("resnet_basic", "resnet_bottleneck", "mobilenet_v1", "mobilenet_v2", "regnet", "vit")
RECORDS = [{"svd": 3}, {"tucker": [3, 2]}, {"cp": 5}]
SHAPES = [
    {},
    {"stride": 2, "padding": 1},
    {"stride": (2, 1), "padding": (2, 0), "dilation": (1, 2)},
    {"groups": 2, "padding": 1, "bias": False},
    {"padding": "same", "dilation": 2},
    {"padding": "valid"},
    {"padding": 1, "padding_mode": "circular"},
    {"padding": (1, 2), "padding_mode": "reflect", "kernel_size": (3, 5)},
    {"padding": 1, "padding_mode": "replicate", "stride": 2},
    {"kernel_size": (1, 7), "padding": "same"},
]


def filters_of(model):
    """Convolutions worth decomposing: name of the weight → module."""
    return {
        f"{path}.weight": module
        for path, module in model.named_modules()
        if isinstance(module, nn.Conv2d) and max(module.kernel_size) > 1
        and module.weight.shape[1] > 1 and len(module.weight) // module.groups > 1
    }  # fmt: skip


def small_edit(name, module, op):
    out, into = len(module.weight) // module.groups, module.weight.shape[1]
    if op != "tucker_conv":
        return {"op": op, "weight": name, "rank": 1}
    return {"op": op, "weight": name, "ranks": [max(1, out // 4), max(1, into // 4)]}


@pytest.mark.parametrize("record", RECORDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_chain_computes_what_a_convolution_by_its_product_does(shape, record):
    torch.manual_seed(0)
    dense = nn.Conv2d(8, 12, **{"kernel_size": 3, **shape})
    chain = chain_of(dense, record)
    with torch.no_grad():
        for layer in chain:
            layer.weight.normal_()
        assert chain.weight.shape == dense.weight.shape
        dense.weight.copy_(chain.weight)
        pictures = torch.randn(2, 8, 11, 13)
        expected = dense(pictures)
        assert torch.allclose(chain(pictures), expected, atol=1e-4 * float(expected.abs().max()))
    assert chain.last.bias is dense.bias and chain.record == record


@pytest.mark.parametrize("op", ["svd_conv", "tucker_conv", "cp_conv"])
@pytest.mark.parametrize("family", VISION)
def test_filters_of_every_family(family, op):
    model, inputs = FAMILIES[family]()
    found = filters_of(model)
    edits = [small_edit(name, module, op) for name, module in found.items()][:3]
    if not edits:
        pytest.skip("only depthwise and 1 × 1 convolutions")
    before = sum(parameter.numel() for parameter in model.parameters())
    apply_plan(model, edits, inputs)
    assert sum(parameter.numel() for parameter in model.parameters()) < before
    assert len(chains(model)) == len(edits)


def test_nearly_full_ranks_change_nearly_nothing():
    model, inputs = FAMILIES["resnet_basic"]()
    name, module = next(iter(reversed(filters_of(model).items())))
    out, into = module.weight.shape[:2]
    with torch.no_grad():
        basis = torch.randn(out, out // 2)
        module.weight.copy_(
            torch.einsum("oa,aihw->oihw", basis, torch.randn(out // 2, into, 3, 3)) / out
        )
        before = model(**inputs).logits
        ranks = [out // 2, into - 1]
        apply_plan(model, [{"op": "tucker_conv", "weight": name, "ranks": ranks}], inputs)
        narrow = model(**inputs).logits
    assert float((narrow - before).abs().max()) > 0
    assert chains(model)


def test_ranks_are_axes_of_their_own_that_channel_pruning_leaves():
    model, inputs = FAMILIES["resnet_basic"]()
    name, module = next(iter(reversed(filters_of(model).items())))
    sizes = {axis.name: axis.size for axis in find_axes(model, inputs).free("channels")}
    apply_plan(model, [small_edit(name, module, "tucker_conv")], inputs)
    axes = find_axes(model, inputs)
    assert {axis.name: axis.size for axis in axes.free("channels")} == sizes
    assert len([axis for axis in axes if axis.kind == "rank"]) == 2


def test_a_decomposed_model_is_cut_further():
    model, inputs = FAMILIES["resnet_basic"]()
    name, module = next(iter(reversed(filters_of(model).items())))
    apply_plan(model, [small_edit(name, module, "tucker_conv")], inputs)
    axis = find_axes(model, inputs).free("channels")[-1]
    apply_plan(model, [{"op": "keep", "axis": axis.name, "indices": [0, 2]}], inputs)
    assert find_axes(model, inputs)[axis.name].size == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ranks": [99, 1]}, r"the ranks \[99, 1\] must not be more"),
        ({"ranks": [8, 3]}, "choose smaller ranks"),
        ({"weight": "resnet.nothing.weight"}, "no weight 'resnet.nothing.weight'"),
        ({"weight": "classifier.1.weight"}, "none of Conv2d"),
    ],
)
def test_what_cannot_be_is_told(change, message):
    model, inputs = FAMILIES["resnet_basic"]()
    name, module = next(iter(filters_of(model).items()))
    edit = small_edit(name, module, "tucker_conv") | change
    state = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(PlanError, match=message):
        apply_plan(model, [edit], inputs)
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())


def test_the_same_filters_twice():
    model, inputs = FAMILIES["resnet_basic"]()
    name, module = next(iter(reversed(filters_of(model).items())))
    edits = [small_edit(name, module, op) for op in ("tucker_conv", "cp_conv")]
    with pytest.raises(PlanError, match="decomposed twice"):
        apply_plan(model, edits, inputs)
