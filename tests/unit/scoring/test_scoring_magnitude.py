"""Norms over everything that is cut together."""

import pytest
import torch
from torch import nn

from nlpcompress.axes.axis import Slice
from nlpcompress.errors import AxisError
from nlpcompress.scoring import magnitude_scores
from tests.unit.scoring.scoring_toys import axis


def network():
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Linear(2, 1))
    model[0].weight.data = torch.tensor([[3.0, 0.0], [0.0, 1.0]])
    model[0].bias.data = torch.tensor([0.0, 2.0])
    model[1].weight.data, model[1].bias.data = torch.tensor([0.0, 2.0]), torch.zeros(2)
    model[2].weight.data = torch.tensor([[-4.0, 0.0]])
    return model


SLICES = [
    Slice("0.weight", 0, 1, 1),
    Slice("0.bias", 0, 1, 1),
    Slice("1.weight", 0, 1, 1),
    Slice("1.bias", 0, 1, 1),
    Slice("1.running_var", 0, 1, 1),
    Slice("2.weight", 1, 1, 1),
]


@pytest.mark.parametrize(("p", "expected"), [(2, [5.0, 3.0]), (1, [7.0, 5.0])])
def test_all_parameters_count_and_buffers_do_not(p, expected):
    scores = magnitude_scores(network(), [axis("neurons", 2, slices=SLICES)], p=p)
    assert scores["neurons"].tolist() == pytest.approx(expected)


def test_an_axis_in_the_middle_of_a_dimension():
    """A fused weight of 3 × (2 heads × 2): head 1 holds rows 2, 3, 6, 7, 10 and 11."""
    model = nn.Linear(1, 12, bias=False)
    model.weight.data = torch.arange(12.0)[:, None]
    scores = magnitude_scores(model, [axis("heads", 2, slices=[Slice("weight", 0, 3, 2)])], p=1)
    assert scores["heads"].tolist() == [0 + 1 + 4 + 5 + 8 + 9, 2 + 3 + 6 + 7 + 10 + 11]


def test_an_axis_of_buffers_is_refused():
    slices = [Slice("1.running_var", 0, 1, 1)]
    with pytest.raises(AxisError, match=r"'neurons' holds no parameter.*taylor_scores"):
        magnitude_scores(network(), [axis("neurons", 2, slices=slices)])
