"""Masks keep exactly what they should, whatever the values and their layout."""

import pytest
import torch

from nlpcompress.errors import ConfigError
from nlpcompress.gates import (
    keep_above,
    keep_above_sigmoid,
    keep_pattern,
    keep_share,
    keep_share_of_all,
)
from nlpcompress.gates.topk import keep_largest, keep_largest_of_all, kth_largest


def by_sorting(values, count):
    """The reference: a stable sort, so that of equal values the first stays."""
    flat = values.flatten()
    mask = torch.zeros(len(flat), dtype=torch.bool)
    mask[flat.argsort(descending=True, stable=True)[:count]] = True
    return mask.view(values.shape)


@pytest.mark.parametrize("count", [0, 1, 7, 59, 60])
def test_exactly_the_largest_stay(count):
    values = torch.randn(6, 10, generator=torch.Generator().manual_seed(count))
    assert torch.equal(keep_largest(values, count), by_sorting(values, count))


@pytest.mark.parametrize("count", [1, 5, 13, 24])
def test_of_equal_values_the_first_stay(count):
    values = torch.randint(0, 3, (5, 5), generator=torch.Generator().manual_seed(count)).float()
    mask = keep_largest(values, count)
    assert int(mask.sum()) == count
    assert torch.equal(mask, by_sorting(values, count))


def test_a_transposed_matrix_is_read_in_its_own_order():
    values = torch.arange(12.0).reshape(3, 4).t()
    assert torch.equal(keep_largest(values, 5), by_sorting(values.contiguous(), 5))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_types_are_cut_alike(dtype):
    values = torch.randn(40, generator=torch.Generator().manual_seed(0)).to(dtype)
    assert torch.equal(keep_largest(values, 11), by_sorting(values, 11))


def test_the_kth_largest_is_torchs():
    values = torch.randn(1001, generator=torch.Generator().manual_seed(1))
    for k in (1, 2, 500, 1001):
        assert kth_largest(values, k) == values.kthvalue(1002 - k).values


def test_several_tensors_compete_together():
    values = [torch.tensor([[5.0, 1.0], [4.0, 0.0]]), torch.tensor([3.0, 2.0])]
    first, second = keep_largest_of_all(values, 3)
    assert first.tolist() == [[True, False], [True, False]] and second.tolist() == [True, False]


def test_shares_are_rounded_and_never_empty_a_gate():
    values = [torch.arange(10.0), torch.arange(4.0)]
    assert [int(m.sum()) for m in keep_share(values, 0.26)] == [3, 1]
    assert [int(m.sum()) for m in keep_share(values, 0.01)] == [1, 1]
    assert [int(m.sum()) for m in keep_share_of_all(values, 0.5)] == [7, 0]


def test_thresholds_leave_a_least_share():
    values = [torch.linspace(-1, 1, 100)]
    (mask,) = keep_above(values, 0.5)
    assert torch.equal(mask, values[0] > 0.5)
    (mask,) = keep_above(values, 2.0, least=0.05)
    assert torch.equal(mask, by_sorting(values[0], 5))


def test_soft_thresholds_look_at_the_sigmoid():
    values = [torch.linspace(-5, 5, 101)]
    (mask,) = keep_above_sigmoid(values, 0.1)
    assert torch.equal(mask, values[0].sigmoid() > 0.1)
    assert keep_above_sigmoid(values, 0.0)[0].all()
    assert int(keep_above_sigmoid(values, 1.0)[0].sum()) == 1


def test_a_pattern_leaves_two_of_four_in_the_end_and_more_before():
    values = [torch.randn(6, 16, generator=torch.Generator().manual_seed(3))]
    (final,) = keep_pattern(values, 0.5, pattern=(2, 4))
    groups = final.reshape(6, 4, 4)
    assert (groups.sum(-1) == 2).all()
    lowest = values[0].reshape(6, 4, 4).masked_fill(~groups, float("inf")).amin(-1)
    highest = values[0].reshape(6, 4, 4).masked_fill(groups, -float("inf")).amax(-1)
    assert (lowest > highest).all()
    (before,) = keep_pattern(values, 0.75, pattern=(2, 4))
    assert int(before.sum()) == 72 and (before | ~final).all()


def test_rows_without_whole_groups_have_no_pattern():
    with pytest.raises(ConfigError, match="rows of 6 weights have no whole groups of 4"):
        keep_pattern([torch.ones(2, 6)], 0.5, pattern=(2, 4))
