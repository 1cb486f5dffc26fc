"""The methods tucker and cp: ranks from a budget, an energy, or Bayes, on real shapes."""

import itertools

import pytest
import torch

from nlpcompress.core.method import Context
from nlpcompress.errors import ConfigError, PlanError
from nlpcompress.methods import make_method
from nlpcompress.methods.lowrank import cp, tucker
from nlpcompress.methods.lowrank.filter_ranks import banks, decide
from nlpcompress.models.filters import chains
from nlpcompress.surgery import apply_plan
from tests.families import FAMILIES

METHODS = {"tucker": tucker, "cp": cp}


def resnet():
    return FAMILIES["resnet_basic"]()


def plan(name, model, inputs, **config):
    return make_method(name, config).plan(model, Context(inputs))


def filters(model):
    return {
        path: module.weight
        for path, module in model.named_modules()
        if isinstance(module, torch.nn.Conv2d) and module.kernel_size != (1, 1)
    }


@pytest.mark.parametrize("name", METHODS)
def test_prices_are_the_numbers_that_the_edits_leave(name):
    model, inputs = resnet()
    found = banks(model)
    for edit in plan(name, model, inputs, keep=0.5):
        ranks = edit.ranks if name == "tucker" else (edit.rank, 1)
        changed, _ = resnet()
        apply_plan(changed, [edit.to_json()], inputs)
        (chain,) = chains(changed).values()
        left = sum(layer.weight.numel() for layer in chain)
        assert left == METHODS[name].numbers_of(found[edit.weight], ranks)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("keep", [0.6, 0.35])
def test_a_budget_is_met_and_used(name, keep):
    model, inputs = resnet()
    before = sum(weight.numel() for weight in filters(model).values())
    whole = sum(parameter.numel() for parameter in model.parameters())
    apply_plan(model, plan(name, model, inputs, keep=keep), inputs)
    left = before - whole + sum(parameter.numel() for parameter in model.parameters())
    assert 0.6 * keep < left / before <= keep


def test_no_other_ranks_of_one_energy_use_the_budget_better():
    """By brute force over the energies at which some rank changes."""
    model, _ = resnet()
    found = banks(model)
    numbers = sum(bank.numbers for bank in found.values())
    shares = sorted(
        float(share)
        for bank in found.values()
        for of in (bank.of_outputs, bank.of_inputs)
        for share in of.cumsum(0) / of.sum()
    )
    price = tucker.numbers_of

    def taken(energy):
        config = tucker.TuckerConfig(energy=energy)
        try:
            ranks = decide(found, config, price)
        except PlanError:
            return numbers
        return numbers - sum(found[n].numbers - price(found[n], own) for n, own in ranks.items())

    middles = [(a + b) / 2 for a, b in itertools.pairwise(shares) if b - a > 1e-9]
    best = max(t for t in map(taken, middles) if t <= 0.5 * numbers)
    ranks = decide(found, tucker.TuckerConfig(keep=0.5), price)
    left = numbers - sum(found[n].numbers - price(found[n], own) for n, own in ranks.items())
    assert left == best


@pytest.mark.parametrize("name", METHODS)
def test_more_energy_takes_more_ranks(name):
    model, inputs = resnet()
    ranks = [
        sum(sum(edit.ranks) if name == "tucker" else edit.rank for edit in plan_)
        for plan_ in (plan(name, model, inputs, energy=energy) for energy in (0.3, 0.5))
    ]
    assert ranks[0] < ranks[1]


def test_bayes_finds_the_ranks_of_filters_that_have_some():
    model, inputs = resnet()
    name, weight = list(filters(model).items())[-1]
    out, into = weight.shape[:2]
    torch.manual_seed(0)
    with torch.no_grad():
        low = torch.randn(out, 3) @ torch.randn(3, 2 * 9)
        low = torch.einsum("oihw,ij->ojhw", low.view(out, 2, 3, 3), torch.randn(2, into))
        weight.copy_(low + 0.05 * torch.randn_like(low))
    edits = {edit.weight: edit for edit in plan("tucker", model, inputs, bayes=True)}
    assert edits[f"{name}.weight"].ranks == (3, 2)
    (rank,) = (e.rank for e in plan("cp", model, inputs, bayes=True) if name in e.weight)
    assert rank == 3


def test_depthwise_and_pointwise_filters_are_left():
    model, inputs = FAMILIES["mobilenet_v2"]()
    edits = plan("tucker", model, inputs, energy=0.2)
    weights = dict(model.named_parameters())
    assert edits and all(weights[e.weight].shape[1] > 1 for e in edits)
    assert all(weights[e.weight][0, 0].numel() > 1 for e in edits)


def test_what_cannot_be_is_told():
    model, inputs = resnet()
    with pytest.raises(ConfigError, match="keep and bayes are given"):
        make_method("tucker", {"keep": 0.5, "bayes": True})
    with pytest.raises(PlanError, match=r"keep is 0\.01, but with ranks of at least 4 the least"):
        plan("tucker", model, inputs, keep=0.01, least=4)
    with pytest.raises(
        PlanError, match=r"keep is 0\.05, but with ranks .* 2 .* is 0\.\d+; raise keep"
    ):
        plan("cp", model, inputs, keep=0.05, least=2)
    with pytest.raises(PlanError, match="filter banks would get smaller; ask for less"):
        plan("tucker", model, inputs, energy=0.9999)
    text, words = FAMILIES["bert"]()
    with pytest.raises(PlanError, match="no convolutions with filters larger than 1 × 1"):
        plan("tucker", text, words)
