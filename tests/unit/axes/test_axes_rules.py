"""Rules on small modules: what is free is exact, what is not says why."""

import copy

import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F

from nlpcompress.axes import find_axes
from nlpcompress.axes.rules.contractions import NOT_ZERO
from nlpcompress.axes.rules.elementwise import SINGULAR


class Net(nn.Module):
    """`first` (8 → 12), then `body`, then `last` (→ 5): the 12 neurons are the axis in question."""

    def __init__(self, body, last=12):
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Linear(8, 12)
        self.last = nn.Linear(last, 5) if last else None
        self.body = body

    def forward(self, x):
        x = self.body(self.first(x))
        return self.last(x) if self.last else x


def inputs():
    return {"x": torch.randn(3, 4, 8, generator=torch.Generator().manual_seed(1))}


def axis_of(model, tensor, dim, example=None):
    axes = find_axes(model, example or inputs())
    return next(a for a in axes for cut in a.slices if (cut.tensor, cut.dim) == (tensor, dim))


def neurons(body, last=12):
    model = Net(body, last)
    return model, axis_of(model, "first.weight", 0)


def error_of(model, axis, example=None):
    """Relative difference between the model masked and cut on every other index of the axis."""
    example = example or inputs()
    kept = torch.arange(0, axis.size, 2)
    dropped = torch.tensor([i for i in range(axis.size) if i % 2])
    smaller = copy.deepcopy(model)
    masked = {n: t.clone() for n, t in (*model.named_parameters(), *model.named_buffers())}
    with torch.no_grad():
        for name, dim, before, after in axis.slices:
            masked[name].unflatten(dim, (before, axis.size, after)).index_fill_(dim + 1, dropped, 0)
            path, _, leaf = name.rpartition(".")
            owner = smaller.get_submodule(path)
            parts = getattr(owner, leaf).unflatten(dim, (before, axis.size, after))
            cut = parts.index_select(dim + 1, kept).flatten(dim, dim + 2)
            owner._parameters.pop(leaf, None)
            setattr(owner, leaf, cut)
            if isinstance(owner, nn.Conv2d) and dim == 0 and owner.groups == axis.size > 1:
                owner.groups = len(kept)
        expected = functional_call(model.eval(), masked, (), example)
        actual = smaller.eval()(**example)
    return float((expected - actual).abs().max() / expected.abs().max())


def _without_autocast(x):
    with torch.autocast("cpu", enabled=False):
        return x.relu() * 2


def _without_gradients(x):
    with torch.no_grad():
        return x.relu() * 2


FREE = {
    "gelu": F.gelu,
    "sigmoid before a weight": torch.sigmoid,
    "scale and shift": lambda x: 2 * x + 1,
    "gate by itself": lambda x: x * torch.sigmoid(x),
    "clamp around zero": lambda x: x.clamp(-1, 1),
    "clamp above zero": lambda x: x.clamp(0.5, 1),
    "mean over tokens": lambda x: x.mean(1, keepdim=True),
    "softmax over tokens": lambda x: x.softmax(1),
    "largest over tokens": lambda x: x.amax(1),
    "transposed and back": lambda x: x.transpose(1, 2).transpose(1, 2),
    "permuted": lambda x: x.permute(1, 0, 2),
    "flattened tokens": lambda x: x.flatten(0, 1),
    "heads": lambda x: x.view(3, 4, -1, 2).relu().flatten(2),
    "padded tokens": lambda x: F.pad(x, (0, 0, 1, 0)),
    "one token": lambda x: x[:, 0],
    "some tokens": lambda x: x[:, 1:3],
    "tokens by index": lambda x: x[torch.arange(3), torch.tensor([0, 2, 1])],
    "rolled tokens": lambda x: x.roll(1, 1),
    "joined tokens": lambda x: torch.cat((x, x), 1),
    "stacked": lambda x: torch.stack((x, x), 1),
    "where": lambda x: torch.where(x > 0, x, 0.1 * x),
    "masked fill": lambda x: x.masked_fill(x > 1, 0.0),
    "plus zeros": lambda x: x + torch.zeros_like(x),
    "plus a fresh one": lambda x: x + torch.ones(x.shape[-1]),
    "two views": lambda x: x.reshape(3, 2, 2, -1).reshape(3, 4, -1),
    "power": lambda x: x.pow(3) + x**2,
    "max of two": lambda x: torch.maximum(x, 0.5 * x),
    "autocast": _without_autocast,
    "no gradients": _without_gradients,
}


