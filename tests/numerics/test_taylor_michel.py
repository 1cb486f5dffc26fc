"""Gate scores against what they stand for: finite differences, attention kinds, the oracle."""

from functools import partial

import pytest
import torch
from scipy.stats import spearmanr
from transformers import BertConfig, BertForSequenceClassification

from nlpcompress.axes.axis import Tap
from nlpcompress.scoring import taylor_scores
from tests.families import TEXT, bert
from tests.unit.scoring.scoring_toys import axis, heads_of_bert, neurons_of_bert

STEP = 1e-4


def scaled(model, tap, size, position, factor):
    """A hook that multiplies one position of a tap's input."""

    def hook(module, args):
        blocks = args[0].unflatten(-1, (tap.before, size, tap.after)).clone()
        blocks[..., position, :] *= factor
        return (blocks.flatten(-3),)

    return model.get_submodule(tap.module).register_forward_pre_hook(hook)


def loss_with(model, found, position, factor, batch):
    (tap,) = found.taps
    handle = scaled(model, tap, found.size, position, factor)
    try:
        with torch.no_grad():
            return float(model(**batch).loss)
    finally:
        handle.remove()


@pytest.fixture
def precise():
    model, inputs = bert()
    return model.double(), {**inputs, "labels": torch.tensor([0, 2])}


def singles(batch):
    return [{k: v[i : i + 1] for k, v in batch.items()} for i in range(len(batch["labels"]))]


def test_equals_finite_differences_of_each_examples_loss(precise):
    model, batch = precise
    found = [*heads_of_bert(model), neurons_of_bert(model)[0]]
    scores = taylor_scores(model, found, [batch])
    for one in found:
        for position in range(min(one.size, 6)):
            slopes = [
                (
                    loss_with(model, one, position, 1 + STEP, example)
                    - loss_with(model, one, position, 1 - STEP, example)
                )
                / (2 * STEP)
                for example in singles(batch)
            ]
            expected = sum(abs(slope) for slope in slopes) / len(slopes)
            assert float(scores[one.name][position]) == pytest.approx(expected, rel=1e-5, abs=1e-9)


def test_michels_dot_product_form():
    """|Att_h(x)ᵀ ∂L/∂Att_h(x)| by example, with torch's own gradients (paper, equation 2)."""
    model, inputs = bert()
    batch = {**inputs, "labels": torch.tensor([0, 2])}
    contexts = {}

    def keep(name, module, args):
        args[0].retain_grad()
        contexts[name] = args[0]

    for found in heads_of_bert(model):
        module = model.get_submodule(found.taps[0].module)
        module.register_forward_pre_hook(partial(keep, found.name))
    (model(**batch).loss * 2).backward()
    per_example, per_token = {}, {}
    for name, context in contexts.items():
        product = (context * context.grad).unflatten(-1, (4, 8)).sum(-1)  # (B, T, H)
        per_example[name] = product.sum(1).abs().mean(0)
        per_token[name] = product.abs().sum(1).mean(0)
    model = bert()[0]
    for granularity, expected in (("example", per_example), ("token", per_token)):
        scores = taylor_scores(model, heads_of_bert(model), [batch], granularity=granularity)
        for name, values in expected.items():
            assert torch.allclose(scores[name], values, rtol=1e-4, atol=1e-6), (granularity, name)


def test_the_same_under_eager_and_sdpa():
    config = BertConfig(**TEXT)
    base, inputs = bert()
    batch = {**inputs, "labels": torch.tensor([0, 2])}
    scores = {}
    for kind in ("eager", "sdpa"):
        model = BertForSequenceClassification._from_config(config, attn_implementation=kind)
        model.load_state_dict(base.state_dict())
        assert model.config._attn_implementation == kind
        scores[kind] = taylor_scores(model, heads_of_bert(model), [batch])
    for name, values in scores["eager"].items():
        assert torch.allclose(values, scores["sdpa"][name], rtol=1e-4, atol=1e-6)


def drawn(generator, count):
    x = torch.randn(count, 20, generator=generator)
    labels = ((x[:, 0] * x[:, 1] > 0).long() + (x[:, 2] > 0.5).long()).clamp(max=2)
    return {"x": x, "labels": labels}


def trained(seed):
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    body = torch.nn.Sequential(torch.nn.Linear(20, 64), torch.nn.ReLU())
    net = Classifier(body, 64)
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    for _ in range(600):
        optimizer.zero_grad()
        net(**drawn(generator, 64)).loss.backward()
        optimizer.step()
    return net, drawn(generator, 2048)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_scores_rank_neurons_as_ablating_them_does(seed):
    """Spearman of the score and the oracle's Δ loss: by chance it would be 0 ± 0.13."""
    net, batch = trained(seed)
    found = axis("neurons", 64, [Tap("out", 1, 1, 1)])
    base = float(net(**batch).loss.detach())
    oracle = [loss_with(net, found, i, 0.0, batch) - base for i in range(64)]
    taylor = spearmanr(taylor_scores(net, [found], [batch])["neurons"], oracle).statistic
    assert taylor > 0.6


class Classifier(torch.nn.Module):
    def __init__(self, body, size):
        super().__init__()
        self.body, self.out = body, torch.nn.Linear(size, 3)

    def forward(self, x, labels):
        loss = torch.nn.functional.cross_entropy(self.out(self.body(x)), labels)
        return type("Output", (), {"loss": loss})
