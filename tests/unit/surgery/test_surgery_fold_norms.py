"""Batch norms that hand their scale to the filters before them."""

import copy

import pytest
import torch
from torch import nn

from nlpcompress.axes.norms import norms_after
from nlpcompress.errors import PlanError
from nlpcompress.models.load import load_model
from nlpcompress.surgery import apply_plan
from tests.families import FAMILIES

FOLD = [{"op": "fold_norms"}]
WITH_NORMS = ["mobilenet_v1", "mobilenet_v2", "regnet", "resnet_basic", "resnet_bottleneck"]


def logits(model, inputs):
    with torch.no_grad():
        return model(**inputs).logits


def norms_of(model):
    return [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]


@pytest.mark.parametrize("family", WITH_NORMS)
def test_every_norm_is_folded_and_nothing_changes(family, tmp_path):
    model, inputs = FAMILIES[family]()
    expected = logits(model.eval(), inputs)
    assert len(norms_after(model, inputs)) == len(norms_of(model)) > 3
    apply_plan(model, FOLD, inputs)
    assert torch.allclose(logits(model, inputs), expected, rtol=1e-4, atol=1e-5)
    for norm in norms_of(model):
        assert torch.equal(norm.weight, torch.ones_like(norm.weight))
        assert torch.equal(norm.running_mean, torch.zeros_like(norm.running_mean))
        assert torch.equal(norm.running_var + norm.eps, torch.ones_like(norm.running_var))
    model.save_pretrained(tmp_path)
    again = copy.deepcopy(load_model(str(tmp_path), task="image-classification"))
    assert torch.equal(logits(again.eval(), inputs), logits(model, inputs))  # in aligned memory


def test_a_second_time_changes_not_a_bit():
    model, inputs = FAMILIES["resnet_basic"]()
    once = copy.deepcopy(apply_plan(model, FOLD, inputs).state_dict())
    twice = apply_plan(model, FOLD, inputs).state_dict()
    assert all(torch.equal(once[name], twice[name]) for name in once)


class Net(nn.Module):
    """A convolution with a bias, its norm, and perhaps another reader of what is between."""

    def __init__(self, *, bypass, affine=True):
        super().__init__()
        self.filters = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4, affine=affine)
        self.bypass = bypass
        with torch.no_grad():
            self.norm.running_mean.normal_()
            self.norm.running_var.uniform_(0.5, 2)
            if affine:
                self.norm.weight.normal_()

    def forward(self, pictures):
        found = self.filters(pictures)
        return (self.norm(found) + found if self.bypass else self.norm(found),)


def test_a_bias_goes_into_the_norms_and_signs_stay():
    torch.manual_seed(0)
    model, inputs = Net(bypass=False).eval(), {"pictures": torch.randn(2, 3, 6, 6)}
    assert float(model.norm.weight.detach().min()) < 0
    (expected,) = model(**inputs)
    apply_plan(model, FOLD, inputs)
    assert torch.allclose(model(**inputs)[0], expected, atol=1e-6)
    assert not model.filters.bias.any()
    assert isinstance(model.filters.weight, nn.Parameter) and model.filters.weight.requires_grad


@pytest.mark.parametrize("options", [{"bypass": True}, {"bypass": False, "affine": False}])
def test_what_others_read_too_or_has_no_scale_is_not_folded(options):
    model, inputs = Net(**options).eval(), {"pictures": torch.randn(2, 3, 6, 6)}
    assert norms_after(model, inputs) == {}
    with pytest.raises(PlanError, match="fold_norms: no batch norm is the only one to read"):
        apply_plan(model, FOLD, inputs)


def test_filters_in_codes_are_passed_over():
    model, inputs = FAMILIES["resnet_basic"]()
    first, *others = norms_after(model, inputs)
    apply_plan(model, [{"op": "quantize", "weight": f"{first}.weight", "bits": 8}], inputs)
    assert list(norms_after(model, inputs)) == others


def test_a_failure_later_in_the_plan_puts_everything_back():
    model, inputs = FAMILIES["resnet_basic"]()
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(PlanError):
        apply_plan(model, [*FOLD, {"op": "quantize", "weight": "nobody", "bits": 8}], inputs)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