@pytest.mark.parametrize("name", FREE)
def test_harmless_operations_leave_the_axis_free_and_exact(name):
    model, axis = neurons(FREE[name])
    assert axis.frozen is None
    assert error_of(model, axis) < 1e-5


FROZEN = {
    "normalised by layer norm": lambda x: F.layer_norm(x, (12,)),
    "normalised by RMS norm": lambda x: F.rms_norm(x, (12,)),
    "averaged over": lambda x: x - x.mean(-1, keepdim=True),
    "softmax over it": lambda x: x.softmax(-1),
    "summed up along it": lambda x: x.cumsum(-1),
    "its order is reversed": lambda x: x.flip(-1),
    "reduced by amax": lambda x: x / x.amax(-1, keepdim=True),
    "only a part of it is used (sliced)": lambda x: torch.cat((x[..., 7:], x[..., :7]), -1),
    "concatenated with something else": lambda x: torch.cat((x, x * 2), -1)[..., :12],
    "indexed by position": lambda x: x + x.select(-1, 3)[..., None],
    "padded": lambda x: F.pad(x, (1, 0))[..., 1:],
    "its positions are counted": lambda x: x * torch.arange(12),
    "masked by position along it": lambda x: x.tril(),
    SINGULAR: lambda x: x * (x.abs()).log(),
    "goes through an operation without a rule: aten.erfinv.default": lambda x: x.erfinv(),
}


@pytest.mark.parametrize("reason", FROZEN)
def test_what_cannot_be_exact_is_frozen_with_its_reason(reason):
    assert neurons(FROZEN[reason])[1].frozen == reason


def test_unknown_operations_are_counted_by_name():
    axes = find_axes(Net(lambda x: x.erfinv().erfinv()), inputs())
    assert axes.unknown_ops == {"aten.erfinv.default": 2}


def test_a_denominator_that_would_be_masked_is_frozen():
    assert neurons(lambda x: x / x)[1].frozen == SINGULAR
    assert neurons(lambda x: x / (x.abs() + 1))[1].frozen is None


KEEP_ZERO = {
    "relu": F.relu,
    "gate": lambda x: x * torch.sigmoid(x),
    "clamp": lambda x: x.clamp(-1, 1),
    "hardtanh": F.hardtanh,
    "power": lambda x: x**3,
    "chosen": lambda x: torch.where(x > 0, x, 0.0),
    "filled": lambda x: x.masked_fill(x > 1, 0.0),
    "quotient": lambda x: x / (x.abs() + 1),
    "mean over tokens": lambda x: x.mean(1, keepdim=True),
}
MOVE_ZERO = {
    "sigmoid": torch.sigmoid,
    "exp": torch.exp,
    "shift": lambda x: x + 1,
    "clamp": lambda x: x.clamp(0.5, 1),
    "hardtanh": lambda x: F.hardtanh(x, 0.5, 1),
    "power zero": lambda x: x**0,
    "chosen": lambda x: torch.where(x > 0, x, 1.0),
    "filled": lambda x: x.masked_fill(x > 1, 1.0),
    "compared": lambda x: (x <= 0).float(),
    "softmax over tokens": lambda x: x.softmax(1),
    "padded with ones": lambda x: F.pad(x, (0, 0, 1, 0), value=1.0),
}


@pytest.mark.parametrize("name", KEEP_ZERO)
def test_a_sum_over_what_a_mask_makes_zero_is_exact(name):
    model, axis = neurons(lambda x: KEEP_ZERO[name](x).sum(-1), last=None)
    assert axis.frozen is None
    assert axis.taps == ()
    assert error_of(model, axis) < 1e-5


@pytest.mark.parametrize("name", MOVE_ZERO)
def test_a_sum_over_what_a_mask_does_not_make_zero_is_frozen(name):
    assert neurons(lambda x: MOVE_ZERO[name](x).sum(-1), last=None)[1].frozen in (
        NOT_ZERO,
        SINGULAR,
    )


