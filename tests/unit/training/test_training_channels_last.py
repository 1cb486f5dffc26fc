"""Weights with their channels last in memory for a while."""

import pytest
import torch
from torch import nn

from nlpcompress.training.channels_last import channels_last


def test_with_channels_last_weights_are_the_same_and_lie_otherwise_until_the_end():
    model = nn.Conv2d(3, 4, 2)
    before, strides = model.weight.detach().clone(), model.weight.stride()
    with pytest.raises(ZeroDivisionError), channels_last([model]):
        assert model.weight.stride() == (12, 1, 6, 3)
        assert torch.equal(model.weight, before)
        _ = 1 / 0
    assert model.weight.stride() == strides
    assert torch.equal(model.weight, before)
