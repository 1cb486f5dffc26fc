"""Gates: what they measure, how they refuse, and that they leave no trace."""

import random
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel

from nlpcompress.axes import find_axes
from nlpcompress.axes.axis import Tap
from nlpcompress.errors import AxisError, DataError
from nlpcompress.scoring import first_examples, taylor_scores
from tests.families import bert
from tests.unit.scoring.scoring_toys import GATED, Gated, axis, heads_of_bert, neurons_of_bert


@pytest.fixture
def tiny():
    model, inputs = bert()
    return model, {**inputs, "labels": torch.tensor([0, 2])}


def many(batch, times=3):
    """More examples, all different: the tokens rolled."""
    return [{**batch, "input_ids": batch["input_ids"].roll(i, 1)} for i in range(times)]


def test_examples_with_opposite_signs_cancel_in_a_batch_only():
    """w = (1, 2), x = 1, labels +1 and -1: gradients ±1 and ±2; means 1, 2; sums 0, 0."""
    batch = {"x": torch.ones(2, 2), "labels": torch.tensor([1.0, -1.0])}
    model = Gated([1.0, 2.0])
    example = taylor_scores(model, [GATED], [batch])["neurons"]
    together = taylor_scores(model, [GATED], [batch], granularity="batch")["neurons"]
    assert example.tolist() == [1.0, 2.0]
    assert together.tolist() == [0.0, 0.0]


def test_batches_do_not_accumulate_into_each_other():
    """Gradients 1 and 2 in two batches: the mean is 1.5 (running sums would give 2)."""
    batches = [{"x": torch.ones(1, 2) * k, "labels": torch.ones(1)} for k in (1, 2)]
    scores = taylor_scores(Gated([1.0, 0.0]), [GATED], batches, granularity="batch")
    assert scores["neurons"].tolist() == [1.5, 0.0]


@pytest.mark.parametrize("granularity", ["example", "token"])
def test_scores_do_not_depend_on_the_batch_size(tiny, granularity):
    model, batch = tiny
    axes = [*heads_of_bert(model), *neurons_of_bert(model)]
    pairs = many(batch)
    ones = [{k: v[i : i + 1] for k, v in b.items()} for b in pairs for i in (0, 1)]
    whole = [{k: torch.cat([b[k] for b in pairs]) for k in batch}]
    first, *others = (
        taylor_scores(model, axes, b, granularity=granularity) for b in (pairs, ones, whole)
    )
    assert max(float(s.max()) for s in first.values()) > 1e-4
    for other in others:
        for name, scores in first.items():
            assert torch.allclose(scores, other[name], rtol=1e-4, atol=1e-7), name


def test_token_labels_are_a_mean_over_each_examples_own():
    """An example's score must not change because its neighbour in the batch has more labels."""

    class Tagger(nn.Module):
        def __init__(self):
            super().__init__()
            self.out = nn.Linear(4, 3)

        def forward(self, x, labels):
            loss = nn.functional.cross_entropy(self.out(x).flatten(0, 1), labels.flatten())
            return type("Output", (), {"loss": loss})

    torch.manual_seed(0)
    model, x = Tagger(), torch.randn(2, 5, 4)
    labels = torch.tensor([[0, 1, 2, 0, 1], [2, -100, -100, -100, -100]])
    axes = [axis("neurons", 4, [Tap("out", 2, 1, 1)])]
    together = taylor_scores(model, axes, [{"x": x, "labels": labels}])["neurons"]
    apart = [{"x": x[i : i + 1], "labels": labels[i : i + 1]} for i in (0, 1)]
    assert torch.allclose(together, taylor_scores(model, axes, apart)["neurons"], atol=1e-6)


def test_token_granularity_is_never_below_example(tiny):
    model, batch = tiny
    axes = heads_of_bert(model)
    tokens = taylor_scores(model, axes, [batch], granularity="token")
    examples = taylor_scores(model, axes, [batch])
    for name, scores in examples.items():
        assert (tokens[name] >= scores - 1e-7).all()
    first, last = "layers.0.heads", "layers.1.heads"
    assert (tokens[first] > examples[first] + 1e-5).any()
    assert torch.allclose(tokens[last], examples[last])  # only the first token reaches the loss