@pytest.mark.parametrize("spread", [lambda one: one, lambda one: one.expand(12)])
def test_what_is_broadcast_along_the_axis_is_not_zero_there(spread):
    _, axis = neurons(lambda x: (x + spread(torch.ones(1))).sum(-1), last=None)
    assert axis.frozen == NOT_ZERO


@pytest.mark.parametrize("bias", [True, False])
def test_a_layer_along_another_dimension_keeps_zero_only_without_bias(bias):
    class OverTokens(nn.Linear):
        def forward(self, x):
            return super().forward(x.transpose(1, 2)).sum(1)

    model, axis = neurons(OverTokens(4, 4, bias=bias), last=4)
    assert axis.frozen == (NOT_ZERO if bias else None)
    assert bias or error_of(model, axis) < 1e-5


def test_a_product_of_activations_is_exact_only_where_one_is_zero():
    model, axis = neurons(lambda x: x @ x.transpose(1, 2), last=4)
    assert error_of(model, axis) < 1e-5
    assert neurons(lambda x: x.exp() @ x.exp().transpose(1, 2), last=4)[1].frozen == NOT_ZERO


class Raw(nn.Module):
    """Projections as plain matrices, one from the right and one from the left."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.right = nn.Parameter(torch.randn(8, 12))
        self.left = nn.Parameter(torch.randn(6, 12))
        self.out = nn.Linear(4, 5)

    def forward(self, x):
        return self.out((self.left @ (x @ self.right).relu().transpose(1, 2)).sum(1))


def test_products_with_plain_matrices_are_projections():
    model = Raw()
    axes = {axis.name: axis for axis in find_axes(model, inputs()).free()}
    assert {(axis.kind, axis.size) for axis in axes.values()} == {("neurons", 12), ("neurons", 6)}
    assert all(error_of(model, axis) < 1e-5 for axis in axes.values())


def test_an_output_of_the_model_is_frozen():
    assert neurons(F.relu, last=None)[1].frozen == "a dimension of the model's output"


def test_an_input_of_the_model_is_frozen():
    axis = axis_of(Net(F.relu), "first.weight", 1)
    assert axis.frozen == "a dimension of the model's input"


def test_change_in_place_of_a_shared_tensor_is_frozen():
    def body(x):
        view = x.view(12, 12)
        view += 1
        return x

    assert "in place" in neurons(body)[1].frozen


def test_change_in_place_of_a_sole_tensor_is_free():
    def body(x):
        y = x * 2
        y += 1
        return y

    model, axis = neurons(body)
    assert axis.frozen is None
    assert error_of(model, axis) < 1e-5


class Gated(nn.Module):
    """The first `kept` outputs of one projection, scaled by the sigmoid of as many others."""

    def __init__(self, kept, others):
        super().__init__()
        torch.manual_seed(0)
        self.both, self.out = nn.Linear(8, kept + others), nn.Linear(kept, 5)

    def forward(self, x):
        width = self.out.weight.shape[1]
        values, gates = self.both(x).split([width, self.both.weight.shape[0] - width], -1)
        return self.out(values * gates[..., :width].sigmoid())


def test_equal_parts_share_one_axis():
    model = Gated(6, 6)
    axis = axis_of(model, "out.weight", 1)
    assert (axis.size, axis.frozen) == (6, None)
    assert ("both.weight", 0, 2, 1) in axis.slices
    assert error_of(model, axis) < 1e-5


def test_unequal_parts_are_frozen():
    axis = axis_of(Gated(6, 7), "both.weight", 0)
    assert axis.frozen == "only a part of it is used (sliced)"


class Residual(nn.Module):
    """The 12 neurons lie in both dimensions of `inner`."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.inner, self.last = nn.Linear(8, 12), nn.Linear(12, 12), nn.Linear(12, 5)

    def forward(self, x):
        x = self.first(x)
        return self.last(x + self.inner(x).relu())


def test_an_axis_in_both_dimensions_of_a_weight_is_exact():
    model = Residual()
    axis = axis_of(model, "first.weight", 0)
    assert {cut.dim for cut in axis.slices if cut.tensor == "inner.weight"} == {0, 1}
    assert error_of(model, axis) < 1e-5


