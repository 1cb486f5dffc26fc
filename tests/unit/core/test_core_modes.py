"""Eval mode, and each part's own mode afterwards."""

import pytest
from torch import nn

from nlpcompress.core.modes import eval_mode


@pytest.fixture
def model():
    found = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Dropout(0.5), nn.Linear(2, 2))).train()
    found[1].eval()
    return found


def _modes(model):
    return [module.training for module in model.modules()]


def test_all_parts_are_in_eval_mode_and_have_their_own_afterwards(model):
    before = _modes(model)
    assert True in before and False in before
    with eval_mode(model):
        assert not any(_modes(model))
    assert _modes(model) == before


def test_also_after_an_error(model):
    before = _modes(model)
    with pytest.raises(ZeroDivisionError), eval_mode(model):
        _ = 1 / 0
    assert _modes(model) == before