def test_normalised_axes_have_length_one(tiny):
    model, batch = tiny
    plain = taylor_scores(model, heads_of_bert(model), [batch])
    for name, scores in taylor_scores(model, heads_of_bert(model), [batch], normalize=True).items():
        assert float(scores.norm()) == pytest.approx(1, abs=1e-6)
        assert torch.allclose(scores * plain[name].norm(), plain[name], atol=1e-7)


def test_dropped_positions_are_off_and_score_nothing(tiny):
    """With a head dropped, the others score as if its output columns were zero."""
    model, batch = tiny
    axes = heads_of_bert(model)
    dropped = taylor_scores(model, axes, [batch], dropped={"layers.0.heads": [1, 2]})
    full = taylor_scores(model, axes, [batch])
    weight = model.bert.encoder.layer[0].attention.output.dense.weight
    with torch.no_grad():
        weight[:, 8:24] = 0
    masked = taylor_scores(model, axes, [batch])
    assert dropped["layers.0.heads"][[1, 2]].tolist() == [0, 0]
    for name in masked:
        assert torch.allclose(dropped[name], masked[name], atol=1e-7)
    assert not torch.allclose(dropped["layers.1.heads"], full["layers.1.heads"], rtol=1e-3)


def test_a_gate_at_several_taps_is_one_gate():
    """Two consumers of one axis: the derivatives add up before the absolute value."""

    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.plus, self.minus = nn.Linear(2, 1, bias=False), nn.Linear(2, 1, bias=False)
            self.plus.weight.data, self.minus.weight.data = (
                torch.tensor([[3.0, 1.0]]),
                torch.tensor([[-3.0, 1.0]]),
            )

        def forward(self, x, labels):
            out = self.plus(x) + self.minus(x[:, None])[:, 0]
            return type("Output", (), {"loss": (out[:, 0] * labels).mean()})

    taps = [Tap("plus", -1, 1, 1), Tap("minus", -1, 1, 1)]
    batch = {"x": torch.ones(2, 2), "labels": torch.ones(2)}
    scores = taylor_scores(Twice(), [axis("neurons", 2, taps)], [batch])
    assert scores["neurons"].tolist() == [0.0, 2.0]


def test_convolution_channels_by_example_and_by_place():
    torch.manual_seed(0)

    class Pictures(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 1, 2, bias=False)

        def forward(self, x, labels):
            return type("Output", (), {"loss": (self.conv(x).sum((1, 2, 3)) * labels).mean()})

    model, x = Pictures(), torch.randn(4, 3, 5, 5)
    batch = {"x": x, "labels": torch.ones(4)}
    axes = [axis("channels", 3, [Tap("conv", 1, 1, 1)])]
    per_channel = torch.stack([
        torch.nn.functional.conv2d(x[:, c : c + 1], model.conv.weight[:, c : c + 1]).sum((1, 2, 3))
        for c in range(3)
    ], 1)  # fmt: skip
    expected = per_channel.abs().mean(0)
    assert torch.allclose(taylor_scores(model, axes, [batch])["channels"], expected, atol=1e-5)
    places = taylor_scores(model, axes, [batch], granularity="token")["channels"]
    # ∂L/∂z · z of each place, by torch itself
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(model(x, torch.ones(4)).loss * 4, x)
    assert torch.allclose(places, (gradient * x).abs().sum((2, 3)).mean(0), atol=1e-5)


def test_nothing_is_left_behind(tiny):
    model, batch = tiny
    model.train()
    model.bert.pooler.eval()
    frozen = model.bert.embeddings.word_embeddings.weight.requires_grad_(False)
    kept = model.classifier.weight.grad = torch.ones_like(model.classifier.weight)
    modes = [m.training for m in model.modules()]
    torch.manual_seed(3), np.random.seed(3), random.seed(3)
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()

    def noisy():
        torch.rand(1), np.random.rand(1), random.random()
        yield batch

    taylor_scores(model, heads_of_bert(model), noisy())
    assert [m.training for m in model.modules()] == modes
    assert not frozen.requires_grad and model.classifier.weight.requires_grad
    assert model.classifier.weight.grad is kept and float(kept.sum()) == kept.numel()
    assert sum(p.grad is not None for p in model.parameters()) == 1
    assert all(not m._forward_pre_hooks for m in model.modules())
    assert torch.equal(states[0], torch.get_rng_state())
    assert (states[1] == np.random.get_state()[1]).all() and states[2] == random.getstate()