def test_an_axis_twice_in_one_dimension_is_frozen():
    _, axis = neurons(lambda x: (x[..., None] * x[..., None, :]).flatten(-2), last=144)
    assert axis.frozen == "appears twice in one dimension of a tensor"


class Attention(nn.Module):
    """2 key-value heads, 3 queries each, head size 4; `fused` leaves the grouping to sdpa."""

    def __init__(self, fused):
        super().__init__()
        torch.manual_seed(0)
        self.q, self.k, self.v = nn.Linear(8, 24), nn.Linear(8, 8), nn.Linear(8, 8)
        self.o, self.fused = nn.Linear(24, 5), fused

    def forward(self, x):
        q, k, v = (f(x).view(3, 4, -1, 4).transpose(1, 2) for f in (self.q, self.k, self.v))
        if not self.fused:
            k, v = (self.spread(y, q.shape[1] // y.shape[1]) for y in (k, v))
        y = F.scaled_dot_product_attention(q, k, v, enable_gqa=self.fused)
        return self.o(y.transpose(1, 2).reshape(3, 4, -1))

    def spread(self, x, times):
        return x[:, :, None].expand(-1, -1, times, -1, -1).reshape(3, -1, 4, 4)


@pytest.mark.parametrize("fused", [True, False])
def test_grouped_queries_have_two_exact_axes(fused):
    model = Attention(fused)
    axes = {axis.kind: axis for axis in find_axes(model, inputs()).free()}
    assert {kind: axis.size for kind, axis in axes.items()} == {"kv_heads": 2, "heads": 3}
    assert ("q.weight", 0, 2, 4) in axes["heads"].slices
    assert ("k.weight", 0, 1, 4) in axes["kv_heads"].slices
    assert not any(cut.tensor.startswith("k.") for cut in axes["heads"].slices)
    assert all(error_of(model, axis) < 1e-5 for axis in axes.values())


class Pictures(nn.Module):
    def __init__(self, middle, *, out=8, norm=True):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.middle = nn.Conv2d(3, 8, 3), middle
        self.norm = nn.BatchNorm2d(out, affine=norm) if norm is not None else nn.GroupNorm(2, out)
        self.last = nn.Linear(out * 4, 5)

    def forward(self, x):
        x = self.norm(self.middle(F.relu(self.first(x))))
        return self.last(F.adaptive_avg_pool2d(x, 2).flatten(1))


def pictures():
    return {"x": torch.randn(2, 3, 9, 9, generator=torch.Generator().manual_seed(1))}


@pytest.mark.parametrize("affine", [True, False])
def test_channels_of_a_depthwise_convolution_pass_through_to_the_classifier(affine):
    model = Pictures(nn.Conv2d(8, 8, 3, groups=8), norm=affine)
    axis = axis_of(model, "first.weight", 0, pictures())
    assert (axis.kind, axis.frozen) == ("channels", None)
    assert ("last.weight", 1, 1, 4) in axis.slices
    assert [tuple(tap) for tap in axis.taps] == [("last", 1, 1, 4)]
    assert error_of(model, axis, pictures()) < 1e-5


def test_a_depthwise_convolution_with_more_outputs_has_a_second_axis():
    model = Pictures(nn.Conv2d(8, 16, 3, groups=8), out=16)
    axes = find_axes(model, pictures()).free()
    assert sorted(axis.size for axis in axes) == [2, 8]
    assert all(error_of(model, axis, pictures()) < 1e-5 for axis in axes)


def test_a_grouped_convolution_has_groups_inputs_and_outputs():
    model = Pictures(nn.Conv2d(8, 12, 3, groups=2), out=12)
    axes = find_axes(model, pictures()).free()
    assert {(a.kind, a.size) for a in axes} == {("groups", 2), ("channels", 4), ("channels", 6)}
    assert all(error_of(model, axis, pictures()) < 1e-5 for axis in axes)


def test_group_norm_freezes():
    model = Pictures(nn.Identity(), norm=None)
    assert axis_of(model, "first.weight", 0, pictures()).frozen == "normalised in groups"


def test_a_transposed_convolution_is_not_guessed():
    model = Pictures(nn.ConvTranspose2d(8, 8, 3))
    axes = find_axes(model, pictures())
    assert list(axes.unknown_ops) == ["aten.conv_transpose2d.input"]
    assert axes.free() == ()
