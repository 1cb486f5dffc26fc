"""Batch norms of a cut network have the statistics of what it sees."""

import copy

import pytest
import torch
from torch import nn

from nlpcompress.core.method import Context
from nlpcompress.errors import PlanError
from nlpcompress.methods import make_method
from nlpcompress.models.norm_statistics import renew_statistics
from tests.families import FAMILIES


class Toy(nn.Module):
    """Two norms, one after the other, and dropout that must be off."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.BatchNorm2d(3, momentum=0.3), nn.BatchNorm2d(3)
        self.dropout = nn.Dropout(0.5)
        self.still = nn.BatchNorm2d(3, track_running_stats=False)

    def forward(self, pixel_values):
        return self.still(self.second(2 * self.dropout(self.first(pixel_values)) + 1))


@pytest.fixture
def pictures():
    torch.manual_seed(0)
    return [{"pixel_values": 3 * torch.randn(8, 3, 5, 5) + 2} for _ in range(3)]


def test_statistics_are_the_plain_mean_over_batches(pictures):
    toy = Toy()
    toy.first.running_mean += 7
    toy.first.num_batches_tracked += 5
    renew_statistics(toy, pictures)
    pixels = [batch["pixel_values"] for batch in pictures]
    means = torch.stack([batch.mean((0, 2, 3)) for batch in pixels]).mean(0)
    variances = torch.stack([batch.var((0, 2, 3)) for batch in pixels]).mean(0)
    assert torch.allclose(toy.first.running_mean, means, atol=1e-5)
    assert torch.allclose(toy.first.running_var, variances, rtol=1e-5)
    assert torch.allclose(toy.second.running_mean, torch.ones(3), atol=1e-5)
    assert torch.allclose(toy.second.running_var, torch.tensor(4.0), rtol=0.01)


def broken(batches):
    yield batches[0]
    raise OSError("no more")


def test_nothing_else_of_the_model_changes(pictures):
    toy = Toy()
    toy.second.eval()
    before = copy.deepcopy(toy)
    with pytest.raises(OSError, match="no more"):
        renew_statistics(toy, broken(pictures))
    renew_statistics(toy, pictures)
    assert [m.training for m in toy.modules()] == [m.training for m in before.modules()]
    assert (toy.first.momentum, toy.second.momentum) == (0.3, 0.1)
    assert all(
        torch.equal(a, b) for a, b in zip(toy.parameters(), before.parameters(), strict=True)
    )


def seen(name):
    model, inputs = FAMILIES[name]()
    labelled = [{**inputs, "labels": torch.zeros(len(next(iter(inputs.values()))), dtype=int)}]
    return model, Context(inputs, lambda: iter(labelled * 4))


def statistics(model):
    return {k: v.clone() for k, v in model.state_dict().items() if "running" in k}


def test_the_method_cuts_nothing_and_renews_what_its_examples_say():
    model, ctx = seen("resnet_basic")
    size = len(next(iter(ctx.example_inputs.values())))
    before = statistics(model)
    assert len(make_method("recalibrate_norms", {"num_samples": size}).plan(model, ctx)) == 0
    after = statistics(model)
    assert before.keys() == after.keys() and before
    assert not any(torch.equal(before[name], after[name]) for name in before)
    counts = {v.item() for k, v in model.state_dict().items() if "num_batches_tracked" in k}
    assert counts == {1}, "of four batches, as many examples as are asked for"


def test_where_sizes_only_are_asked_for_nothing_is_looked_at():
    model, ctx = seen("resnet_basic")
    before = statistics(model)
    sizes = Context(ctx.example_inputs, ctx.batches, sizes_only=True)
    make_method("recalibrate_norms", {}).plan(model, sizes)
    assert all(torch.equal(before[name], now) for name, now in statistics(model).items())


def test_a_model_without_batch_norms_is_refused():
    model, ctx = seen("bert")
    with pytest.raises(PlanError, match=r"no batch norms.* leave the stage out"):
        make_method("recalibrate_norms", {}).plan(model, ctx)