def test_nothing_is_left_behind_after_an_error(tiny):
    model, batch = tiny
    model.train()

    def broken():
        yield batch
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        taylor_scores(model, heads_of_bert(model), broken())
    assert model.training and all(p.requires_grad for p in model.parameters())
    assert all(not m._forward_pre_hooks for m in model.modules())


def test_dropout_is_off_and_no_grad_outside_does_not_matter(tiny):
    model, batch = tiny
    model.train()
    with torch.no_grad():
        first = taylor_scores(model, heads_of_bert(model), [batch])
    second = taylor_scores(model, heads_of_bert(model), [batch])
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_refusals_say_what_to_do(tiny):
    model, batch = tiny
    axes = heads_of_bert(model)
    unlabelled = {k: v for k, v in batch.items() if k != "labels"}
    with pytest.raises(DataError, match=r"no loss for a batch of input_ids.*need labelled batches"):
        taylor_scores(model, axes, [unlabelled])
    with pytest.raises(DataError, match=r"no batches to score with"):
        taylor_scores(model, axes, [])
    with pytest.raises(AxisError, match=r"'words' feeds no layer that could carry a gate"):
        taylor_scores(model, [axis("words", 60)], [batch])
    unused = nn.ModuleDict({"model": model, "spare": nn.Linear(2, 2)})
    unused.forward = partial(model)
    with pytest.raises(AxisError, match=r"without calling any layer that carries spare"):
        taylor_scores(unused, [axis("spare", 2, [Tap("spare", 1, 1, 1)])], [batch])
    assert taylor_scores(model, [], [batch]) == {}


def test_examples_must_lie_along_dimension_zero():
    class Windows(nn.Module):
        def __init__(self):
            super().__init__()
            self.out = nn.Linear(4, 1)

        def forward(self, x, labels):
            return type("Output", (), {"loss": self.out(x.reshape(-1, 4)).mean()})

    batch = {"x": torch.randn(2, 3, 4), "labels": torch.ones(2)}
    with pytest.raises(AxisError, match=r"'out' has the shape \(6, 4\) for 2 examples"):
        taylor_scores(Windows(), [axis("neurons", 4, [Tap("out", 1, 1, 1)])], [batch])


def test_first_examples_cuts_the_last_batch():
    batches = [{"x": torch.arange(4) + 4 * i} for i in range(3)]
    assert [b["x"].tolist() for b in first_examples(batches, 6)] == [[0, 1, 2, 3], [4, 5]]
    assert [len(b["x"]) for b in first_examples(batches, 4)] == [4]
    assert [len(b["x"]) for b in first_examples(batches, None)] == [4, 4, 4]


def test_language_models_count_the_labels_they_use():
    """GPT-2 shifts its labels without a `loss_type` that says so: 1 and 4 count, not 2 and 5."""
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=60, n_positions=16, n_embd=16, n_layer=1, n_head=2, n_inner=24)
    model = GPT2LMHeadModel(config).eval()
    ids = torch.randint(1, 60, (2, 5))
    labels = torch.where(torch.tensor([[True] * 2 + [False] * 3, [True] * 5]), ids, -100)
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}
    axes = [find_axes(model, {"input_ids": ids})["layers.0.heads"]]
    together = taylor_scores(model, axes, [batch])
    one_by_one = [{key: value[i : i + 1] for key, value in batch.items()} for i in range(2)]
    apart = taylor_scores(model, axes, one_by_one)
    assert torch.allclose(together["layers.0.heads"], apart["layers.0.heads"], rtol=1e-4)
